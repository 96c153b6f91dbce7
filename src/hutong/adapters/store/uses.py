"""Use by day in SQL: kept by the transaction that writes usage records, checked, and made anew from them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import sqlalchemy as sa

from hutong.adapters.store import faults, rules
from hutong.adapters.store.bulk import merge_rows
from hutong.adapters.store.db import Database, chunks, many
from hutong.adapters.store.ledger_tables import usage, uses
from hutong.core.book.money import UsageRecord
from hutong.core.book.uses import Amounts, Key, Use, UseQuery, add_up, first_of
from hutong.core.kernel.days import month_of
from hutong.core.kernel.quantities import DAY_MS

_SUMS = ("quantity", "charge_micro", "energy_j", "green_j", "co2_mg")
_NAMES = ("project", "day", "person", "site", "sku", "unit")


def count_uses(connection: sa.Connection, records: Sequence[UsageRecord]) -> None:
    """Add usage records to the days they count in, a row for each group of the batch.

    In the order of the keys, so that two writers of the same days do not wait for each other.
    """
    if not records:
        return
    rows = [{**asdict(place), **asdict(amounts)} for place, amounts in add_up(records).items()]
    rows.sort(key=lambda row: tuple(row[name] for name in _NAMES))
    merge_rows(connection, uses, rows, _NAMES, add=_SUMS)


class Uses:
    """The part of the store that knows what was used by day."""

    _db: Database

    def uses(self, query: UseQuery) -> tuple[Use, ...]:
        """Return what was used, in groups, in the order of their keys."""
        with self._db.read() as connection:
            return read_uses(connection, query)

    def rebuild_uses(self) -> int:
        """Make use by day anew from the usage records; return of how many groups. Writers wait meanwhile."""

        def work(connection: sa.Connection) -> int:
            self._db.lock_tables(connection, [uses])
            connection.execute(uses.delete())
            rows = [
                {**row, "month": month_of(int(row["day"]))}
                for row in connection.execute(_RECORDED).mappings()
            ]
            many(connection, uses.insert(), rows)
            return len(rows)

        return self._db.write(work)


def read_uses(connection: sa.Connection, query: UseQuery) -> tuple[Use, ...]:
    """Return what was used, in groups, in the order of their keys."""
    limit = rules.page(query.limit)
    if query.projects is None:
        return first_of(dict(_read(connection, query, None)), limit)
    found: dict[Key, Amounts] = {}
    # Each part has the first groups in order, so together they have the first of all, whole.
    for some in chunks(sorted(query.projects)):
        for key, amounts in _read(connection, query, some):
            found[key] = found.get(key, Amounts()).plus(amounts)
    return first_of(found, limit)


def _read(
    connection: sa.Connection, query: UseQuery, projects: Sequence[str] | None
) -> Iterator[tuple[Key, Amounts]]:
    parts = [uses.c[part] for part in query.parts]
    sums = (sa.func.sum(uses.c[name]).label(name) for name in _SUMS)
    ask = sa.select(*parts, *sums).where(uses.c.day >= query.days[0], uses.c.day < query.days[1])
    if projects is not None:
        ask = ask.where(uses.c.project.in_(projects))
    sets = (
        (uses.c.person, query.people), (uses.c.site, query.sites),
        (uses.c.sku, query.skus), (uses.c.unit, query.units),
    )  # fmt: skip
    for column, wanted in sets:
        if wanted:
            ask = ask.where(column.in_(sorted(wanted)))
    if query.after:
        ask = ask.where(sa.tuple_(*parts) > sa.tuple_(*query.after))
    ask = ask.group_by(*parts).order_by(*parts).limit(rules.page(query.limit))
    for row in connection.execute(ask).mappings():
        yield tuple(row[part] for part in query.parts), _amounts(row)


def _amounts(row: sa.RowMapping) -> Amounts:
    return Amounts(*(int(row[name]) for name in _SUMS))


# Whole numbers that are not negative: every database divides them alike.
_DAY = usage.c.upto_ms.op("/")(sa.literal_column(str(DAY_MS)))
_OF = (usage.c.project, usage.c.person, usage.c.site, usage.c.sku, usage.c.unit)
_RECORDED = sa.select(
    *_OF,
    _DAY.label("day"),
    *(sa.cast(sa.func.sum(usage.c[name]), sa.BigInteger).label(name) for name in _SUMS),
).group_by(*_OF, _DAY)


def wrong_uses(connection: sa.Connection) -> Iterator[str]:
    """Yield a fault for each group whose sums are not those of its usage records."""
    told = (uses.c[name] for name in _NAMES)
    kept = sa.select(*told, *((-uses.c[name]).label(name) for name in _SUMS))
    there = _RECORDED.subquery()
    both = sa.union_all(
        kept, sa.select(*(there.c[name] for name in _NAMES), *(there.c[name] for name in _SUMS))
    ).subquery()
    names = [both.c[name] for name in _NAMES]
    sums = [sa.func.sum(both.c[name]) for name in _SUMS]
    query = sa.select(*names).group_by(*names).having(sa.or_(*(total != 0 for total in sums)))
    for row in connection.execute(query.order_by(*names), execution_options={"yield_per": 500}):
        yield faults.use_fault(tuple(row))
