"""Reads a batch script as sbatch does: which lines are options, which are the program, and who runs it."""

import re
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath

from hutong.clients.sdk.importers.draft import Draft
from hutong.clients.sdk.importers.sbatch_options import (
    BadOption,
    BadWord,
    Option,
    Word,
    begins_component,
    read_options,
    split_words,
)
from hutong.clients.sdk.yaml_tree import FileProblem, JobFileError

MOST_BYTES = 256 << 10
_OPTIONS = ("#SBATCH", "#SLURM")
_OTHERS = {"#PBS": "PBS", "#BSUB": "LSF"}
_NEARLY = re.compile(r"\s*#[#\s]*SBATCH\s+-", re.IGNORECASE)
_SHELLS = frozenset({"bash", "sh", "dash"})
_SET = re.compile(r"[-+][abefhkmnptuvxBCEHPT]+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the program, with its number in the file."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Shebang:
    """Who runs the script: `bash` says that bash can run it; `settings` are its flags as `set`."""

    command: str
    bash: bool
    settings: str
    login: bool


@dataclass(frozen=True, slots=True)
class Script:
    """A batch script: its options (the last of each name, which counts), its program, its whole text."""

    options: dict[str, Option]
    shebang: Shebang
    body: tuple[Line, ...]
    whole: tuple[Line, ...]


def read_script(data: bytes, draft: Draft) -> Script:
    """Return the script in the bytes of a file; what is wrong with single lines is noted in the draft.

    Raises JobFileError if the file is no batch script at all.
    """
    lines = _lines(data, draft.file)
    words: list[Word] = []
    body: list[Line] = []
    over = False
    found = False
    for line in lines[1:]:
        text = line.text
        magic = next((each for each in _OPTIONS if text.startswith(each)), "")
        if over:
            if magic:
                draft.left_out(
                    line.number,
                    text,
                    "stands behind the first command, where sbatch does not read it either: move it up",
                )
            body.append(line)
        elif magic:
            found = True
            _read_line(text[len(magic) :], line.number, words, draft)
        else:
            over = bool(text.strip()) and not text.lstrip().startswith("#")
            _note_comment(line, draft)
            body.append(line)
    if not found:
        hint = "a batch script says what it needs in lines like #SBATCH --nodes=2, before its first command"
        raise _refuse(draft.file, 1, "has no #SBATCH line", hint)
    shebang = _read_shebang(lines[0].text)
    return Script(_options(words, draft), shebang, tuple(body), lines)


def _lines(data: bytes, file: str) -> tuple[Line, ...]:
    if len(data) > MOST_BYTES:
        hint = "is this the script itself? `run` holds 120 KiB; data belongs in files of the work folder"
        raise _refuse(file, 0, f"is larger than {MOST_BYTES >> 10} KiB", hint)
    if not data.strip():
        raise _refuse(file, 1, "is empty", "a batch script begins with #!/bin/bash")
    if not data.startswith(b"#!"):
        hint = "sbatch takes files whose first line begins with #! and names who runs them, like #!/bin/bash"
        raise _refuse(file, 1, "is no batch script", hint)
    for bad, message, hint in (
        (b"\0", "contains a NUL byte: it is no text file", "a script is plain text"),
        (b"\r\n", "ends its lines as Windows does, which sbatch refuses", "dos2unix FILE mends it"),
    ):
        if bad in data:
            raise _refuse(file, data.count(b"\n", 0, data.index(bad)) + 1, message, hint)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"is not UTF-8 text: byte 0x{data[error.start]:02x}"
        raise _refuse(file, line, message, "iconv -f GBK -t UTF-8 FILE, if it was saved as GBK") from error
    return tuple(Line(number, each) for number, each in enumerate(text.removesuffix("\n").split("\n"), 1))


def _refuse(file: str, line: int, message: str, hint: str) -> JobFileError:
    return JobFileError(file, (FileProblem(line, 1 if line else 0, "", message, hint),))


def _read_line(text: str, number: int, words: list[Word], draft: Draft) -> None:
    if begins_component(text):
        hint = "one job a file: write each part as a script of its own"
        draft.refuse(number, "begins another part of a heterogeneous job", hint)
        return
    try:
        words += [Word(each, number) for each in split_words(text)]
    except BadWord as error:
        draft.refuse(number, error.message, error.hint)


def _note_comment(line: Line, draft: Draft) -> None:
    system = next((name for magic, name in _OTHERS.items() if line.text.startswith(magic)), "")
    if system:
        draft.left_out(line.number, line.text, f"is an option of {system}: write it as #SBATCH")
    elif _NEARLY.match(line.text):
        message = "is a comment for sbatch too; an option begins with #SBATCH at the line's very beginning"
        draft.left_out(line.number, line.text.strip(), message)


def _options(words: list[Word], draft: Draft) -> dict[str, Option]:
    kept: dict[str, Option] = {}
    for each in read_options(words):
        if isinstance(each, BadOption):
            draft.refuse(each.line, each.message, each.hint)
            continue
        before = kept.get(each.name)
        if before is not None:
            draft.left_out(before.line, before.source, f"line {each.line} says it again, and counts")
        kept[each.name] = each
    return kept


def _read_shebang(text: str) -> Shebang:
    """Return who runs the script; a path that only one center can have becomes the program's name."""
    try:
        words = shlex.split(text[2:])
    except ValueError:
        words = text[2:].split()
    if words and PurePosixPath(words[0]).name == "env":
        words = [each for each in words[1:] if each != "-S"]
    if not words:
        return Shebang("/bin/bash", bash=True, settings="", login=False)
    program, flags = words[0], words[1:]
    name = PurePosixPath(program).name
    if name in _SHELLS:
        login = "--login" in flags or any("l" in each for each in flags if re.fullmatch(r"-[a-z]+", each))
        return Shebang(program, bash=True, settings=_settings(flags), login=login)
    if not program.startswith(("/bin/", "/usr/bin/")):
        program = name
    return Shebang(shlex.join([program, *flags]), bash=False, settings="", login=False)


def _settings(flags: list[str]) -> str:
    """Return a shell's flags as the arguments of `set`."""
    kept: list[str] = []
    for index, flag in enumerate(flags):
        if flag in {"-o", "+o"}:
            kept += flags[index : index + 2]
        elif not flag.startswith("--"):
            bare = flag.replace("l", "").replace("i", "")
            if _SET.fullmatch(bare):
                kept.append(bare)
    return shlex.join(kept)
