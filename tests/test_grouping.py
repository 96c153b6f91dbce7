"""Tests of a group or module run in one worker and share what is dear to start; slow ones run in parallel."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
NOTED = """
import os
import pathlib
import time
import pytest

HERE = pathlib.Path(__file__)

def note():
    (HERE.parent / f"{HERE.stem}-{os.environ['PYTEST_XDIST_WORKER']}").touch()
"""
MODULE = """
@pytest.mark.parametrize("number", range(20))
def test_it(number):
    note()
"""
GROUP = """
pytestmark = pytest.mark.xdist_group("one")
"""
SLOW = """
@pytest.mark.slow
@pytest.mark.parametrize("number", range(8))
def test_it(number):
    note()
    deadline_s = time.monotonic() + 60
    while len(list(HERE.parent.glob("test_slow-gw*"))) < 2:
        assert time.monotonic() < deadline_s, "the other worker has none of these"
        time.sleep(0.01)
"""
DOCUMENTS = """
import pytest

class Example(pytest.Item):
    def runtest(self):
        pass

class Document(pytest.File):
    def collect(self):
        yield Example.from_parent(self, name="line:1")

def pytest_collect_file(file_path, parent):
    return Document.from_parent(parent, path=file_path) if file_path.suffix == ".md" else None
"""


def test_what_shares_a_worker_and_what_does_not(tmp_path: Path) -> None:
    files = {"group_1": GROUP + MODULE, "group_2": GROUP + MODULE, "module": MODULE, "slow": SLOW}
    for name, text in files.items():
        (tmp_path / f"test_{name}.py").write_text(NOTED + text)
    (tmp_path / "conftest.py").write_text(DOCUMENTS)
    for name in ("a", "b"):
        (tmp_path / f"{name}.md").touch()
    plugins = ["-p", "xdist.plugin", "-p", "tests.grouping", "-p", "no:cacheprovider"]
    options = ["-v", "-n", "2", "--dist", "loadgroup", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *options, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # the others take seconds to load
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ran = {name: [each.name[-3:] for each in tmp_path.glob(f"test_{name}-gw*")] for name in files}
    assert len(ran["group_1"]) == 1
    assert ran["group_1"] == ran["group_2"]
    assert len(ran["module"]) == 1
    assert len(ran["slow"]) == 2
    named = set(re.findall(r"\w\.md::line:1\S*", done.stdout))
    assert named == {"a.md::line:1@documents", "b.md::line:1@documents"}
