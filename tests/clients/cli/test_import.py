"""`hutong import`: job on stdout, notes on stderr, refusals by line with exit code 2, without a platform."""

import json
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hutong.clients.sdk.jobfile import load_job
from hutong.main import cli

GUIDE = (Path(__file__).parents[3] / "docs" / "user" / "import.md").read_text("utf-8")
SCRIPT = "#!/bin/bash\n#SBATCH --job-name=x --gres=gpu:a100:2\n#SBATCH --mail-type=END\npython train.py\n"
TASK = "type: task\nname: x\ncommands:\n  - python train.py\nresources: {gpu: A100:2}\nspot_policy: auto\n"
NOWHERE = {"HUTONG_URL": "http://127.0.0.1:9"}
FILES = {"sbatch": SCRIPT, "dstack": TASK}


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


def run(*words: str) -> Ran:
    done = CliRunner().invoke(
        cli, ["import", *words], env={"HUTONG_URL": "http://127.0.0.1:9", "COLUMNS": "80"}
    )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Ran(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return name


@pytest.mark.parametrize("command", FILES)
def test_the_job_goes_to_stdout_and_a_word_on_each_line_to_stderr(here: Path, command: str) -> None:
    done = run(command, write(here, "old", FILES[command]))
    assert done.code == 0, done.err
    (here / "job.yaml").write_text(done.out)
    assert load_job(here / "job.yaml").document["name"] == "x"
    *told, summary = done.err.splitlines()
    assert all(re.match(r"old:\d+: (same|changed|left out): ", line) for line in told)
    assert re.fullmatch(r"\d+ carried over, \d+ with a change in meaning, 1 left out", summary)


@pytest.mark.parametrize("command", FILES)
def test_json_is_one_document(here: Path, command: str) -> None:
    done = run(command, write(here, "old", FILES[command]), "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert set(told) == {"file", "out", "job", "yaml", "notes"}
    assert told["job"]["resources"]["accelerators"] == "A100:2" or command == "sbatch"
    (left,) = [each for each in told["notes"] if each["kind"] == "left_out"]
    assert set(left) == {"line", "kind", "source", "message"}
    assert left["line"] == (3 if command == "sbatch" else 6)


@pytest.mark.parametrize("command", FILES)
def test_a_file_that_is_there_is_kept(here: Path, command: str) -> None:
    name = write(here, "old", FILES[command])
    assert run(command, name, "-o", "new.yaml").code == 0
    assert load_job(here / "new.yaml").name == "x"
    (here / "new.yaml").write_text("mine")
    again = run(command, name, "-o", "new.yaml")
    assert again.code == 2
    assert "--force" in again.err
    assert (here / "new.yaml").read_text() == "mine"
    assert run(command, name, "-o", "new.yaml", "--force").code == 0
    assert load_job(here / "new.yaml").name == "x"


def test_a_place_that_cannot_be_written_is_refused(here: Path) -> None:
    write(here, "old", SCRIPT)
    done = run("sbatch", "old", "-o", "no/such/folder/new.yaml")
    assert done.code == 2
    assert "cannot be written" in done.err


def test_the_work_folder_is_that_of_sbatch_wherever_the_job_file_lies(here: Path) -> None:
    name = write(here, "scripts/old.sh", SCRIPT)
    (here / "jobs").mkdir()
    assert run("sbatch", name, "-o", "jobs/new.yaml").code == 0
    assert load_job(here / "jobs" / "new.yaml").document["workdir"] == ".."
    assert json.loads(run("sbatch", name, "--json").out)["job"]["workdir"] == "."


def test_the_work_folder_of_dstack_is_that_of_its_file(here: Path) -> None:
    name = write(here, "code/x.dstack.yml", TASK + "files: [.]\n")
    assert json.loads(run("dstack", name, "--json").out)["job"]["workdir"] == "code"


def test_another_card_can_be_named(here: Path) -> None:
    write(here, "old", SCRIPT.replace("a100", "x9000"))
    done = run("sbatch", "old")
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("old:2: /resources/accelerators no center has an accelerator 'x9000'")
    assert "--accelerator NAME takes another" in done.err
    named = run("sbatch", "old", "--accelerator", "910B", "--accelerator", "A100", "--json")
    assert json.loads(named.out)["job"]["resources"]["accelerators"] == {"910B": 2, "A100": 2}


@pytest.mark.parametrize("command", FILES)
def test_a_card_cannot_be_named_for_a_file_that_asks_for_none(here: Path, command: str) -> None:
    write(here, "old", FILES[command].replace(" --gres=gpu:a100:2", "").replace("{gpu: A100:2}", "{}"))
    done = run(command, "old", "--accelerator", "A100")
    assert done.code == 2
    assert "asks for no cards" in done.err


def test_cards_come_from_the_catalogue(here: Path) -> None:
    write(here, "old", SCRIPT.replace("gpu:a100:2", "gpu:2"))
    models = json.loads(run("sbatch", "old", "--json").out)["job"]["resources"]["accelerators"]
    assert {"H100", "A100"} <= set(models)
    assert "Ascend910B" not in models


BAD = {
    "binary": ("sbatch", b"\x7fELF\x02" + bytes(100), 1),
    "NUL": ("sbatch", b"#!/bin/bash\n#SBATCH -n 1\n\0", 3),
    "no options": ("sbatch", b"#!/bin/bash\necho\n", 1),
    "unknown option": ("sbatch", b"#!/bin/bash\n#SBATCH -n 1\n#SBATCH --nosuch=1\necho\n", 3),
    "heterogeneous": ("sbatch", b"#!/bin/bash\n#SBATCH -n 1\n#SBATCH hetjob\n#SBATCH -n 1\necho\n", 3),
    "job file": ("sbatch", b"run: x\n", 1),
    "too many cores": ("sbatch", b"#!/bin/bash\n\n#SBATCH -n 5000\necho\n", 3),
    "reserved name": ("sbatch", b"#!/bin/bash\n#SBATCH --export=RANK=1\necho\n", 2),
    "torn YAML": ("dstack", b"type: task\ncommands: [x\n", 2),
    "no type": ("dstack", b"commands: [x]\n", 1),
    "unknown key": ("dstack", b"type: task\ncommands: [x]\nnosuch: 1\n", 3),
    "bad nodes": ("dstack", b"type: task\ncommands: [x]\nnodes: -1\n", 3),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_answered_once_and_by_line(here: Path, name: str) -> None:
    command, data, line = BAD[name]
    done = run(command, write(here, "old", data), "-o", "new.yaml")
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith(f"old:{line}: "), done.err
    assert len([each for each in done.err.splitlines() if each.startswith("old:")]) == 1
    assert not (here / "new.yaml").exists()
    told = json.loads(run(command, "old", "--json").err)
    assert told["problems"][0]["line"] == line


@pytest.mark.parametrize("command", FILES)
def test_a_file_that_cannot_be_read_is_named(here: Path, command: str) -> None:
    for name, says in (("nosuch", "no such file"), (".", "is a folder")):
        done = run(command, name)
        assert done.code == 2
        assert done.err.startswith(f"{name}: ")
        assert says in done.err
    big = run(command, write(here, "big", b"#!/bin/bash\n" + b"# padding\n" * 1_000_000))
    assert big.code == 2
    assert "is larger than" in big.err


def test_a_batch_script_given_to_run_is_sent_to_the_import(here: Path) -> None:
    write(here, "train.sh", SCRIPT)
    done = CliRunner().invoke(cli, ["run", "train.sh"], env=NOWHERE)
    assert done.exit_code == 2
    assert "hutong import sbatch" in done.stderr


def test_a_dstack_file_given_to_run_is_sent_to_the_import(here: Path) -> None:
    write(here, "x.yml", TASK)
    done = CliRunner().invoke(cli, ["run", "x.yml"], env=NOWHERE)
    assert done.exit_code == 2
    assert "hutong import dstack" in done.stderr


def test_a_job_file_has_the_rights_of_any_file(here: Path) -> None:
    write(here, "old", SCRIPT)
    run("sbatch", "old", "-o", "new.yaml")
    assert not (here / "new.yaml").stat().st_mode & stat.S_IXUSR


def blocks(section: str) -> list[str]:
    """Return the code blocks of a section of the guide."""
    part = GUIDE.split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```\w+\n(.*?)```", part, re.DOTALL)


@pytest.mark.parametrize(
    ("section", "command", "name"),
    [("From sbatch", "sbatch", "train.sh"), ("From dstack", "dstack", "train.dstack.yml")],
)
def test_the_guide_shows_what_the_commands_write(here: Path, section: str, command: str, name: str) -> None:
    given, told, written = blocks(section)
    done = run(command, write(here, name, given))
    assert done.code == 0
    assert done.out == written
    assert done.err == told
