"""Writes a job file's document as YAML that people like to read: scripts are blocks of plain lines."""

import re
from collections.abc import Iterator, Mapping

import yaml

# What stays the same text for every YAML reader without quotes.
_PLAIN = re.compile(
    r"[A-Za-z/][A-Za-z0-9_./+-]*(?::[0-9]+)?|\.{1,2}(?:/[A-Za-z0-9_./+-]*)?|[0-9]{1,9}(?:[KMGTP]i?B|[smhdw]|\+)"
)
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_NO_BLOCK = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_STEP = "  "


def write_job(document: Mapping[str, object]) -> str:
    """Return YAML from which `parse_job` reads the same document; keys stay in their order."""
    return "".join(f"{line}\n" for line in _mapping(document, ""))


def _mapping(value: Mapping[str, object], indent: str) -> Iterator[str]:
    for key, member in value.items():
        head = f"{indent}{_scalar(key)}:"
        if isinstance(member, Mapping) and member:
            yield head
            yield from _mapping(member, indent + _STEP)
        elif isinstance(member, list) and member:
            yield head
            yield from (f"{indent}{_STEP}- {_scalar(item)}" for item in member)
        elif isinstance(member, str) and "\n" in member and not _NO_BLOCK.search(member):
            yield from _block(head, member, indent + _STEP)
        else:
            yield f"{head} {_scalar(member)}"


def _block(head: str, text: str, indent: str) -> Iterator[str]:
    """Write a text as a literal block that keeps its line ends exactly."""
    deep = str(len(_STEP)) if text[0] in " \n\t" else ""
    chomp = "-" if not text.endswith("\n") else "+" if text.endswith("\n\n") or text == "\n" else ""
    yield f"{head} |{deep}{chomp}"
    yield from (f"{indent}{line}" if line else "" for line in text.removesuffix("\n").split("\n"))


def _scalar(value: object) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        quoted: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=10_000_000)
        return quoted.removesuffix("\n")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_scalar(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_scalar, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
