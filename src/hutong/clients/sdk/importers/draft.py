"""A job file in the making: its document, the line each part comes from, and what is said about each line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from hutong.clients.sdk.jobfile import LoadedJob
from hutong.clients.sdk.yaml_tree import FileProblem, JobFileError, Position
from hutong.core.kernel.pointers import extend

_ORDER = (
    "name", "type", "num_nodes", "resources", "workdir", "envs", "secrets", "ports", "network", "setup",
    "run", "max_duration", "grace", "priority", "array",
)  # fmt: skip
_MOST_FAULTS = 100
_LONGEST_SOURCE = 80


class Kept(StrEnum):
    """What became of a line: carried over, carried over with another meaning, or left out."""

    SAME = "same"
    CHANGED = "changed"
    LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True)
class Note:
    """What became of something in a file, and what to do about it; lines count from 1."""

    line: int
    kind: Kept
    source: str
    message: str


@dataclass(frozen=True, slots=True)
class Card:
    """A model of the platform's catalogue, as far as an import must know it."""

    model: str
    vendor: str
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Imported:
    """A job made of another system's file: the job, with lines of that file, and the notes in their order."""

    job: LoadedJob
    notes: tuple[Note, ...]


@dataclass(slots=True)
class Draft:
    """Collects a document key by key; nothing is raised before `finish`, so that every fault is told."""

    file: str
    document: dict[str, object] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=lambda: {"": Position(1, 1)})
    notes: list[Note] = field(default_factory=list)
    faults: list[FileProblem] = field(default_factory=list)

    def put(self, path: str, value: object, line: int) -> None:
        """Set a member, `resources/cpus` say, as said in a line."""
        *parents, last = path.split("/")
        into, pointer = self.document, ""
        for key in parents:
            pointer = extend(pointer, key)
            self.positions.setdefault(pointer, Position(line, 1))
            below = into.get(key)
            if not isinstance(below, dict):
                below = {}
                into[key] = below
            into = below
        into[last] = value
        self.positions[extend(pointer, last)] = Position(line, 1)

    def note(self, line: int, kind: Kept, source: str, message: str) -> None:
        """Say what became of something."""
        short = source if len(source) <= _LONGEST_SOURCE else source[: _LONGEST_SOURCE - 3] + "..."
        self.notes.append(Note(line, kind, _printable(short), _printable(message)))

    def same(self, line: int, source: str, message: str) -> None:
        """Say that something was carried over."""
        self.note(line, Kept.SAME, source, message)

    def changed(self, line: int, source: str, message: str) -> None:
        """Say that something was carried over, but means another thing now."""
        self.note(line, Kept.CHANGED, source, message)

    def left_out(self, line: int, source: str, message: str) -> None:
        """Say that something was left out, and what to do instead."""
        self.note(line, Kept.LEFT_OUT, source, message)

    def refuse(self, line: int, message: str, hint: str, path: str = "") -> None:
        """Note something that keeps the file from becoming a job."""
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(FileProblem(line, 1 if line else 0, path, _printable(message), hint))

    def finish(self, name: str) -> Imported:
        """Return the job; raises JobFileError with every line that keeps the file from becoming one."""
        if self.faults:
            raise JobFileError(self.file, tuple(sorted(self.faults, key=lambda each: each.line)))
        document = {key: self.document[key] for key in _ORDER if key in self.document}
        notes = tuple(sorted(self.notes, key=lambda each: each.line))
        return Imported(LoadedJob(document, self.positions, name), notes)


def count(value: Mapping[str, int]) -> object:
    """Return cards as the job file writes them: `H100:8` for one model, a mapping for any of several."""
    if len(value) == 1:
        ((model, cards),) = value.items()
        return f"{model}:{cards}"
    return dict(value)


def _printable(text: str) -> str:
    """Return a text without what could move a terminal's cursor or color."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
