"""The main job as `make demo` runs it, and a small `make kill`: the two promises of the README, kept."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=580)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("heavy")
def test_the_demo_shows_its_eight_points_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = run("examples.demo", "--data", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    for point in range(1, 9):
        assert f"\n {point}  " in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("heavy")
def test_killing_processes_at_random_loses_nothing_and_runs_nothing_twice() -> None:
    done = run("bench.kill", "--count", "12", "--seed", "7")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "no duplicate run, no orphan, no lost charge" in done.stdout
