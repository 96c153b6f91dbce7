"""Finds in a script's lines what another center cannot have or do, and says what to do about it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hutong.clients.sdk.importers.draft import Draft, Kept
from hutong.clients.sdk.importers.sbatch_script import Line

_MOST_LINES = 8
_MOST_PATHS = 200
# Where a command may begin: at a line's start, behind a separator or a keyword, behind assignments.
BEGIN = (
    r"(?:^|[;&|({`]|\b(?:then|do|else|if|while|time|exec|nohup)\s)\s*"
    r"(?:[A-Za-z_]\w{0,60}=[^\s;&|]{0,200}\s+){0,9}"
)
_PATH = re.compile(
    r"(?<![\w./:$}~*-])/(?!/|bin/|usr/|dev/|proc/|tmp/|etc/|opt/|var/|lib|sys/|sbin/|run/)[\w.-]+(?:/[\w.$@{}-]+)+"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A thing that scripts do: how it looks, what it is called, what becomes of it."""

    pattern: re.Pattern[str]
    source: str
    kind: Kept
    message: str


def _command(names: str) -> re.Pattern[str]:
    return re.compile(BEGIN + rf"(?:sudo\s+)?({names})(?=\s|$|[;&|)])")


NETWORK = _command(
    r"git\s+(?:clone|pull|fetch)|wget|curl|(?:uv\s+)?pip3?\s+(?:install|download)|python[\d.]*\s+-m\s+pip\s+install|uv\s+sync"
    r"|(?:conda|mamba)\s+(?:install|create|env\s+create)|apt(?:-get)?\s+install|npm\s+(?:ci|install)"
    r"|hf\s+(?:download|upload)|huggingface-cli\s+\w+|modelscope\s+download|wandb\s+\w+|aws\s+s3|gsutil|rclone"
)
FINDINGS = (
    Finding(
        _command(r"module\s+[\w-]+|ml\s+[\w-]+|module"),
        "module",
        Kept.LEFT_OUT,
        "other centers have other modules, or none: install what the job needs in `setup`",
    ),
    Finding(
        _command(
            r"(?:source|\.)\s+\S*(?:activate|conda\.sh|\.bashrc|\.bash_profile|\.profile)|conda\s+activate"
        ),
        "the environment of your home",
        Kept.LEFT_OUT,
        "your home is not at the center: make the environment in `setup`",
    ),
    Finding(
        _command(r"(?:apptainer|singularity)\s+(?:exec|run)|(?:docker|podman|nerdctl)\s+run|enroot\s+\w+"),
        "a container",
        Kept.LEFT_OUT,
        "no engine here runs images yet: install what the job needs in `setup`",
    ),
    Finding(
        re.compile(r"(?<![\w$])(?:~/|\$HOME\b|\$\{HOME\})"),
        "$HOME",
        Kept.CHANGED,
        "is the work folder at the center, not your home",
    ),
)


def strip_comment(text: str) -> str:
    """Return a line without its comment; quotes are minded on the line itself only."""
    quote = ""
    escaped = False
    for at, letter in enumerate(text):
        if escaped:
            escaped = False
        elif letter == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "#" and (at == 0 or text[at - 1] in " \t;"):
            return text[:at]
    return text


def logical_lines(body: Sequence[Line]) -> tuple[Line, ...]:
    """Return the lines without comments, continued lines joined under the number of their first."""
    made: list[Line] = []
    held: list[str] = []
    number = 0
    for line in body:
        text = strip_comment(line.text)
        number = number or line.number
        if text.endswith("\\") and not text.endswith("\\\\"):
            held.append(text[:-1])
            continue
        made.append(Line(number, " ".join([*held, text])))
        held, number = [], 0
    if held:
        made.append(Line(number, " ".join(held)))
    return tuple(made)


def note_findings(lines: Sequence[Line], findings: Sequence[Finding], draft: Draft) -> None:
    """Note each thing once, at its first line, with the other lines named."""
    for finding in findings:
        found = [line.number for line in lines if finding.pattern.search(line.text)]
        if found:
            draft.note(found[0], finding.kind, finding.source, finding.message + also(found))


def note_paths(lines: Sequence[Line], draft: Draft) -> None:
    """Note absolute paths that only the center has for which the script was written."""
    for path, numbers in _paths(lines):
        message = "only the center you come from has this path: send files with `workdir` or `inputs`"
        draft.left_out(numbers[0], path, message + also(numbers))


def _paths(lines: Sequence[Line]) -> Iterator[tuple[str, list[int]]]:
    found: dict[str, list[int]] = {}
    for line in lines:
        for match in _PATH.finditer(line.text):
            if match[0] in found or len(found) < _MOST_PATHS:
                numbers = found.setdefault(match[0], [])
                if not numbers or numbers[-1] != line.number:
                    numbers.append(line.number)
    yield from found.items()


def note_network(lines: Sequence[Line], draft: Draft) -> None:
    """Put `network: true` if the lines fetch something: elsewhere than here, a job always may."""
    found = [(line.number, match[1]) for line in lines if (match := NETWORK.search(line.text))]
    if found:
        first, command = found[0]
        draft.put("network", value=True, line=first)
        message = "network: true: a job reaches nothing beyond itself unless it says so"
        draft.changed(first, " ".join(command.split()), message + also([number for number, _ in found]))


def also(numbers: Sequence[int]) -> str:
    """Return the further lines for a message, at most eight of them by number."""
    rest = sorted(set(numbers))[1:]
    if not rest:
        return ""
    more = f" and {len(rest) - _MOST_LINES} more" if len(rest) > _MOST_LINES else ""
    word = "line" if len(rest) == 1 else "lines"
    return f" (also {word} {', '.join(map(str, rest[:_MOST_LINES]))}{more})"
