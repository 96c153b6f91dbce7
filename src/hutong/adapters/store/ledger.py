"""The ledger in SQL: lots, transactions, holds and usage, each posting whole or not at all."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import sqlalchemy as sa

from hutong.adapters.store import accounting, rules
from hutong.adapters.store.accounting import Balance, HoldState, Plan
from hutong.adapters.store.chain import append
from hutong.adapters.store.combining import Combiner, PostAlone
from hutong.adapters.store.db import Database, many, rows_in
from hutong.adapters.store.periods import book_in
from hutong.adapters.store.tables import accounts, entries, hold_parts, holds, lots, txns, usage
from hutong.core.book.audit import Author, told_of_lot, told_of_txn
from hutong.core.book.money import (
    Entry,
    HoldChange,
    Lot,
    LotKind,
    Posting,
    Txn,
    UsageRecord,
    lot_account,
    overrun_account,
)
from hutong.core.book.store import Span
from hutong.core.kernel.errors import Conflict, HutongError, NotFound
from hutong.core.kernel.ids import LotId, ProjectId

_MOVE = (
    accounts.update()
    .where(accounts.c.id == sa.bindparam("name"))
    .values(
        posted_micro=accounts.c.posted_micro + sa.bindparam("posted"),
        held_micro=accounts.c.held_micro + sa.bindparam("held"),
    )
)
_REARM = (
    lots.update()
    .where(lots.c.account == sa.bindparam("name"), lots.c.due_ms.is_(None))
    .values(due_ms=lots.c.ends_ms)
)
_CLOSE = holds.update().where(holds.c.key == sa.bindparam("name")).values(closed=True)
_DROP_PARTS = hold_parts.delete().where(hold_parts.c.key == sa.bindparam("name"))
_PARTS = sa.select(hold_parts).order_by(hold_parts.c.key, hold_parts.c.n)
LOTS = sa.select(lots, accounts.c.posted_micro, accounts.c.held_micro).join_from(
    lots, accounts, accounts.c.id == lots.c.account
)
_FIELDS = tuple(column.name for column in usage.columns)


def record_of(row: sa.RowMapping) -> UsageRecord:
    """Return the usage record of a row."""
    return UsageRecord(**{name: row[name] for name in _FIELDS})


def post_all(
    db: Database, connection: sa.Connection, postings: Sequence[Posting], *, guarded: bool
) -> tuple[bool, ...]:
    """Write postings in the caller's transaction; say of each whether it was news."""
    known = _known_txns(connection, postings)
    states = _lock_holds(connection, postings)
    out = accounting.plan(postings, known, states, guarded=guarded)
    if out.reversed_txns:
        _check_reversals(connection, out)
    guards = [*out.lot_accounts, *out.repaid_accounts, *out.paid_out_accounts]
    booked = book_in(db, connection, [txn.effective_ms for txn in out.txns])
    accounting.check_funds(out, _lock_balances(connection, guards))
    _write(db, connection, out, booked)
    return tuple(out.fresh)


def post_each(
    db: Database, connection: sa.Connection, postings: Sequence[Posting]
) -> Sequence[bool | HutongError]:
    """Write those postings that may be; say of each whether it was news, or why it may not be."""
    if any(txn.reverses for posting in postings for txn in posting.txns):
        if len(postings) > 1:
            raise PostAlone
        return [post_all(db, connection, postings, guarded=False)[0]]
    known = _known_txns(connection, postings)
    states = _lock_holds(connection, postings)
    moments = [txn.effective_ms for posting in postings for txn in posting.txns if txn.id not in known]
    book_in(db, connection, moments)
    balances = _lock_balances(connection, accounting.guarded_accounts(postings))
    out, verdicts = accounting.plan_each(postings, known, states, balances)
    _write(db, connection, out, book_in(db, connection, [txn.effective_ms for txn in out.txns]))
    return verdicts


def _lock_holds(connection: sa.Connection, postings: Sequence[Posting]) -> dict[str, HoldState]:
    keys = {change.key for posting in postings for change in posting.holds}
    query = sa.select(holds).order_by(holds.c.key).with_for_update()
    return read_holds(connection, list(rows_in(connection, query, holds.c.key, sorted(keys))))


def _write(db: Database, connection: sa.Connection, out: Plan, booked: Sequence[str]) -> None:
    _write_txns(db, connection, out, booked)
    _write_holds(db, connection, out)
    many(connection, usage.insert(), [asdict(record) for record in out.usage])


def _check_reversals(connection: sa.Connection, out: Plan) -> None:
    names = out.reversed_txns
    # Their rows are locked: what is given back of one is given back by one at a time.
    query = sa.select(txns).order_by(txns.c.id).with_for_update()
    originals = {
        txn.id: txn for txn in with_entries(connection, list(rows_in(connection, query, txns.c.id, names)))
    }
    query = sa.select(txns).where(txns.c.reverses != "")
    earlier = with_entries(connection, list(rows_in(connection, query, txns.c.reverses, names)))
    accounting.check_reversals(out, originals, earlier)


def _known_txns(connection: sa.Connection, postings: Sequence[Posting]) -> set[str]:
    ids = sorted({txn.id for posting in postings for txn in posting.txns})
    return {str(row["id"]) for row in rows_in(connection, sa.select(txns.c.id), txns.c.id, ids)}


def _lock_balances(connection: sa.Connection, names: Sequence[str]) -> dict[str, Balance]:
    query = sa.select(accounts).order_by(accounts.c.id).with_for_update()
    return {
        row["id"]: Balance(row["posted_micro"], row["held_micro"], row["floor_micro"])
        for row in rows_in(connection, query, accounts.c.id, names)
    }


def _write_txns(db: Database, connection: sa.Connection, out: Plan, booked: Sequence[str]) -> None:
    rows = [_txn_row(txn, period) for txn, period in zip(out.txns, booked, strict=True)]
    many(connection, txns.insert(), rows)
    many(connection, entries.insert(), [row for txn in out.txns for row in _entry_rows(txn)])
    lot_moves = [
        {"name": name, "posted": out.posted.get(name, 0), "held": out.held.get(name, 0)}
        for name in out.lot_accounts
    ]
    many(connection, _MOVE, lot_moves)
    # What comes back to a lot that has ended must be found by who lets it expire.
    many(connection, _REARM, [{"name": name} for name in out.refilled_accounts])
    others = sorted(name for name in out.posted if not accounting.is_lot(name))
    if others:
        insert = db.upsert(accounts)
        total = accounts.c.posted_micro + insert.excluded.posted_micro
        upsert = insert.on_conflict_do_update(index_elements=["id"], set_={"posted_micro": total})
        many(
            connection,
            upsert,
            [
                {"id": name, "posted_micro": out.posted[name], "held_micro": 0, "floor_micro": None}
                for name in others
            ],
        )


def _txn_row(txn: Txn, period: str) -> dict[str, object]:
    return {
        "id": txn.id,
        "kind": txn.kind,
        "project": txn.project,
        "effective_ms": txn.effective_ms,
        "cause": txn.cause,
        "period": period,
        "reverses": txn.reverses,
        "reverses_from": txn.reverses_from,
        "site": txn.site,
        "reason": txn.reason,
    }


def _entry_rows(txn: Txn) -> Iterable[dict[str, object]]:
    for n, entry in enumerate(txn.entries):
        yield {"txn": txn.id, "n": n, "account": entry.account, "amount_micro": entry.amount_micro}


def _write_holds(db: Database, connection: sa.Connection, out: Plan) -> None:
    opened = sorted(out.opened)
    many(
        connection,
        holds.insert(),
        [{"key": key, "project": out.holds[key].project, "closed": out.holds[key].closed} for key in opened],
    )
    closed = [{"name": key} for key, state in out.holds.items() if state.closed and key not in out.opened]
    many(connection, _CLOSE, closed)
    many(connection, _DROP_PARTS, closed)
    parts = [
        {"key": key, "lot": lot, "n": n, "amount_micro": amount}
        for key, state in out.holds.items()
        if not state.closed
        for n, (lot, amount) in enumerate(state.parts.items())
    ]
    insert = db.upsert(hold_parts)
    amount = insert.excluded.amount_micro
    many(
        connection,
        insert.on_conflict_do_update(index_elements=["key", "lot"], set_={"amount_micro": amount}),
        parts,
    )


def read_holds(connection: sa.Connection, found: Sequence[sa.RowMapping]) -> dict[str, HoldState]:
    """Return these rows of holds with their parts, in the order of the rows."""
    states = {row["key"]: HoldState(ProjectId(row["project"]), row["closed"]) for row in found}
    for row in rows_in(connection, _PARTS, hold_parts.c.key, list(states)):
        states[row["key"]].parts[LotId(row["lot"])] = row["amount_micro"]
    return states


def lot_of(row: sa.RowMapping) -> Lot:
    """Return the lot of a row of `LOTS`."""
    return Lot(
        id=LotId(row["id"]),
        project=ProjectId(row["project"]),
        kind=LotKind(row["kind"]),
        rate_ppm=row["rate_ppm"],
        starts_ms=row["starts_ms"],
        ends_ms=row["ends_ms"],
        posted_micro=row["posted_micro"],
        held_micro=row["held_micro"],
        clawed=row["clawed"],
    )


def with_entries(connection: sa.Connection, rows: Sequence[sa.RowMapping]) -> tuple[Txn, ...]:
    """Return the transactions of these rows with their entries, in the order of the rows."""
    legs: dict[str, list[Entry]] = {}
    of_txns = sa.select(entries).order_by(entries.c.txn, entries.c.n)
    for leg in rows_in(connection, of_txns, entries.c.txn, [row["id"] for row in rows]):
        legs.setdefault(leg["txn"], []).append(Entry(leg["account"], leg["amount_micro"]))
    return tuple(
        Txn(
            id=row["id"],
            kind=row["kind"],
            project=ProjectId(row["project"]),
            effective_ms=row["effective_ms"],
            cause=row["cause"],
            entries=tuple(legs.get(row["id"], ())),
            reverses=row["reverses"],
            reverses_from=row["reverses_from"],
            reason=row["reason"],
            site=row["site"],
            period=row["period"],
        )
        for row in rows
    )


def read_lots(connection: sa.Connection, projects: Sequence[str]) -> dict[ProjectId, tuple[Lot, ...]]:
    """Return the lots of each of these projects in the order in which they pay."""
    found: dict[ProjectId, list[Lot]] = {ProjectId(project): [] for project in projects}
    for row in rows_in(connection, LOTS, lots.c.project, projects):
        lot = lot_of(row)
        found[lot.project].append(lot)
    return {project: tuple(sorted(each, key=rules.pay_order)) for project, each in found.items()}


def read_debts(connection: sa.Connection, projects: Sequence[str]) -> dict[ProjectId, int]:
    """Return what those of these projects owe that owe anything."""
    names = {overrun_account(ProjectId(project)): ProjectId(project) for project in projects}
    query = sa.select(accounts.c.id, accounts.c.posted_micro)
    rows = rows_in(connection, query, accounts.c.id, sorted(names))
    return {names[row["id"]]: -row["posted_micro"] for row in rows if row["posted_micro"] < 0}


class Ledger:
    """The ledger's part of the store."""

    _db: Database
    _combiner: Combiner

    def open_lot(self, lot: Lot, *txns: Txn, author: Author | None = None) -> bool:
        """Create a lot with the transaction that fills it; False if that transaction is already there."""

        def work(connection: sa.Connection) -> bool:
            posting = Posting(txns)
            if txns[0].id in _known_txns(connection, [posting]):
                return False
            if connection.execute(sa.select(lots.c.id).where(lots.c.id == lot.id)).first():
                raise Conflict("lot_exists", f"lot {lot.id} exists already")
            account = lot_account(lot.id)
            row = {"id": account, "posted_micro": 0, "held_micro": 0, "floor_micro": 0}
            connection.execute(accounts.insert(), row)
            row = {
                "id": lot.id,
                "account": account,
                "project": lot.project,
                "kind": lot.kind.value,
                "rate_ppm": lot.rate_ppm,
                "starts_ms": lot.starts_ms,
                "ends_ms": lot.ends_ms,
                "due_ms": lot.ends_ms,
                "clawed": False,
            }
            connection.execute(lots.insert(), row)
            fresh = post_all(self._db, connection, [posting], guarded=False)[0]
            if fresh and author is not None:
                told = told_of_lot(lot, txns[0])
                append(self._db, connection, author, f"{lot.kind.value}.create", f"lot/{lot.id}", None, told)
            return fresh

        return self._db.write(work)

    def span_lot(self, lot: LotId, starts_ms: int, ends_ms: int) -> bool:
        """Set when a lot may be held against; False if it was so already. Raises NotFound."""

        def work(connection: sa.Connection) -> bool:
            here = lots.c.id == lot
            if not connection.execute(sa.select(lots.c.id).where(here)).first():
                raise NotFound("not_found", f"there is no lot {lot!r}")
            other = sa.or_(lots.c.starts_ms != starts_ms, lots.c.ends_ms != ends_ms)
            span = {"starts_ms": starts_ms, "ends_ms": ends_ms, "due_ms": ends_ms}
            change = lots.update().where(here, other).values(span)
            return connection.execute(change).rowcount > 0

        return self._db.write(work)

    def post(self, posting: Posting, author: Author | None = None) -> bool:
        """Write transactions, holds and usage together; False if the first transaction is already there.

        Raises Conflict("insufficient_funds") if a hold does not fit its lot.
        """
        if author is None:
            return self._combiner.post(posting)

        def work(connection: sa.Connection) -> bool:
            fresh = post_all(self._db, connection, [posting], guarded=False)[0]
            for txn in posting.txns if fresh else ():
                append(
                    self._db, connection, author, f"{txn.kind}.post", f"txn/{txn.id}", None, told_of_txn(txn)
                )
            return fresh

        return self._db.write(work)

    def _post_each(self, postings: Sequence[Posting]) -> Sequence[bool | HutongError]:
        return self._db.write(lambda connection: post_each(self._db, connection, postings))

    def lots(self, project: ProjectId) -> tuple[Lot, ...]:
        """Return a project's lots with balances, in the order in which they pay."""
        with self._db.read() as connection:
            return read_lots(connection, [project])[project]

    def holds(self, project: ProjectId, limit: int) -> tuple[HoldChange, ...]:
        """Return open holds of a project, each as the change that would have opened it."""
        query = sa.select(holds).where(holds.c.project == project, sa.not_(holds.c.closed))
        query = query.order_by(holds.c.key).limit(rules.page(limit))
        with self._db.read() as connection:
            states = read_holds(connection, connection.execute(query).mappings().all())
        return tuple(state.as_change(key) for key, state in states.items())

    def hold(self, key: str) -> HoldChange | None:
        """Return one open hold."""
        query = sa.select(holds).where(holds.c.key == key, sa.not_(holds.c.closed))
        with self._db.read() as connection:
            states = read_holds(connection, connection.execute(query).mappings().all())
        return states[key].as_change(key) if states else None

    def usage(
        self, project: ProjectId, key: str, after: str, limit: int, span: Span | None = None
    ) -> tuple[UsageRecord, ...]:
        """Return usage records in order of id above `after`; all of the project where `key` is empty."""
        query = sa.select(usage).where(usage.c.project == project, usage.c.id > after)
        if key:
            query = query.where(usage.c.key == key)
        if span:
            query = query.where(usage.c.upto_ms >= span[0], usage.c.upto_ms < span[1])
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(usage.c.id).limit(rules.page(limit))).mappings().all()
        return tuple(record_of(row) for row in rows)

    def txns(
        self, project: ProjectId, cause: str, after: str, limit: int, span: Span | None = None
    ) -> tuple[Txn, ...]:
        """Return transactions in order of id above `after`; all of the project where `cause` is empty."""
        query = sa.select(txns).where(txns.c.project == project, txns.c.id > after)
        if cause:
            query = query.where(txns.c.cause == cause)
        if span:
            query = query.where(txns.c.effective_ms >= span[0], txns.c.effective_ms < span[1])
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(txns.c.id).limit(rules.page(limit))).mappings().all()
            return with_entries(connection, rows)

    def txn(self, name: str) -> Txn | None:
        """Return one transaction."""
        with self._db.read() as connection:
            rows = connection.execute(sa.select(txns).where(txns.c.id == name)).mappings().all()
            return next(iter(with_entries(connection, rows)), None)

    def reversals(self, names: Sequence[str]) -> tuple[Txn, ...]:
        """Return what was given back of some transactions (at most a thousand), in order of what and when."""
        query = sa.select(txns).where(txns.c.reverses != "").order_by(txns.c.reverses, txns.c.reverses_from)
        with self._db.read() as connection:
            found = list(rows_in(connection, query, txns.c.reverses, names[: rules.PAGE_MAX]))
            return with_entries(connection, found)

    def balances(self, accounts_: Sequence[str]) -> tuple[Entry, ...]:
        """Return the posted balance of each account (0 for one that never had an entry)."""
        query = sa.select(accounts.c.id, accounts.c.posted_micro)
        with self._db.read() as connection:
            rows = rows_in(connection, query, accounts.c.id, sorted(set(accounts_)))
            found = {row["id"]: row["posted_micro"] for row in rows}
        return tuple(Entry(name, found.get(name, 0)) for name in accounts_)
