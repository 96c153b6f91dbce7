"""Terminals whose encoding is not UTF-8, as in China with GBK: no output ends in a traceback."""

import json
import os
import subprocess
import sys

import pytest

CODE = """
from hutong.clients.cli import frame, terminal
from hutong.core.kernel.errors import Refused
import typer

app = typer.Typer(cls=frame.Frame)

@app.command("show")
def show(as_json: bool = typer.Option(False, "--json"), bad: bool = False) -> None:
    if bad:
        raise Refused("bad", "价格 ¥1")
    terminal.show_json({"name": "北京 ¥1"}) if as_json else terminal.say("北京 ¥1")

@app.command("other")
def other() -> None: ...

app()
"""


def run(encoding: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run a small command line in a terminal of this encoding."""
    env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, env=env, timeout=60)


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", "?? ?1"), ("gbk", "北京 ?1"), ("utf-8", "北京 ¥1")]
)
def test_people_see_what_their_terminal_has(encoding: str, shown: str) -> None:
    done = run(encoding, "show")
    assert (done.returncode, done.stdout.decode(encoding).strip()) == (0, shown)


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "utf-8"])
def test_programs_lose_nothing(encoding: str) -> None:
    assert json.loads(run(encoding, "show", "--json").stdout) == {"name": "北京 ¥1"}
    refused = run(encoding, "show", "--json", "--bad")
    assert refused.returncode == 2
    assert json.loads(refused.stderr)["detail"] == "价格 ¥1"
