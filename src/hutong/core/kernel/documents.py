"""Dataclasses to JSON documents and back, canonically: the same value always gives the same bytes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from enum import Enum
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

from hutong.core.kernel.errors import Broken

Shape = TypeVar("Shape")

# The metadata of a field that came later than its shape, and so has a default. While it has it, it is left
# out of documents: those from before keep their bytes, and their digests.
LATE = MappingProxyType({"late": True})

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_PLAIN = frozenset({int, str, bool, NoneType})


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def to_document(value: object) -> object:
    """Return a value made of dicts, lists, strings, integers, booleans and None."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, tuple | list):
        return [each if type(each) in _PLAIN else to_document(each) for each in value]
    if hasattr(kind, "__dataclass_fields__"):
        late = _late(kind)
        document = {}
        for name in _names(kind):
            each = getattr(value, name)
            if name not in late or each != late[name]:
                document[name] = each if type(each) in _PLAIN else to_document(each)
        return document
    if isinstance(value, Mapping):
        return {str(key): to_document(each) for key, each in value.items()}
    if isinstance(value, str | int):
        return value.value if isinstance(value, Enum) else value
    raise Broken(f"{kind.__name__} has no canonical document")


def encode(value: object) -> bytes:
    """Return the canonical JSON of a dataclass: keys sorted, no spaces, UTF-8."""
    return encode_document(to_document(value))


def encode_document(document: object) -> bytes:
    """Return the canonical JSON of what `to_document` made."""
    return _ENCODER.encode(document).encode()


def encode_around(value: object, names: Iterable[str]) -> tuple[bytes, ...]:
    """Return the canonical JSON of a dataclass in pieces: what stands around the values of some fields."""
    document = to_document(value)
    if not isinstance(document, dict):
        raise Broken(f"{type(value).__name__} has no fields")
    pieces, apart = [b"{"], {*names}
    for at, (name, each) in enumerate(sorted(document.items())):
        pieces[-1] += b'%s"%s":' % (b"," if at else b"", name.encode())
        if name in apart:
            pieces.append(b"")
        else:
            pieces[-1] += encode_document(each)
    pieces[-1] += b"}"
    return tuple(pieces)


def decode(kind: type[Shape], data: bytes) -> Shape:
    """Return the dataclass that `encode` wrote; raises Broken where the document has another shape."""
    try:
        return _build(kind, json.loads(data))  # type: ignore[no-any-return]
    except (KeyError, TypeError, ValueError) as error:
        raise Broken(f"not a {kind.__name__}: {error}") from error


@cache
def _late(kind: Any) -> Mapping[str, object]:
    """Return the fields that came later, with their defaults."""
    late = [field for field in fields(kind) if field.metadata.get("late")]
    assert all(field.default is not MISSING for field in late), kind  # noqa: S101
    return {field.name: field.default for field in late}


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _build(kind: Any, value: Any) -> Any:  # the one place where types are data
    if isinstance(kind, NewType):
        return _build(kind.__supertype__, value)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        if value is None and NoneType in arguments:
            return None
        return _build(next(each for each in arguments if each is not NoneType), value)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_build(arguments[0], each) for each in value)
        return tuple(_build(part, each) for part, each in zip(arguments, value, strict=True))
    if hasattr(kind, "__dataclass_fields__"):
        hints, late = _hints(kind), _late(kind)
        there = [name for name in _names(kind) if name in value or name not in late]
        return kind(**{name: _build(hints[name], value[name]) for name in there})
    if issubclass(kind, Enum):
        return kind(value)
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not {kind.__name__}")
    return value
