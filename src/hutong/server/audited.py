"""A store that tells the audit of every change made through it: routes get one, and need not think of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from hutong.core.book.audit import UNTOLD, Author
from hutong.core.book.money import Lot, Posting, Txn
from hutong.core.book.store import Record, Store

AuthorOf = Callable[[str], Author]
"""From who owns what is written (where that is known) to who writes it."""


class _Audited:
    """Passes everything on to the store, changes with their author."""

    def __init__(self, store: Store, author_of: AuthorOf) -> None:
        self.plain = store
        self.author_of = author_of

    def __getattr__(self, name: str) -> object:
        return getattr(self.plain, name)

    def put(self, record: Record, expect: int | None = None, author: Author | None = None) -> Record:
        return self.plain.put(record, expect, author or self._author(record.kind, record))

    def put_all(
        self, writes: Sequence[tuple[Record, int | None]], author: Author | None = None
    ) -> tuple[Record, ...]:
        return self.plain.put_all(writes, author or self.author_of(""))

    def remove(self, kind: str, id: str, author: Author | None = None) -> bool:
        return self.plain.remove(kind, id, author or self._author(kind))

    def open_lot(self, lot: Lot, *txns: Txn, author: Author | None = None) -> bool:
        return self.plain.open_lot(lot, *txns, author=author or self.author_of(""))

    def post(self, posting: Posting, author: Author | None = None) -> bool:
        return self.plain.post(posting, author or self.author_of(""))

    def _author(self, kind: str, record: Record | None = None) -> Author | None:
        if kind in UNTOLD:
            return None
        owner = record.doc.get("owner", "") if record is not None else ""
        return self.author_of(str(owner))


def marked(store: Store, mark: str, reason: str = "") -> Store:
    """Return an audited store whose events have a mark, and a reason; one not audited stays as it is."""
    if not isinstance(store, _Audited):
        return store
    plain, author_of = store.plain, store.author_of

    def author(owner: str) -> Author:
        before = author_of(owner)
        return replace(before, mark=mark, reason=reason or before.reason)

    return audited(plain, author)


def audited(store: Store, author_of: AuthorOf) -> Store:
    """Return a store whose changes by put, put_all, remove, open_lot and post are told in the audit."""
    return cast("Store", _Audited(store, author_of))
