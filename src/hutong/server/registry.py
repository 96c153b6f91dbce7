"""Documents of the registry as the core's shapes, and back."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from hutong.core.book.store import Record, Store
from hutong.core.kernel.documents import to_document
from hutong.core.kernel.errors import Broken, Conflict, Later, NotFound

Shape = TypeVar("Shape")

_TRIES = 50

_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def read(kind: type[Shape], record: Record) -> Shape:
    """Return the shape that a record holds; raises Broken where it holds another one."""
    try:
        shape: Shape = _adapter(kind).validate_python(record.doc)
    except ValidationError as error:
        raise Broken(f"{record.kind} {record.id} is not a {kind.__name__}: {error}") from error
    return shape


def shape_of(kind: type[Shape], doc: Mapping[str, object]) -> Shape:
    """Return the shape that a document holds; raises Broken where it holds another one."""
    return read(kind, Record(kind.__name__, "in a document", dict(doc)))


def document(shape: object) -> dict[str, object]:
    """Return the document of a dataclass."""
    doc = to_document(shape)
    if not isinstance(doc, dict):
        raise Broken(f"{type(shape).__name__} is not a document")
    return doc


def create(store: Store, record: Record, what: str) -> Record:
    """Write a new document; the same one again changes nothing, another under its id is a Conflict."""
    try:
        return store.put(record, expect=0)
    except Conflict:
        there = store.get(record.kind, record.id)
        if there is not None and there.doc == record.doc:
            return there
        raise Conflict("exists", f"there is another {what} {record.id!r} already") from None


def every(store: Store, kind: str, parent: str, most: int) -> tuple[Record, ...]:
    """Return all documents of a kind and parent, at most `most`."""
    found: list[Record] = []
    while len(found) < most:
        page = store.records(kind, parent, found[-1].id if found else "", min(500, most - len(found)))
        found.extend(page)
        if len(page) < 500:
            break
    return tuple(found)


def load(store: Store, kind: str, id_: str, shape: type[Shape]) -> Shape:
    """Return the shape of a document; raises NotFound."""
    record = store.get(kind, id_)
    if record is None:
        raise NotFound("not_found", f"there is no {kind} {id_!r}")
    return read(shape, record)


def amend(
    store: Store, kind: str, id_: str, shape: type[Shape], change: Callable[[Shape], Shape]
) -> tuple[Shape, bool]:
    """Change a document as it is when nobody else does; return it and whether it changed.

    `change` may be called again with what others wrote meanwhile; raises NotFound, or Later after many tries.
    """
    for _ in range(_TRIES):
        record = store.get(kind, id_)
        if record is None:
            raise NotFound("not_found", f"there is no {kind} {id_!r}")
        before = read(shape, record)
        after = change(before)
        if after == before:
            return before, False
        try:
            store.put(replace(record, doc=document(after)), expect=record.version)
        except Conflict:
            continue
        return after, True
    raise Later(f"{kind} {id_} is being changed by others", 1)
