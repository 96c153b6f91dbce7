"""Documents of the registry that are written together: each of them once, each as its kind says."""

from collections.abc import Sequence

from hutong.adapters.store.rules import check_record
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict


def check_records(records: Sequence[Record]) -> tuple[str, ...]:
    """Return the texts of documents that are written together; Conflict if one is named twice."""
    if len({(each.kind, each.id) for each in records}) < len(records):
        raise Conflict("named_twice", "a document is written twice at once")
    return tuple(check_record(each) for each in records)
