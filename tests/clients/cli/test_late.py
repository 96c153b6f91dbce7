"""Commands are loaded when they are called: the command line begins at once, and shows all that there is."""

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hutong.clients.cli import listing
from hutong.clients.cli.late import Late
from hutong.clients.cli.listing import PARTS
from hutong.main import cli

FOLDER = Path(listing.__file__).parent
CODE = """
import json, sys
from hutong.main import cli
try:
    cli({words!r}, prog_name="hutong")
finally:
    print(json.dumps(list(sys.modules)), file=sys.stderr)
"""


def late_ones(group: Any = None, path: str = "") -> Iterator[Any]:
    """Every command that is loaded late, with the group that it stands in."""
    group = group or typer.main.get_command(cli)
    for name, command in group.commands.items():
        if isinstance(command, Late):
            yield pytest.param(group, command, id=f"{path} {name}".strip())
        elif hasattr(command, "commands"):
            yield from late_ones(command, f"{path} {name}".strip())


@pytest.mark.parametrize(("group", "command"), list(late_ones()))
def test_what_is_listed_is_what_is_loaded(group: Any, command: Any) -> None:
    real = command.load()
    told = inspect.cleandoc(real.help).split("\n\n")[0].replace("\n", " ")
    assert (command.name, command.help) == (real.name, told)
    assert (command.rich_help_panel or "") == (real.rich_help_panel or "")
    built = command.callback().commands
    assert built.keys() <= group.commands.keys(), f"not listed: {built.keys() - group.commands.keys()}"


def test_every_module_of_commands_is_listed_and_no_command_twice() -> None:
    names = [name for part in PARTS for name in part.lines]
    assert len(names) == len(set(names))
    modules = {each.stem for each in FOLDER.glob("*_commands.py") if "\ndef add_to(app" in each.read_text()}
    assert modules - {part.module for part in PARTS} == {"capacity_commands"}, "main adds it, with `mix`"


def ran(*words: str) -> tuple[str, set[str]]:
    """Return what a fresh process writes for these words, and which modules it has loaded then."""
    code = CODE.format(words=list(words))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *_, loaded = done.stderr.splitlines()
    return done.stdout, set(json.loads(loaded))


def commands_in(loaded: set[str]) -> set[str]:
    return {each for each in loaded if each.startswith("hutong.") and each.endswith("_commands")}


def test_the_help_of_all_loads_no_command() -> None:
    out, loaded = ran("--help")
    assert "Submit a job file and follow the job" in out
    assert commands_in(loaded) == set()
    assert not {"pydantic", "httpx2", "yaml", "hutong.config"} & loaded


def test_a_command_loads_its_own_module_and_no_other() -> None:
    out, loaded = ran("jobs", "--help")
    assert "Usage: hutong jobs [OPTIONS]" in out
    assert commands_in(loaded) == {"hutong.clients.cli.job_commands"}
    assert not {"hutong.server", "hutong.agent", "hutong.sim", "hutong.clients.sdk.energy"} & loaded


def test_a_slip_of_the_pen_is_answered_with_the_name_that_was_meant() -> None:
    for words, meant in (
        (["jbos"], "jobs"),
        (["agent", "docter"], "doctor"),
        (["energy", "blance"], "balance"),
    ):
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 2
        assert f"Did you mean '{meant}'" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("hutong rec", {"receipt", "reconcile"}),
        ("hutong energy met", {"meters"}),
        ("hutong agent ", {"run", "init", "doctor", "key", "release"}),
        ("hutong jobs --js", {"--json"}),
    ],
)
def test_a_shell_completes_commands_groups_and_options(
    typed: str, offered: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = typed.split()
    told = {"_HUTONG_COMPLETE": "complete_bash", "COMP_WORDS": typed}
    told["COMP_CWORD"] = str(len(words) - (not typed.endswith(" ")))
    done = CliRunner().invoke(cli, [], prog_name="hutong", env={**os.environ, **told})
    assert done.exit_code == 0
    assert set(done.output.split()) == offered
