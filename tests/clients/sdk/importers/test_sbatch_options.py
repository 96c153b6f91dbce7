"""Option lines are read as sbatch reads them; the cases were tried with sbatch of Slurm 22.05."""

import pytest

from hutong.clients.sdk.importers.draft import Draft
from hutong.clients.sdk.importers.sbatch_left_out import LEFT_OUT, SAME
from hutong.clients.sdk.importers.sbatch_options import (
    OPTION_NAMES,
    BadOption,
    BadWord,
    Option,
    Word,
    read_options,
    split_words,
)
from hutong.clients.sdk.importers.sbatch_script import Script, read_script
from hutong.clients.sdk.yaml_tree import JobFileError


def words(text: str) -> list[str]:
    return split_words(text)


def read(*lines: str) -> list[Option | BadOption]:
    return list(
        read_options([Word(word, at) for at, line in enumerate(lines, 1) for word in split_words(line)])
    )


def pairs(*lines: str) -> list[tuple[str, str | None]]:
    found = read(*lines)
    assert all(isinstance(each, Option) for each in found), found
    return [(each.name, each.value) for each in found if isinstance(each, Option)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" -N2 -n 8 --time=1-02 # comment", ["-N2", "-n", "8", "--time=1-02"]),
        (' --job-name="my job" --mem 4G', ["--job-name=my job", "--mem", "4G"]),
        (" --comment='a # b' -s", ["--comment=a # b", "-s"]),
        (" -J a#b -n 6", ["-J", "a"]),
        (r" -J a\#b -n 6", ["-J", "a#b", "-n", "6"]),
        (r' --comment="say \"hi\"" -s', ['--comment=say "hi"', "-s"]),
        ("--nodes=3", ["--nodes=3"]),
        ("\t-H\t", ["-H"]),
        (r" --job-name=\ -c2", ["--job-name=", "-c2"]),
        ("# only a comment", []),
        ("", []),
    ],
)
def test_a_line_is_cut_into_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (' --job-name="abc', "never closed"),
        (" --job-name='abc\"", "never closed"),
        (" : -n2", "colon"),
        (" -n2 : -n3", "colon"),
        (' --comment "" -n 3', "empty word"),
    ],
)
def test_a_line_that_cannot_be_cut_says_why(text: str, says: str) -> None:
    with pytest.raises(BadWord, match=says) as caught:
        words(text)
    assert caught.value.hint


def test_options_in_every_form() -> None:
    assert pairs("--nodes=2 --ntasks 4 -c8 -t 1:00 -vH --exclusive --nice=5") == [
        ("nodes", "2"),
        ("ntasks", "4"),
        ("cpus-per-task", "8"),
        ("time", "1:00"),
        ("verbose", None),
        ("hold", None),
        ("exclusive", None),
        ("nice", "5"),
    ]


def test_a_value_may_stand_on_the_next_line() -> None:
    assert pairs("--nodes", "4") == [("nodes", "4")]


def test_a_long_option_may_be_cut_short() -> None:
    assert pairs("--ntasks-per-n=3 --cpus-per-t 4 --workd=/x --tasks-per-node=2") == [
        ("ntasks-per-node", "3"),
        ("cpus-per-task", "4"),
        ("chdir", "/x"),
        ("ntasks-per-node", "2"),
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--nosuch=3", "no option --nosuch"),
        ("--gre=gpu:2", "--gres or --gres-flags"),
        ("--mail=x", "--mail-type or --mail-user"),
        ("--cpus=3", "could be"),
        ("--=3", "no option --"),
        ("-N=3", "has the value '=3'"),
        ("-z", "no option -z"),
        ("foo", "'foo' is no option"),
        ("-", "'-' is no option"),
        ("-s -- -N", "'-N' is no option"),
        ("--exclusive user", "'user' is no option"),
        ("--no-requeue=3", "takes no value"),
        ("--nodes", "has no value"),
        ("-n", "has no value"),
    ],
)
def test_what_sbatch_refuses_is_refused(line: str, says: str) -> None:
    bad = [each for each in read(line) if isinstance(each, BadOption)]
    assert bad
    assert says in bad[0].message
    assert bad[0].hint


def test_every_option_has_an_answer() -> None:
    elsewhere = {
        *("job-name", "chdir", "time", "array", "export", "signal", "nice"),
        *("nodes", "ntasks", "ntasks-per-node", "ntasks-per-gpu", "cpus-per-task", "cpus-per-gpu", "mincpus"),
        *("gres", "gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket", "sockets-per-node"),
        *("mem", "mem-per-cpu", "mem-per-gpu", "tres-per-task"),
    }
    assert set(OPTION_NAMES) == elsewhere | set(LEFT_OUT) | set(SAME)


def script(text: str) -> tuple[Script, Draft]:
    draft = Draft("job.sh")
    return read_script(text.encode(), draft), draft


def test_options_end_at_the_first_command() -> None:
    found, draft = script("#!/bin/bash\n\n# note\n#SBATCH -n 2\n  \necho hi\n#SBATCH -n 3\necho ho\n")
    assert {name: option.value for name, option in found.options.items()} == {"ntasks": "2"}
    (note,) = draft.notes
    assert (note.line, note.kind) == (7, "left_out")
    assert "behind the first command" in note.message


def test_the_last_of_an_option_counts_and_the_first_is_noted() -> None:
    found, draft = script("#!/bin/bash\n#SBATCH -n 2\n#SBATCH --ntasks=4\necho\n")
    assert found.options["ntasks"].value == "4"
    assert [(note.line, note.message) for note in draft.notes] == [(2, "line 3 says it again, and counts")]


def test_lines_that_look_like_options_are_noted() -> None:
    text = "#!/bin/bash\n# SBATCH -n 3\n##SBATCH -n 4\n #SBATCH -n 5\n#PBS -l nodes=3\n#SBATCH -n 6\necho\n"
    found, draft = script(text)
    assert found.options["ntasks"].value == "6"
    assert [note.line for note in draft.notes] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("first", "bash", "command", "settings", "login"),
    [
        ("#!/bin/bash", True, "/bin/bash", "", False),
        ("#!/bin/bash -l", True, "/bin/bash", "", True),
        ("#!/bin/bash --login", True, "/bin/bash", "", True),
        ("#!/bin/sh -eu", True, "/bin/sh", "-eu", False),
        ("#!/bin/bash -e -o pipefail", True, "/bin/bash", "-e -o pipefail", False),
        ("#!/usr/bin/env bash", True, "bash", "", False),
        ("#! /usr/bin/env -S python3 -u", False, "python3 -u", "", False),
        ("#!/usr/bin/python3", False, "/usr/bin/python3", "", False),
        ("#!/home/me/conda/bin/python", False, "python", "", False),
        ("#!/bin/csh -f", False, "/bin/csh -f", "", False),
    ],
)
def test_who_runs_the_script(first: str, bash: bool, command: str, settings: str, login: bool) -> None:
    shebang = script(f"{first}\n#SBATCH -n 1\necho\n")[0].shebang
    assert (shebang.bash, shebang.command, shebang.settings, shebang.login) == (
        bash,
        command,
        settings,
        login,
    )


@pytest.mark.parametrize(
    ("data", "line", "says"),
    [
        (b"", 1, "is empty"),
        (b"\n \n", 1, "is empty"),
        (b"name: x\nrun: y\n", 1, "no batch script"),
        (b"\x7fELF\x02\x01" + bytes(200), 1, "no batch script"),
        (b"\xef\xbb\xbf#!/bin/bash\n#SBATCH -n 1\n", 1, "no batch script"),
        (b"#!/bin/bash\n#SBATCH -n 1\n\0\n", 3, "NUL"),
        (b"#!/bin/bash\n#SBATCH -n 1\necho \xc4\xe3\n", 3, "not UTF-8"),
        (b"#!/bin/bash\r\n#SBATCH -n 1\r\n", 1, "Windows"),
        (b"#!/bin/bash\necho hi\n", 1, "no #SBATCH line"),
        (b"#!/bin/bash\necho hi\n#SBATCH -n 1\n", 1, "no #SBATCH line"),
        (b"#!/bin/bash\n" + b"# padding\n" * 1_000_000, 0, "larger than 256 KiB"),
    ],
)
def test_what_is_no_batch_script_gets_one_message(data: bytes, line: int, says: str) -> None:
    with pytest.raises(JobFileError) as caught:
        read_script(data, Draft("job.sh"))
    (only,) = caught.value.file_problems
    assert says in only.message
    assert only.line == line
    assert only.hint
