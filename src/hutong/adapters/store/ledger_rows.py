"""Rows of the ledger as the shapes of the core."""

from collections.abc import Sequence

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.accounting import HoldState
from hutong.adapters.store.db import rows_in
from hutong.adapters.store.ledger_tables import accounts, entries, hold_parts, lots, usage
from hutong.core.book.money import (
    Entry,
    Lot,
    LotKind,
    Txn,
    UsageRecord,
    overrun_account,
)
from hutong.core.kernel.ids import LotId, ProjectId

_PARTS = sa.select(hold_parts).order_by(hold_parts.c.key, hold_parts.c.n)
LOTS = sa.select(lots, accounts.c.posted_micro, accounts.c.held_micro).join_from(
    lots, accounts, accounts.c.id == lots.c.account
)
RECORD_FIELDS = tuple(column.name for column in usage.columns)


def record_of(row: sa.RowMapping) -> UsageRecord:
    """Return the usage record of a row."""
    return UsageRecord(**{name: row[name] for name in RECORD_FIELDS})


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
