"""The full check of the ledger in SQL: every invariant recomputed from the rows, in constant memory."""

from collections.abc import Iterator

import sqlalchemy as sa

from hutong.adapters.store import faults, rules
from hutong.adapters.store.codec import decode_job
from hutong.adapters.store.db import Database, rows_in
from hutong.adapters.store.ledger_tables import accounts, entries, hold_parts, lots, txns, usage
from hutong.adapters.store.rollup_check import wrong_rollups
from hutong.adapters.store.tables import jobs
from hutong.adapters.store.uses import wrong_uses
from hutong.core.book.money import OVERRUN, REVENUE
from hutong.core.book.store import LedgerCheck

_PAGE = 500


class Audit:
    """The audit's part of the store."""

    _db: Database

    def check_ledger(self) -> LedgerCheck:
        """Recompute every balance from entries, every hold from changes, every job's charge from usage.

        At most a hundred faults are named.
        """
        with self._db.read() as connection:
            counts = {each.name: _count(connection, each) for each in (txns, entries, usage)}
            found: list[str] = []
            for fault in _faults(connection):
                found.append(fault)
                if len(found) == rules.FAULTS_MAX:
                    break
        return LedgerCheck(counts["txns"], counts["entries"], counts["usage"], tuple(found))


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _faults(connection: sa.Connection) -> Iterator[str]:
    for query, text in _QUERIES:
        rows = connection.execute(query, execution_options={"yield_per": _PAGE})
        for row in rows:
            yield text.format(*(each if isinstance(each, str) else int(each or 0) for each in row))
    yield from _charges(connection)
    yield from wrong_uses(connection)
    yield from wrong_rollups(connection)


def _charges(connection: sa.Connection) -> Iterator[str]:
    """Compare each attempt's charge with its usage records, a page of jobs at a time."""
    after = ""
    matched = 0
    total = sa.func.sum(usage.c.charge_micro).label("total")
    sums = sa.select(usage.c.key, total, sa.func.count().label("rows")).where(
        usage.c.unit == "card_ms", usage.c.revision == 1
    )
    while True:
        page = sa.select(jobs.c.id, jobs.c.job).where(jobs.c.id > after).order_by(jobs.c.id).limit(_PAGE)
        rows = connection.execute(page).mappings().all()
        if not rows:
            break
        after = rows[-1]["id"]
        folded = [decode_job(row["job"]) for row in rows]
        charges = {job.key(each): each.charge_micro for job in folded for each in job.attempts}
        found = rows_in(connection, sums.group_by(usage.c.key), usage.c.key, sorted(charges))
        used = {row["key"]: (int(row["total"]), int(row["rows"])) for row in found}
        matched += sum(count for _, count in used.values())
        for key, charge in charges.items():
            if used.get(key, (0, 0))[0] != charge:
                yield faults.charge_fault(key, charge, used.get(key, (0, 0))[0])
    query = (
        sa.select(sa.func.count()).select_from(usage).where(usage.c.unit == "card_ms", usage.c.revision == 1)
    )
    strays = connection.execute(query).scalar_one() - matched
    if strays:
        yield faults.stray_fault(strays)


def _booked() -> sa.Select[*tuple[object, ...]]:
    """Charges by key as the usage records have them, beside the revenue that was booked for them."""
    zero: sa.ColumnElement[int] = sa.literal_column("0")
    used = sa.select(usage.c.key, usage.c.charge_micro.label("charge"), zero.label("revenue"))
    booked = (
        sa.select(txns.c.cause.label("key"), zero.label("charge"), entries.c.amount_micro.label("revenue"))
        .join_from(txns, entries, entries.c.txn == txns.c.id)
        .where(txns.c.kind.in_(faults.CHARGING), entries.c.account == REVENUE)
    )
    both = sa.union_all(used, booked).subquery()
    charge, revenue = sa.func.sum(both.c.charge), sa.func.sum(both.c.revenue)
    return sa.select(both.c.key, charge, revenue).group_by(both.c.key).having(charge != revenue)


def _summed(column: sa.Column[str], amount: sa.Column[int]) -> sa.Subquery:
    return sa.select(column.label("name"), sa.func.sum(amount).label("total")).group_by(column).subquery()


_posted = _summed(entries.c.account, entries.c.amount_micro)
_held = _summed(hold_parts.c.lot, hold_parts.c.amount_micro)

_total = sa.func.sum(entries.c.amount_micro)
_QUERIES: tuple[tuple[sa.Select[*tuple[object, ...]], str], ...] = (
    (sa.select(entries.c.txn, _total).group_by(entries.c.txn).having(_total != 0), faults.UNBALANCED),
    (
        sa.select(accounts.c.id, accounts.c.posted_micro - accounts.c.held_micro).where(
            accounts.c.posted_micro - accounts.c.held_micro < accounts.c.floor_micro
        ),
        faults.BELOW_FLOOR,
    ),
    (
        sa.select(accounts.c.id, accounts.c.posted_micro).where(
            accounts.c.id.startswith(OVERRUN), accounts.c.posted_micro > 0
        ),
        faults.OVERPAID,
    ),
    (
        sa.select(accounts.c.id, accounts.c.posted_micro, _posted.c.total)
        .join_from(accounts, _posted, _posted.c.name == accounts.c.id, isouter=True)
        .where(accounts.c.posted_micro != sa.func.coalesce(_posted.c.total, 0)),
        faults.WRONG_BALANCE,
    ),
    (
        sa.select(_posted.c.name, _posted.c.total)
        .join_from(_posted, accounts, _posted.c.name == accounts.c.id, isouter=True)
        .where(accounts.c.id.is_(None)),
        faults.NO_ACCOUNT,
    ),
    (
        sa.select(accounts.c.id, accounts.c.held_micro, _held.c.total)
        .join_from(accounts, lots, lots.c.account == accounts.c.id)
        .join(_held, _held.c.name == lots.c.id, isouter=True)
        .where(accounts.c.held_micro != sa.func.coalesce(_held.c.total, 0)),
        faults.WRONG_HELD,
    ),
    (_booked(), faults.UNBOOKED),
)
