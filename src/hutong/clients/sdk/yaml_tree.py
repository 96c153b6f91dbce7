"""Composes untrusted YAML into plain values with the line of each: bounded, one message for what is wrong."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from hutong.clients.sdk.yaml_words import explain
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.pointers import extend

MOST_BYTES = 1 << 20
MOST_NODES = 50_000
MOST_TEXT = 4 << 20
MOST_DEPTH = 50

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset({"str", "int", "float", "bool", "null", "map", "seq"})
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_BASED = re.compile(r"[-+]?0(?:x[0-9a-fA-F_]+|b[01_]+)")
_OCTAL = re.compile(r"[-+]?0[0-9_]+")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One thing wrong with a file: where it stands, what it is about, what would be right."""

    line: int
    column: int
    path: str
    message: str
    hint: str = ""


class JobFileError(Refused):
    """A file cannot be read as a job; `file_problems` say where, by line."""

    def __init__(self, name: str, problems: tuple[FileProblem, ...]) -> None:
        first = problems[0]
        where = f"{name}, line {first.line}" if first.line else name
        hint = f": {first.hint}" if first.hint else ""
        told = tuple(Problem(each.path, each.message, each.hint) for each in problems)
        super().__init__("bad_job_file", f"{where}: {first.message}{hint}", told)
        self.name = name
        self.file_problems = problems


class BadYaml(Exception):
    """Carries the one problem out of the composer."""

    def __init__(self, problem: FileProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class _Made:
    """A finished value; `nodes`, `text` and `depth` say how large it is with its aliases written out."""

    value: object
    nodes: int = 1
    text: int = 0
    depth: int = 0


@dataclass(slots=True)
class _Frame:
    """A mapping or list under construction."""

    pointer: str
    mark: Position
    anchor: str | None
    into: dict[str, object] | list[object]
    made: _Made
    key: str | None = None
    key_mark: Position | None = None
    lines: dict[str, int] = field(default_factory=dict)
    merging: bool = False
    merged: list[dict[str, object]] = field(default_factory=list)


def compose(text: str, verbatim: frozenset[str] = frozenset()) -> tuple[object, dict[str, Position]]:
    """Return the value of the one document in `text` and where each pointer stands; raises BadYaml.

    Numbers and the like that stand right below a pointer in `verbatim` stay the text they were written as.
    """
    bad = _CONTROL.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        column = bad.start() - text.rfind("\n", 0, bad.start())
        message = f"contains the control character U+{ord(bad[0]):04X}: it is no text file"
        raise BadYaml(FileProblem(line, column, "", message, "a job file is plain UTF-8 text"))
    composer = _Composer(verbatim)
    try:
        for event in _events(text):
            composer.take(event)
    except yaml.YAMLError as error:
        line, column, message, hint = explain(error, text)
        raise BadYaml(FileProblem(line, column, composer.pointer, message, hint)) from error
    return composer.root, composer.positions


def _events(text: str) -> Iterator[yaml.Event]:
    # The scanners of both parsers need no recursion, so depth is ours to bound.
    yield from yaml.parse(text, Loader=_PARSER)


def _at(event: yaml.Event) -> Position:
    mark = event.start_mark
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)


class _Composer:
    def __init__(self, verbatim: frozenset[str]) -> None:
        self.root: object = None
        self.positions: dict[str, Position] = {}
        self._verbatim = verbatim
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Made | None] = {}
        self._documents = 0
        self._nodes = 0
        self._text = 0

    @property
    def pointer(self) -> str:
        """The pointer of what is being composed."""
        return self._stack[-1].pointer if self._stack else ""

    def take(self, event: yaml.Event) -> None:
        """Go on by one event of the parser."""
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    hint = "one job a file: put the others in files of their own"
                    self._fail(_at(event), "a second document begins here (---)", hint)
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case _:
                pass

    def _fail(self, mark: Position, message: str, hint: str = "", path: str | None = None) -> NoReturn:
        where = self.pointer if path is None else path
        raise BadYaml(FileProblem(mark.line, mark.column, where, message, hint))

    def _count(self, made: _Made, mark: Position) -> None:
        self._nodes += made.nodes
        self._text += made.text
        if self._nodes > MOST_NODES or self._text > MOST_TEXT:
            message = (
                f"is more than {MOST_NODES} values or {MOST_TEXT >> 20} MiB with its aliases written out"
            )
            self._fail(mark, message, "a job file is about a page; put data in files in workdir")
        if len(self._stack) + made.depth > MOST_DEPTH:
            self._fail(mark, f"is nested more than {MOST_DEPTH} levels deep", "a job file needs five")

    def _place_of_next(self, mark: Position) -> str:
        """Return the pointer of the value that comes now, and note where it stands."""
        if not self._stack:
            pointer, at = "", mark
        else:
            frame = self._stack[-1]
            at = frame.key_mark or mark
            key = len(frame.into) if isinstance(frame.into, list) else frame.key or ""
            pointer = extend(frame.pointer, key)
        self.positions.setdefault(pointer, at)
        return pointer

    def _expects_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].into, dict) and self._stack[-1].key is None

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        made = _Made(None, text=len(event.value))
        self._count(made, _at(event))
        if self._expects_key():
            self._key(event.value, _at(event), merge=event.implicit[0] and event.value == "<<")
            if event.anchor:
                self._anchors[event.anchor] = _Made(event.value, text=len(event.value))
            return
        self._place_of_next(_at(event))
        made.value = self._resolve(event)
        self._finish(made, event.anchor)

    def _key(self, key: str, mark: Position, *, merge: bool) -> None:
        frame = self._stack[-1]
        short = key if len(key) <= 60 else key[:57] + "..."
        if key in frame.lines:
            message = f"{short!r} is there twice, first in line {frame.lines[key]}"
            self._fail(mark, message, "keep one of them", extend(frame.pointer, short))
        frame.lines[key] = mark.line
        frame.key, frame.key_mark, frame.merging = key, mark, merge
        frame.made.text += len(key)

    def _resolve(self, event: yaml.ScalarEvent) -> object:
        tag = (event.tag or "").removeprefix(_TAG)
        if not event.implicit[0]:
            if event.implicit[1] or tag in {"str", "!"}:
                return event.value
            if tag not in _PLAIN_TAGS:
                self._fail(_at(event), f"the tag {event.tag} is not allowed", "plain values only")
        elif self.pointer in self._verbatim and event.value not in _NULLS:
            return event.value
        value = self._plain(event.value, _at(event))
        if not event.implicit[0] and tag == "float" and type(value) is int:
            value = float(value)
        kinds = {"int": int, "float": float, "bool": bool, "null": type(None)}
        if not event.implicit[0] and type(value) is not kinds.get(tag):
            self._fail(_at(event), f"is tagged {tag} but is none", "leave the tag out")
        return value

    def _plain(self, text: str, mark: Position) -> object:
        folded = text.lower() if text in {text.lower(), text.upper(), text.capitalize()} else text
        if text in _NULLS:
            return None
        if folded in _TRUE or folded in _FALSE:
            return folded in _TRUE
        number = text.replace("_", "")
        if len(text) > 40:
            return text
        if _INT.fullmatch(text):
            return int(number)
        if _BASED.fullmatch(text):
            return int(number, 0)
        if _FLOAT.fullmatch(text):
            return float(number)
        if _OCTAL.fullmatch(text):
            hint = f'write {number.lstrip("+-0") or 0}, or "{text}" in quotes if it is text'
            self._fail(mark, f"{text} means different numbers to different YAML readers", hint)
        if _NOT_FINITE.fullmatch(text):
            self._fail(mark, f"{text} is no number that can be used here", "a finite number")
        return text

    def _alias(self, event: yaml.AliasEvent) -> None:
        name, mark = event.anchor or "", _at(event)
        made = self._anchors.get(name)
        if made is None:
            if name in self._anchors:
                self._fail(mark, f"*{name} is inside &{name} itself", "write the value out")
            self._fail(mark, f"there is no &{name} above this line", "put text that begins with * in quotes")
        self._count(made, mark)
        if self._expects_key():
            if not isinstance(made.value, str):
                self._fail(mark, "a key must be text", "key: value")
            self._key(str(made.value), mark, merge=False)
            return
        self._place_of_next(mark)
        self._finish(made, None)

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        mapping, mark = isinstance(event, yaml.MappingStartEvent), _at(event)
        if self._expects_key():
            hint = "if curly braces or brackets are meant as text, put the value in quotes"
            self._fail(mark, "a key must be text, not a mapping or a list", hint)
        wanted = "map" if mapping else "seq"
        if event.tag not in {None, "!", _TAG + wanted}:
            self._fail(mark, f"the tag {event.tag} is not allowed", "plain values only")
        self._count(_Made(None), mark)
        pointer = self._place_of_next(mark)
        if event.anchor:
            self._anchors[event.anchor] = None
        into: dict[str, object] | list[object] = {} if mapping else []
        self._stack.append(_Frame(pointer, mark, event.anchor, into, _Made(into)))
        if len(self._stack) > MOST_DEPTH:
            self._fail(mark, f"is nested more than {MOST_DEPTH} levels deep", "a job file needs five")

    def _close(self) -> None:
        frame = self._stack.pop()
        if isinstance(frame.into, dict):
            for source in frame.merged:
                for key, value in source.items():
                    if key not in frame.into:
                        frame.into[key] = value
                        line = frame.lines["<<"]
                        self.positions.setdefault(extend(frame.pointer, key), Position(line, 1))
        frame.made.depth += 1
        self._finish(frame.made, frame.anchor)

    def _finish(self, made: _Made, anchor: str | None) -> None:
        """Put a finished value where it belongs."""
        if anchor:
            self._anchors[anchor] = made
        if not self._stack:
            self.root = made.value
            return
        frame = self._stack[-1]
        frame.made.nodes += made.nodes
        frame.made.text += made.text
        frame.made.depth = max(frame.made.depth, made.depth)
        if isinstance(frame.into, list):
            frame.into.append(made.value)
            return
        if frame.merging:
            self._merge(frame, made.value)
        else:
            frame.into[frame.key or ""] = made.value
        frame.key = frame.key_mark = None

    def _merge(self, frame: _Frame, value: object) -> None:
        """Note mappings to merge (`<<`): what is written out wins, then the earlier of them."""
        sources: list[object] = value if isinstance(value, list) else [value]
        for source in sources:
            if not isinstance(source, dict):
                mark = frame.key_mark or frame.mark
                self._fail(mark, "<< merges mappings, and this is none", "<<: *name of a mapping")
            frame.merged.append(source)
