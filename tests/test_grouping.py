"""Tests of one group run in one worker, so that they share what is dear to start."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAMPLE = """
import os
import pathlib
import pytest

pytestmark = pytest.mark.xdist_group("one")

@pytest.mark.parametrize("number", range(20))
def test_it(number):
    (pathlib.Path(__file__).parent / os.environ["PYTEST_XDIST_WORKER"]).touch()
"""


def test_a_group_keeps_to_one_worker(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    options = ["-n", "2", "--dist", "loadgroup", "-q", "-p", "tests.grouping", "-p", "no:cacheprovider"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        *options,
        "--rootdir",
        str(tmp_path),
        "-c",
        "/dev/null",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(tmp_path.glob("gw*"))) == 1
