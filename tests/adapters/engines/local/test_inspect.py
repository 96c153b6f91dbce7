"""What the local engine's inspector makes of a machine with cards, without them, and of a wrong file."""

import os
from pathlib import Path

import pytest

from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.inspection import Level, card_name, is_shared, kind_of
from hutong.adapters.engines.local.inspect import LocalInspector

SMI = """#!/bin/sh
[ "$1" = -L ] || exit 1
echo "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)"
echo "GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-2)"
"""
NPU = """#!/bin/sh
echo "+------+---------+"
echo "| NPU   Name      | Health | Power(W)  Temp(C) |"
echo "| 0     910B3     | OK     | 93.9      40      |"
echo "| 0               | 0000:C1:00.0 | 0         |"
echo "| 1     910B3     | OK     | 93.9      40      |"
"""


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    made = tmp_path / "dev"
    made.mkdir()
    for name in ("null", "nvidia-caps", "sda1"):
        (made / name).touch()
    return made


def inspector(tmp_path: Path, dev: Path, **programs: str) -> LocalInspector:
    for name, text in programs.items():
        path = tmp_path / name.replace("_", "-")
        path.write_text(text)
        path.chmod(0o755)
    config = FolderConfig(tmp_path / "site", tmp_path / "payloads", isolation="none")
    return LocalInspector(config, dev, str(tmp_path))


def touch(dev: Path, *names: str) -> None:
    for name in names:
        (dev / name).touch()


def test_a_machine_without_cards_offers_its_cores(tmp_path: Path, dev: Path) -> None:
    found = inspector(tmp_path, dev).inspect()
    (pool,) = found.pools
    assert (pool.id, pool.accelerator, pool.nodes) == ("cpu", "CPU", 1)
    assert pool.cards_per_node == len(os.sched_getaffinity(0))
    assert inspector(tmp_path, dev).count("cpu", "CPU").cards == pool.cards_per_node


def test_cards_are_named_by_their_driver_and_their_devices_listed(tmp_path: Path, dev: Path) -> None:
    touch(dev, "nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm")
    seen = inspector(tmp_path, dev, nvidia_smi=SMI)
    found = seen.inspect()
    (pool,) = found.pools
    assert (pool.id, pool.accelerator, pool.cards_per_node) == ("h100", "H100", 2)
    devices = next(each.value for each in found.settings if each.name == "devices")
    assert devices == tuple(str(dev / name) for name in ("nvidia-uvm", "nvidia0", "nvidia1", "nvidiactl"))
    assert seen.count("h100", "H100").cards == 2
    assert seen.count("h100", "A100").cards == 0
    assert any("every card" in each for each in found.review), "no device is kept for one job here"


def test_ascend_cards_by_npu_smi(tmp_path: Path, dev: Path) -> None:
    touch(dev, "davinci0", "davinci1", "davinci_manager")
    (pool,) = inspector(tmp_path, dev, npu_smi=NPU).inspect().pools
    assert (pool.accelerator, pool.cards_per_node) == ("Ascend910B", 2)


def test_cards_whose_driver_says_nothing_are_kept_and_flagged(tmp_path: Path, dev: Path) -> None:
    touch(dev, *(f"cambricon_dev{number}" for number in range(12)))
    (pool,) = inspector(tmp_path, dev).inspect().pools
    assert (pool.accelerator, pool.cards_per_node, pool.known) == ("Cambricon", 12, False)
    assert "not in the catalogue" in pool.review[0]


def test_a_file_that_names_what_is_not_there_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "payloads").mkdir()
    config = FolderConfig(
        tmp_path / "site", tmp_path / "payloads", path=(tmp_path / "gone",), isolation="none"
    )
    checks = {each.name: each for each in LocalInspector(config).check(quick=True)}
    assert checks["paths"].level is Level.WARN
    assert str(tmp_path / "gone") in checks["paths"].seen
    assert checks["sandbox"].level is Level.WARN, "isolation is off"
    assert all(each.mend for each in checks.values() if each.level is not Level.OK)


@pytest.mark.parametrize(
    ("word", "model"),
    [
        ("h100", "H100"),
        ("nvidia_a100-sxm4-80gb", "A100"),
        ("NVIDIA H20", "H20"),
        ("910B3", "Ascend910B"),
        ("quantum9", "quantum9"),
        ("", ""),
    ],
)
def test_words_of_drivers_and_schedulers(word: str, model: str) -> None:
    assert card_name(word) == model


def test_file_systems() -> None:
    assert kind_of(Path("/proc/self")) == "proc"
    assert is_shared("nfs4")
    assert is_shared("fuse.juicefs")
    assert not is_shared("ext4")
