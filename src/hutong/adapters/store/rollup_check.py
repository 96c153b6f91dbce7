"""Compares the sums that reports read with the records: totals of all, hours of a bounded sample."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise

import sqlalchemy as sa

from hutong.adapters.store import faults
from hutong.adapters.store.ledger_rows import USAGE, record_of
from hutong.adapters.store.ledger_tables import usage
from hutong.adapters.store.rollup_tables import rollups
from hutong.adapters.store.sealed_tables import pool_hours
from hutong.core.book import rollups as r
from hutong.core.kernel.days import month_days
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS

PROJECTS_LOOKED_AT = 20
RECORDS_LOOKED_AT = 1000
"""Of each of so many projects so many records of its newest day at most, cut by hours anew."""

_PAGE = 500


def wrong_rollups(connection: sa.Connection) -> Iterator[str]:
    """Yield a fault for each total of sums that is not that of its records, and each wrong hour of a sample.

    Parts of a record add up to it exactly, so totals need no cutting; what lies in which hour is looked at
    in the newest day of a few projects.
    """
    for family, query in _comparisons():
        for row in connection.execute(query, execution_options={"yield_per": _PAGE}):
            yield faults.rollup_fault(family.id, tuple(row))
    yield from _hours(connection)


@cache
def _comparisons() -> tuple[tuple[r.Family, sa.Select[*tuple[object, ...]]], ...]:
    """Return what finds unequal totals, built once: months with records, or with months of a family of more
    names; then the months of each family with its days, and its days with its hours where it has them.
    """
    found = [(r.USE, _months(r.USE, usage)), (r.SEEN, _months(r.SEEN, _seen()))]
    for family in r.KEPT:
        table = rollups[family.id]
        found += [(coarse, _months(coarse, table)) for coarse in family.coarser]
        grains = [r.Grain.MONTH, r.Grain.DAY, *([r.Grain.HOUR] if family.finest is r.Grain.HOUR else [])]
        for long, short in pairwise(grains):
            sides = (_side(table, family, 1, long), _side(table, family, -1, short))
            found.append((family, _unequal(family, sides)))
    return tuple(found)


def _seen() -> sa.Subquery:
    """Return the hours of pools under the names of their sums."""
    hour = pool_hours.c
    counts = hour.busy_card_ms.is_not(None)
    return sa.select(
        hour.site,
        hour.accelerator.label("sku"),
        sa.case((counts, hour.method), else_="").label("method"),
        (hour.cards * hour.seen_ms).label("seen_card_ms"),
        hour.held_card_ms,
        sa.case((counts, hour.held_card_ms), else_=0).label("counted_card_ms"),
        sa.func.coalesce(hour.busy_card_ms, 0).label("busy_card_ms"),
    ).subquery()


def _side(
    table: sa.FromClause, family: r.Family, sign: int, grain: r.Grain
) -> sa.Select[*tuple[object, ...]]:
    names = (table.c[name] for name in family.names)
    part = sa.select(*names, *((sign * table.c[name]).label(name) for name in family.sums))
    return part.where(table.c.grain == int(grain)) if "grain" in table.c else part


def _months(family: r.Family, finer: sa.FromClause) -> sa.Select[*tuple[object, ...]]:
    kept = _side(rollups[family.id], family, -1, r.Grain.MONTH)
    return _unequal(family, (_side(finer, family, 1, r.Grain.MONTH), kept))


def _unequal(
    family: r.Family, sides: Sequence[sa.Select[*tuple[object, ...]]]
) -> sa.Select[*tuple[object, ...]]:
    both = sa.union_all(*sides).subquery()
    by = [both.c[name] for name in family.names]
    totals = [sa.func.sum(both.c[name]) for name in family.sums]
    return sa.select(*by).group_by(*by).having(sa.or_(*(total != 0 for total in totals))).order_by(*by)


def _hours(connection: sa.Connection) -> Iterator[str]:
    """Cut the records of the newest day of some projects by hours anew."""
    table = rollups[r.PROJECT_USE.id]
    months = sa.select(sa.func.max(table.c["at"])).where(table.c.grain == int(r.Grain.MONTH))
    month = connection.execute(months).scalar_one()
    if month is None:
        return
    first, after = month_days(int(month))
    newest = sa.select(table.c.project, sa.func.max(table.c["at"]).label("day"))
    newest = newest.where(table.c.grain == int(r.Grain.DAY), table.c["at"] >= first, table.c["at"] < after)
    newest = newest.group_by(table.c.project).order_by(table.c.project).limit(PROJECTS_LOOKED_AT)
    for project, day in connection.execute(newest).all():
        records = USAGE.where(usage.c.project == project, usage.c.upto_ms >= int(day) * DAY_MS)
        records = records.where(usage.c.from_ms < (int(day) + 1) * DAY_MS).limit(RECORDS_LOOKED_AT + 1)
        found = [record_of(row) for row in connection.execute(records)]
        if len(found) <= RECORDS_LOOKED_AT:
            hours = (int(day) * DAY_MS // HOUR_MS, (int(day) + 1) * DAY_MS // HOUR_MS)
            yield from _of_day(connection, str(project), hours, r.use_rows(found))


def _of_day(connection: sa.Connection, project: str, hours: tuple[int, int], cut: r.Rows) -> Iterator[str]:
    table = rollups[r.USE.id]
    columns = [table.c[name] for name in ("at", *r.USE.names, *r.USE.sums)]
    query = sa.select(*columns).where(table.c.grain == int(r.Grain.HOUR), table.c.project == project)
    query = query.where(table.c["at"] >= hours[0], table.c["at"] < hours[1])
    wide = 1 + len(r.USE.names)
    kept = {tuple(row)[:wide]: tuple(row)[wide:] for row in connection.execute(query)}
    right = {key: sums for key, sums in cut.items() if hours[0] <= int(key[0]) < hours[1]}
    nothing = (0,) * len(r.USE.sums)
    for key in sorted({*kept, *right}):
        if kept.get(key, nothing) != right.get(key, nothing):
            yield faults.rollup_fault(r.USE.id, (*key[1:], f"hour {key[0]}"))
