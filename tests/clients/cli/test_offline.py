"""A job file that is wrong is refused before anybody is asked: by line, with exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: x\nnum_nodes: -3\nrun: 'true'\n", 2),
        ("name: x\nrun: 'true'\nresources:\n  accelerators: H100:0\n", 4),
        ("name: x\nrunn: 'true'\n", 2),
        ("name: x\nrun: [\n", 3),
        ("name: x\nrun: 'true'\nsecrets:\n  TOKEN: hf_literal\n", 4),
    ],
)
def test_without_a_platform(tmp_path: Path, command: str, text: str, line: int) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    env = {**os.environ, "HUTONG_CONFIG": str(tmp_path / "none.toml"), "HUTONG_URL": "http://127.0.0.1:9"}
    argv = [sys.executable, "-m", "hutong.main", command, str(file)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert f"job.yaml:{line}:" in done.stderr.replace("\n", "")
    assert "hf_literal" not in done.stdout + done.stderr
