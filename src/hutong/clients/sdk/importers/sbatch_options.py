"""The options of sbatch: which there are, which take a value, and how getopt reads a list of words."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_FLAGS = (
    "consolidate-segments", "contiguous", "external", "help", "hold", "ignore-pbs", "no-requeue",
    "overcommit", "oversubscribe", "parsable", "quiet", "reboot", "requeue", "share", "spread-job",
    "spread-segments", "stepmgr", "test-only", "usage", "use-min-nodes", "verbose", "version",
    "wait", "container-entrypoint", "no-container-entrypoint", "container-entrypoint-log",
    "container-mount-home", "no-container-mount-home", "container-readonly", "container-remap-root",
    "no-container-remap-root", "container-writable",
)  # fmt: skip
_FLAGS_OR_VALUES = ("exclusive", "get-user-env", "nice", "no-kill", "propagate", "resv-ports", "x11")
_VALUES = (
    "account", "acctg-freq", "array", "batch", "bb", "bbf", "begin", "chdir", "cluster",
    "cluster-constraint", "clusters", "comment", "constraint", "container", "container-id",
    "core-spec", "cores-per-socket", "cpu-freq", "cpus-per-gpu", "cpus-per-task", "deadline",
    "delay-boot", "dependency", "distribution", "error", "exclude", "export", "export-file", "extra",
    "extra-node-info", "gid", "gpu-bind", "gpu-freq", "gpus", "gpus-per-node", "gpus-per-socket",
    "gpus-per-task", "gres", "gres-flags", "hint", "input", "job-name", "kill-on-invalid-dep",
    "licenses", "mail-type", "mail-user", "mcs-label", "mem", "mem-bind", "mem-per-cpu",
    "mem-per-gpu", "mincpus", "network", "nodefile", "nodelist", "nodes", "ntasks",
    "ntasks-per-core", "ntasks-per-gpu", "ntasks-per-node", "ntasks-per-socket", "ntasks-per-tres",
    "oom-kill-step", "open-mode", "output", "partition", "power", "prefer", "priority", "profile",
    "qos", "reservation", "segment", "signal", "sockets-per-node", "switches", "tasks-per-node",
    "thread-spec", "threads-per-core", "time", "time-min", "tmp", "tres-bind", "tres-per-task",
    "uid", "wait-all-nodes", "wckey", "workdir", "wrap", "container-image", "container-mounts",
    "container-workdir", "container-name", "container-save", "container-env",
)  # fmt: skip
_ALIASES = {
    "cluster": "clusters",
    "tasks-per-node": "ntasks-per-node",
    "workdir": "chdir",
    "share": "oversubscribe",
}
_SHORT = {
    "a": "array", "A": "account", "b": "begin", "B": "extra-node-info", "c": "cpus-per-task",
    "C": "constraint", "d": "dependency", "D": "chdir", "e": "error", "F": "nodefile", "G": "gpus",
    "h": "help", "H": "hold", "i": "input", "J": "job-name", "k": "no-kill", "L": "licenses",
    "m": "distribution", "M": "clusters", "n": "ntasks", "N": "nodes", "o": "output", "O": "overcommit",
    "p": "partition", "q": "qos", "Q": "quiet", "s": "oversubscribe", "S": "core-spec", "t": "time",
    "v": "verbose", "V": "version", "w": "nodelist", "W": "wait", "x": "exclude",
}  # fmt: skip
_LONG = frozenset({*_FLAGS, *_FLAGS_OR_VALUES, *_VALUES})
_NEEDS_VALUE = frozenset(_VALUES)
_NO_VALUE = frozenset(_FLAGS)
_HET = re.compile(r"hetjob|packjob")

OPTION_NAMES = frozenset(_ALIASES.get(name, name) for name in _LONG)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the option lines, with its line."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Option:
    """An option by its long name, as it was written; a flag has the value None."""

    name: str
    value: str | None
    line: int
    source: str


@dataclass(frozen=True, slots=True)
class BadOption:
    """A word that sbatch would not take."""

    line: int
    message: str
    hint: str


class BadWord(Exception):
    """A line of options cannot be cut into words: why, and what would be right."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def split_words(text: str) -> list[str]:
    """Cut what follows `#SBATCH` into words, as sbatch does; `#` begins a comment even within a word.

    Raises BadWord for a quote that is not closed, an empty word, or a colon where a word begins.
    """
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        if text[at] == "#":
            break
        if text[at] == ":":
            raise BadWord("a word begins with a colon", "sbatch takes one job here: remove it")
        word, at = _word(text, at)
        if not word:
            raise BadWord("has an empty word, behind which sbatch reads nothing more", "remove it")
        words.append(word)
    return words


def _word(text: str, at: int) -> tuple[str, int]:
    """Return the word that begins at a place, and where it ends."""
    kept: list[str] = []
    quote = ""
    while at < len(text) and (quote or not text[at].isspace()):
        letter = text[at]
        at += 1
        if letter == "\\":
            if quote or not text[at : at + 1].isspace():  # before a space, sbatch drops it and ends the word
                kept.append(text[at : at + 1])
                at += 1
        elif quote:
            if letter == quote:
                quote = ""
            else:
                kept.append(letter)
        elif letter in "\"'":
            quote = letter
        elif letter == "#":
            return "".join(kept), len(text)
        else:
            kept.append(letter)
    if quote:
        raise BadWord(f"the quote {quote} is opened and never closed", "close it on the same line")
    return "".join(kept), at


def read_options(words: Sequence[Word]) -> Iterator[Option | BadOption]:
    """Read words as getopt does: an option's value may be the next word, even on the next line."""
    rest = iter(words)
    for word in rest:
        if word.text == "--":  # getopt takes what follows for no options, whatever it looks like
            yield from (_no_option(each) for each in rest)
        elif word.text.startswith("--"):
            yield _long(word, rest)
        elif word.text.startswith("-") and len(word.text) > 1:
            yield from _short(word, rest)
        else:
            yield _no_option(word)


def _no_option(word: Word) -> BadOption:
    hint = "sbatch takes options only: is a dash missing, or a space in the wrong place?"
    return BadOption(word.line, f"{word.text[:60]!r} is no option", hint)


def _long(word: Word, rest: Iterator[Word]) -> Option | BadOption:
    told, equals, value = word.text[2:].partition("=")
    name = told if told in _LONG else ""
    if not name:
        near = sorted(each for each in _LONG if told and each.startswith(told))
        meant = {_ALIASES.get(each, each) for each in near}
        if len(meant) != 1:
            return _unknown(word, near)
        name = near[0]
    canonical = _ALIASES.get(name, name)
    if name in _NO_VALUE and equals:
        return BadOption(word.line, f"--{name} takes no value", f"--{name} alone")
    if equals or name not in _NEEDS_VALUE:
        return Option(canonical, value if equals else None, word.line, word.text)
    return _with_next(word, canonical, rest)


def _unknown(word: Word, near: list[str]) -> BadOption:
    told = word.text.partition("=")[0][:60]
    if near:
        return BadOption(word.line, f"{told} could be --{' or --'.join(near[:4])}", "write it out")
    hint = "correct it, or delete it if it belongs to a plug-in of your center"
    return BadOption(word.line, f"sbatch has no option {told}", hint)


def _with_next(word: Word, name: str, rest: Iterator[Word]) -> Option | BadOption:
    value = next(rest, None)
    if value is None:
        return BadOption(word.line, f"{word.text[:60]} has no value", f"--{name}=VALUE")
    return Option(name, value.text, word.line, f"{word.text} {value.text}")


def _short(word: Word, rest: Iterator[Word]) -> Iterator[Option | BadOption]:
    """Read `-N4`, `-N 4`, or several flags in one word, `-vH`."""
    letters = word.text[1:]
    for index, letter in enumerate(letters):
        name = _SHORT.get(letter)
        if name is None:
            yield BadOption(word.line, f"sbatch has no option -{letter} ({word.text[:60]})", "correct it")
            return
        if name not in _NEEDS_VALUE:
            # -k is the one short option whose value is optional: what follows it is its value
            more = letters[index + 1 :] if name in _FLAGS_OR_VALUES else ""
            yield Option(name, more or None, word.line, word.text)
            if more:
                return
            continue
        value = letters[index + 1 :]
        if value.startswith("="):
            hint = f"write -{letter} {value[1:] or 'VALUE'}, or --{name}{value}"
            yield BadOption(word.line, f"{word.text[:60]} has the value {value[:40]!r} for sbatch", hint)
        elif value:
            yield Option(name, value, word.line, word.text)
        else:
            yield _with_next(word, name, rest)
        return


def begins_component(text: str) -> bool:
    """True if a line of options begins the next part of a heterogeneous job."""
    return bool(_HET.search(text))
