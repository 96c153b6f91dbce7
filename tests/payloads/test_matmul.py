"""Measuring a card: a CPU's rates are no figures of it, wrong numbers are no rate, rows can be imported."""

import json
import subprocess
from pathlib import Path
from typing import Any

from hutong.core.capacity.imports import read_figures

SMALL = ("--size", "128", "--seconds", "0.01")

# What a machine with a card would do, on one without: the device is said to be a card, and works on the CPU.
AS_A_CARD = """
import sys
import matmul
matmul.find_device = lambda: "npu"
matmul.synchronize = lambda device: None
make, product = matmul.make_matrices, matmul.multiply
matmul.make_matrices = lambda precision, size, device: make(precision, size, "cpu")
def multiply(precision, left, right):
    return product(precision, left, right) * (2 if precision == "FP16" else 1)
matmul.multiply = multiply
sys.exit(matmul.main())
"""


def run(center: Any, folder: Path, *command: str) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [center.python, *command], cwd=folder, env=center.env(folder) | {"PYTHONPATH": str(center.payloads)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_cpus_rates_are_told_and_are_no_figures_of_the_declared_card(center: Any, tmp_path: Path) -> None:
    code, lines = run(center, tmp_path, str(center.payloads / "matmul.py"), *SMALL)
    rates = {line["precision"]: line["teraflops"] for line in lines if line["hutong"] == "rate"}
    assert code == 0
    assert {"FP64", "FP32"} <= set(rates)
    assert "TF32" not in rates
    assert lines[-1]["figures"] == 0
    assert "not of H100" in lines[-1]["reason"]
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["rates.json"]


def test_a_cards_figures_can_be_imported_and_wrong_numbers_are_left_out(center: Any, tmp_path: Path) -> None:
    code, lines = run(center, tmp_path, "-c", AS_A_CARD, *SMALL, "--card", "Ascend910B")
    assert code == 0
    assert [line["precision"] for line in lines if line["hutong"] == "left_out"] == ["FP16"]
    verdicts = read_figures((tmp_path / "outputs" / "figures.csv").read_text(), "2999-01-01")
    assert len(verdicts) == lines[-1]["figures"] >= 2
    # As slow as a CPU it looks like a naive kernel, or unlike what others measured: read, and doubted.
    assert {each.card for each in verdicts} == {"Ascend910B"}
    assert {each.code for each in verdicts} <= {"", "naive", "conflict", "sentinel"}


def test_a_wrong_option_is_named(center: Any, tmp_path: Path) -> None:
    done = subprocess.run(
        [center.python, center.payloads / "matmul.py", "--size", "3"], cwd=tmp_path,
        env=center.env(tmp_path), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--size" in done.stderr
