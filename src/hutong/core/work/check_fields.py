"""Readers for the check of a job: each takes an unknown value, notes what is wrong and goes on."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TypeGuard

from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.pointers import extend
from hutong.core.kernel.quantities import parse_seconds

_MOST_PROBLEMS = 100
_LONGEST_KEY = 200
_NUMBER = re.compile(r"-?[0-9]{1,15}")


class Faults:
    """The problems found so far, in the order of the check; at most a hundred are told."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._more = 0

    def add(self, path: str, message: str, hint: str = "") -> None:
        """Note that something is wrong at `path` and what would be right."""
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(Problem(path, message, hint))
        else:
            self._more += 1

    def __bool__(self) -> bool:
        return bool(self._problems)

    def settle(self) -> None:
        """Raise Refused with every problem noted; return if there is none."""
        if not self._problems:
            return
        count = len(self._problems) + self._more
        if self._more:
            self._problems.append(Problem("", f"and {self._more} more problems"))
        first = self._problems[0]
        more = f" (and {count - 1} more)" if count > 1 else ""
        raise Refused("bad_spec", f"{first.path or 'the job'}: {first.message}{more}", tuple(self._problems))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The keys of one mapping: `known`, `refused` (known elsewhere, with what to do), `homes` of others."""

    known: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    homes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping of the document with its place; every reader returns something usable and never raises."""

    values: Mapping[str, object]
    path: str
    faults: Faults

    def get(self, key: str) -> object:
        """Return the value, None where it is missing or null."""
        return self.values.get(key)

    def at(self, key: str | int) -> str:
        """Return the pointer of a member."""
        return extend(self.path, key)

    def text(self, key: str, most_bytes: int) -> str:
        """Return a string, empty where there is none."""
        value = self.get(key)
        return "" if value is None else read_text(value, self.at(key), most_bytes, self.faults)

    def whole(self, key: str, low: int, high: int, default: int) -> int:
        """Return an integer in [low, high], the default where there is none."""
        value = self.get(key)
        return default if value is None else read_whole(value, self.at(key), low, high, self.faults)

    def flag(self, key: str) -> bool:
        """Return a boolean, False where there is none."""
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            self.faults.add(self.at(key), f"must be true or false, not {show(value)}", f"{key}: true")
        return value is True

    def choice(self, key: str, choices: Sequence[str], hints: Mapping[str, str] | None = None) -> str:
        """Return one of the choices; the first where there is none."""
        value = self.get(key)
        if value is None:
            return choices[0]
        if isinstance(value, str) and value in choices:
            return value
        told = (hints or {}).get(value) if isinstance(value, str) else None
        near = closest(value, choices) if isinstance(value, str) else ""
        hint = told or (f"did you mean {near}?" if near else f"one of {', '.join(choices)}")
        self.faults.add(self.at(key), f"must be one of {', '.join(choices)}, not {show(value)}", hint)
        return choices[0]

    def seconds(self, key: str, low_s: int, high_s: int, default_s: int) -> int:
        """Return a duration in whole seconds, the default where there is none."""
        value = self.get(key)
        if value is None:
            return default_s
        seconds: int | None = None
        if isinstance(value, str):
            seconds = parse_seconds(value) if value.isascii() else None
        elif isinstance(value, int) and not isinstance(value, bool):
            seconds = value
        if seconds is None:
            self.faults.add(
                self.at(key), f"{show(value)} is not a duration", "a whole number with s, m, h or d, like 12h"
            )
        elif not low_s <= seconds <= high_s:
            self.faults.add(
                self.at(key),
                f"{show(value)} is out of range",
                f"between {show_seconds(low_s)} and {show_seconds(high_s)}",
            )
        else:
            return seconds
        return default_s

    def table(self, key: str, words: Vocabulary) -> "Table":
        """Return a nested mapping, empty where there is none."""
        value = self.get(key)
        return open_table({} if value is None else value, self.at(key), words, self.faults)

    def items(self, key: str, most: int, of: str) -> tuple[tuple[str, object], ...]:
        """Return the items of a list with their pointers, none where there is no list."""
        value = self.get(key)
        if value is None:
            return ()
        path = self.at(key)
        if not isinstance(value, list | tuple):
            self.faults.add(path, f"must be a list of {of}, not {show(value)}", f"{key}: [..]")
            return ()
        if len(value) > most:
            self.faults.add(path, f"has {len(value)} entries", f"at most {most}")
            return ()
        return tuple((extend(path, index), item) for index, item in enumerate(value))

    def words(self, key: str, most: int, of: str, fits: Callable[[str], bool], hint: str) -> tuple[str, ...]:
        """Return a list of distinct strings that all fit."""
        found: list[str] = []
        for path, item in self.items(key, most, of):
            if not isinstance(item, str) or not fits(item):
                self.faults.add(path, f"{show(item)} is not one of {of}", hint)
            elif item in found:
                self.faults.add(path, f"{show(item)} is there twice", "name it once")
            else:
                found.append(item)
        return tuple(found)


def open_table(value: object, path: str, words: Vocabulary, faults: Faults) -> Table:
    """Return a mapping of known keys; what is not known is noted and left out."""
    if not isinstance(value, Mapping):
        faults.add(path, f"must be a mapping of keys to values, not {show(value)}", "key: value")
        return Table({}, path, faults)
    kept: dict[str, object] = {}
    for key, member in value.items():
        if not is_key(key):
            faults.add(
                path, f"has a key that is no short text: {show(key)}", "one of " + ", ".join(words.known)
            )
        elif key in words.known:
            kept[key] = member
        elif key not in words.refused:
            faults.add(extend(path, key), f"there is no key {show(key)} here", _advice(key, words))
        elif not _says_nothing(member):
            faults.add(extend(path, key), f"{key} is not supported", words.refused[key])
    return Table(kept, path, faults)


def is_key(key: object) -> TypeGuard[str]:
    """True if a key is short text that can stand in a pointer."""
    return isinstance(key, str) and len(key) <= _LONGEST_KEY and _encodable(key)


def _advice(key: str, words: Vocabulary) -> str:
    if key in words.homes:
        return f"it belongs under {words.homes[key]}"
    near = closest(key, words.known)
    return f"did you mean {near}?" if near else f"one of {', '.join(words.known)}"


def _says_nothing(value: object) -> bool:
    return value is None or value is False or (isinstance(value, str | list | tuple | Mapping) and not value)


def closest(word: str, choices: Sequence[str]) -> str:
    """Return the choice nearest to a word by spelling, empty if none is near."""
    if len(word) > 64:
        return ""
    folded = {choice.casefold(): choice for choice in choices}
    near = get_close_matches(word.casefold(), folded, 1, 0.6)
    return folded[near[0]] if near else ""


def read_text(value: object, path: str, most_bytes: int, faults: Faults) -> str:
    """Return a string without NUL of at most so many bytes in UTF-8, or note why not."""
    if not isinstance(value, str):
        hint = f'put it in quotes: "{value}"' if _quotable(value) else "a text"
        faults.add(path, f"must be text, not {show(value)}", hint)
    elif not _encodable(value):
        faults.add(path, "contains characters that are no text (NUL or half a surrogate pair)", "remove them")
    elif len(value.encode()) > most_bytes:
        faults.add(path, f"has {len(value.encode())} bytes", f"at most {most_bytes} bytes")
    else:
        return value
    return ""


def read_whole(value: object, path: str, low: int, high: int, faults: Faults) -> int:
    """Return an integer in [low, high]; a boolean is none, digits in quotes are one."""
    number = value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        number = int(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        number = int(value)
    if isinstance(number, bool) or not isinstance(number, int):
        faults.add(path, f"must be a whole number, not {show(value)}", f"between {low} and {high}")
    elif not low <= number <= high:
        faults.add(path, f"{show(value)} is out of range", f"between {low} and {high}")
    else:
        return number
    return low


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _quotable(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and len(show(value)) < 20


def show(value: object) -> str:
    """Return a short description of any value for a message."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if value.bit_length() <= 64 else "a number of many digits"
        case float():
            return repr(value)
        case str():
            short = value if len(value) <= 40 else value[:37] + "..."
            return repr(short) if short.isprintable() else ascii(short)
        case _:
            return name_kind(value)


def name_kind(value: object) -> str:
    """Return what kind of value it is, without any of it: it may be a secret in the wrong place."""
    match value:
        case None:
            return "nothing"
        case str():
            return "text"
        case bool() | int() | float():
            return "a number"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def show_seconds(seconds: int) -> str:
    """Return a duration as one would write it in a job file."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
