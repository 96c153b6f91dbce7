"""What this machine has, as the local engine would use it: cards by their devices, cores, the sandbox."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hutong.adapters.engines.attempt.checks import check_box, check_paths
from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.attempt.engine import why_no_box
from hutong.adapters.engines.inspection import (
    Check,
    Count,
    Found,
    FoundPool,
    Setting,
    card_name,
    is_shared,
    kind_of,
    ok,
    pool_ids,
    warn,
)

_ASK_S = 30


@dataclass(frozen=True, slots=True)
class _Driver:
    """How a maker's cards show: their device files, those beside them, a program and how it names cards."""

    maker: str
    cards: str
    beside: str
    command: tuple[str, ...]
    name: str


_DRIVERS = (
    _Driver(
        "NVIDIA", r"nvidia\d+", r"nvidia(ctl|-uvm|-uvm-tools|-modeset)",
        ("nvidia-smi", "-L"), r"GPU \d+: (.+?) \(",
    ),
    _Driver(
        "Ascend", r"davinci\d+", r"(davinci_manager|devmm_svm|hisi_hdc)",
        ("npu-smi", "info"), r"\|\s*\d+\s+(\d{3}\w+)\s*\|",
    ),
    _Driver(
        "Cambricon", r"cambricon_dev\d+", r"cambricon(_ctl|-caps)", ("cnmon", "-l"), r"(MLU\d+\w*)",
    ),
)  # fmt: skip


class LocalInspector:
    """Looks at this machine. `dev` holds the device files, `path` finds the drivers' programs."""

    def __init__(self, config: FolderConfig, dev: Path = Path("/dev"), path: str | None = None) -> None:
        self._config = config
        self._dev = dev
        self._path = path

    def inspect(self) -> Found:
        """Return cards of one driver as pools; a machine without cards is one pool of cores."""
        cores, memory = len(os.sched_getaffinity(0)), _memory_bytes()
        cards = self._cards()
        names = list(dict.fromkeys(name for _, name in cards))
        pools, review = [], []
        for id_, name in zip(pool_ids(names), names, strict=True):
            mine = [device for device, each in cards if each == name]
            doubt = () if FoundPool("", name, 1, 1, 1, 1).known else (f"{name!r} is not in the catalogue",)
            pools.append(FoundPool(id_, name, 1, len(mine), cores, memory, review=doubt))
        if not cards:
            pools.append(FoundPool("cpu", "CPU", 1, cores, cores, memory))
        else:
            review.append(
                "the local engine gives a job every card of this machine, however many it asked for"
            )
        settings = []
        if cards:
            devices = tuple(str(self._dev / name) for name in self._devices())
            settings.append(Setting("devices", devices))
        why = why_no_box()
        isolation = Setting("isolation", "auto", f"jobs are not kept apart: {why}" if why else "")
        facts = {
            "cores": str(cores),
            "memory": f"{memory // 10**9} GB",
            "cards": ", ".join(f"{device} {name}" for device, name in cards) or "none",
            "bubblewrap": why or "works",
        }
        return Found("local", facts, (isolation, *settings), tuple(pools), tuple(review))

    def check(self, *, quick: bool) -> Iterator[Check]:  # noqa: ARG002 - nothing here takes long
        """Yield checks of the sandbox, the file system and the paths."""
        yield check_box(self._config.isolation, why_no_box())
        kind = kind_of(self._config.root)
        if is_shared(kind):
            mend = "set [engine] root to a folder on a local disk: locks of a network file system may be lost"
            yield warn("file system", f"{self._config.root} lies on {kind}", mend)
        else:
            yield ok("file system", f"{self._config.root} lies on {kind}")
        yield from check_paths(self._config)

    def count(self, pool: str, accelerator: str) -> Count | None:  # noqa: ARG002 - a machine has no pools
        """Return the cards of that model here; of the model CPU, the cores."""
        if accelerator == "CPU":
            return Count(len(os.sched_getaffinity(0)))
        return Count(sum(name == accelerator for _, name in self._cards()))

    def _devices(self) -> list[str]:
        wanted = [re.compile(each) for driver in _DRIVERS for each in (driver.cards, driver.beside)]
        names = sorted(entry.name for entry in os.scandir(self._dev))
        return [name for name in names if any(pattern.fullmatch(name) for pattern in wanted)]

    def _cards(self) -> list[tuple[str, str]]:
        """Return the device file and the name of each card; the maker's where the driver says no more."""
        found = []
        for driver in _DRIVERS:
            devices = [each for each in self._devices() if re.fullmatch(driver.cards, each)]
            devices.sort(key=lambda device: int(re.sub(r"\D", "", device)))
            told = re.findall(driver.name, self._say(*driver.command)) if devices else []
            known = len(told) == len(devices)
            names = [card_name(each) for each in told] if known else [driver.maker] * len(devices)
            found += list(zip(devices, names, strict=True))
        return found

    def _say(self, program: str, *arguments: str) -> str:
        where = shutil.which(program, path=self._path)
        if where is None:
            return ""
        try:
            done = subprocess.run(
                [where, *arguments], capture_output=True, text=True, timeout=_ASK_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout if done.returncode == 0 else ""


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
