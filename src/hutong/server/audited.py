"""A store that tells the audit of every change made through it: routes get one, and need not think of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from hutong.core.book.audit import UNTOLD, Author
from hutong.core.book.meters import Batch, Intake
from hutong.core.book.money import Lot, Posting, Turn, Txn
from hutong.core.book.periods import PeriodState
from hutong.core.book.received import Fate, Kept, Received
from hutong.core.book.store import Record, Store
from hutong.core.kernel.ids import LotId

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

    def post(self, posting: Posting, author: Author | None = None, turn: Turn | None = None) -> bool:
        return self.plain.post(posting, author or self.author_of(""), turn)

    def span_lot(self, lot: LotId, starts_ms: int, ends_ms: int, *, author: Author | None = None) -> bool:
        return self.plain.span_lot(lot, starts_ms, ends_ms, author=author or self.author_of(""))

    def claim_lot(self, name: LotId, now_ms: int, *, author: Author | None = None) -> Lot:
        return self.plain.claim_lot(name, now_ms, author=author or self.author_of(""))

    def move_period(
        self,
        name: str,
        state: PeriodState,
        now_ms: int,
        by: str,
        note: str = "",
        *,
        author: Author | None = None,
    ) -> bool:
        author = author or self.author_of("")
        return self.plain.move_period(name, state, now_ms, by, note, author=author)

    def resolve(
        self,
        record: Received,
        fate: Fate,
        reason: str,
        by: str,
        now_ms: int,
        *,
        author: Author | None = None,
    ) -> Kept:
        author = author or self.author_of("")
        return self.plain.resolve(record, fate, reason, by, now_ms, author=author)

    def read_meter(self, batch: Batch, *, author: Author | None = None) -> Intake:
        return self.plain.read_meter(batch, author=author or self.author_of(""))

    def _author(self, kind: str, record: Record | None = None) -> Author | None:
        return None if kind in UNTOLD else self.author_of("" if record is None else _owner(record))


def _owner(record: Record) -> str:
    """Return whom a document is about: who makes it, where nobody is signed in."""
    if record.kind == "person":
        return record.id
    return str(record.doc.get("owner") or record.doc.get("person") or "")


def untold(store: Store) -> Store:
    """Return the store of which nothing is told: for what the platform notes beside somebody's change."""
    return store.plain if isinstance(store, _Audited) else store


def marked(store: Store, mark: str = "", reason: str = "", actor: str = "") -> Store:
    """Return an audited store whose events have a mark, a reason, or who acts; a plain one stays as it is."""
    if not isinstance(store, _Audited):
        return store
    beneath, author_of = store.plain, store.author_of

    def author(owner: str) -> Author:
        before = author_of(owner)
        return replace(
            before,
            mark=mark or before.mark,
            reason=reason or before.reason,
            actor=actor or before.actor,
        )

    return audited(beneath, author)


def audited(store: Store, author_of: AuthorOf) -> Store:
    """Return a store that tells the audit of what people change through it."""
    return cast("Store", _Audited(store, author_of))
