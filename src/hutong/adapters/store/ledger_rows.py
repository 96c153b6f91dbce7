"""Rows of the ledger as the shapes of the core."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.accounting import HoldState
from hutong.adapters.store.db import Row, chunks, rows_in
from hutong.adapters.store.ledger_tables import accounts, entries, hold_parts, lots, usage
from hutong.core.book.money import (
    Entry,
    Lot,
    LotKind,
    Txn,
    UsageRecord,
    overrun_account,
)
from hutong.core.kernel.errors import NotFound
from hutong.core.kernel.ids import LotId, ProjectId

PARTS = sa.select(hold_parts).order_by(hold_parts.c.key, hold_parts.c.n)
LOTS = sa.select(lots, accounts.c.posted_micro, accounts.c.held_micro).join_from(
    lots, accounts, accounts.c.id == lots.c.account
)
DEBTS = sa.select(accounts.c.id, accounts.c.posted_micro)
USAGE = sa.select(*(usage.c[each.name] for each in fields(UsageRecord)))
_LEGS = sa.select(entries.c.txn, entries.c.account, entries.c.amount_micro).order_by(
    entries.c.txn, entries.c.n
)


def record_of(row: Iterable[Any]) -> UsageRecord:
    """Return the usage record of a row of `USAGE`."""
    return UsageRecord(*row)


def read_holds(connection: sa.Connection, found: Sequence[Row]) -> dict[str, HoldState]:
    """Return these rows of holds with their parts, in the order of the rows."""
    return holds_of(found, list(rows_in(connection, PARTS, hold_parts.c.key, [row["key"] for row in found])))


def holds_of(found: Sequence[Row], parts: Iterable[Row]) -> dict[str, HoldState]:
    """Return holds by their rows and those of `PARTS`, some of which may be of other holds."""
    states = {row["key"]: HoldState(ProjectId(row["project"]), row["closed"]) for row in found}
    for row in parts:
        if row["key"] in states:
            states[row["key"]].parts[LotId(row["lot"])] = row["amount_micro"]
    return states


def lot_of(row: Row) -> Lot:
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
    for names in chunks([row["id"] for row in rows]):
        for txn, account, amount in connection.execute(_LEGS.where(entries.c.txn.in_(names))).all():
            legs.setdefault(txn, []).append(Entry(account, amount))
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


def lot_in(connection: sa.Connection, name: LotId) -> Lot:
    """Return a lot whose terms nobody else changes until the end; raises NotFound."""
    query = LOTS.where(lots.c.id == name).with_for_update(of=lots)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound("not_found", f"there is no lot {name!r}")
    return lot_of(row)


def read_lots(connection: sa.Connection, projects: Sequence[str]) -> dict[ProjectId, tuple[Lot, ...]]:
    """Return the lots of each of these projects in the order in which they pay."""
    return lots_of(rows_in(connection, LOTS, lots.c.project, projects), projects)


def lots_of(rows: Iterable[Row], projects: Sequence[str]) -> dict[ProjectId, tuple[Lot, ...]]:
    """Return the lots of each of these projects, of rows of `LOTS`, in the order in which they pay."""
    found: dict[ProjectId, list[Lot]] = {ProjectId(project): [] for project in projects}
    for row in rows:
        if row["project"] in found:
            found[row["project"]].append(lot_of(row))
    return {project: tuple(sorted(each, key=rules.pay_order)) for project, each in found.items()}


def debt_accounts(projects: Iterable[str]) -> list[str]:
    """Return the accounts of what projects owe, in order."""
    return sorted(overrun_account(ProjectId(project)) for project in projects)


def debts_of(rows: Iterable[Row], projects: Iterable[str]) -> dict[ProjectId, int]:
    """Return what those of these projects owe that owe anything, of rows of `DEBTS`."""
    owed = {row["id"]: -row["posted_micro"] for row in rows if row["posted_micro"] < 0}
    names = ((ProjectId(project), overrun_account(ProjectId(project))) for project in projects)
    return {project: owed[account] for project, account in names if account in owed}
