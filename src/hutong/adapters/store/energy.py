"""Energy by the hour in SQL: hours that are due, the use of cards in them, and what they came to."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TypeVar

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.db import Database, many, rows_in
from hutong.adapters.store.energy_tables import energy_due, job_hours, matches, site_hours
from hutong.adapters.store.ledger_tables import LONG_USE, usage
from hutong.adapters.store.readings import mark
from hutong.core.book.energy import (
    DueHour,
    Hours,
    JobHour,
    JobUse,
    Match,
    Settled,
    SiteEnergy,
    SiteHour,
    add_uses,
    part_in,
)
from hutong.core.book.metered import NAMES_AT_ONCE
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS

_Row = TypeVar("_Row", SiteHour, JobHour, Match)
_SITE_SUMS = ("metered_j", "green_j", "grid_green_j", "location_mg", "market_mg")
_USED = (usage.c.key, usage.c.project, usage.c.sku, usage.c.quantity, usage.c.from_ms, usage.c.upto_ms)


class Energy:
    """The part of the store that knows what hours came to."""

    _db: Database

    def due_hours(self, now_ms: int, limit: int) -> tuple[DueHour, ...]:
        """Return the hours that are to be settled now, those that wait longest first."""
        query = sa.select(energy_due.c.region, energy_due.c.hour, energy_due.c.mark)
        query = query.where(energy_due.c.due_ms.is_not(None), energy_due.c.due_ms <= now_ms)
        query = query.order_by(energy_due.c.due_ms, energy_due.c.hour, energy_due.c.region)
        with self._db.read() as connection:
            rows = connection.execute(query.limit(rules.page(limit))).mappings().all()
        return tuple(DueHour(**row) for row in rows)

    def card_ms_in(self, site: str, hour: int) -> tuple[JobUse, ...]:
        """Return what each attempt used of a site's cards in an hour, in order of keys and accelerators."""
        start, end = hour * HOUR_MS, (hour + 1) * HOUR_MS
        here = sa.select(*_USED).where(
            usage.c.site == site, usage.c.unit == "card_ms", usage.c.upto_ms > start, usage.c.from_ms < end
        )
        # What is at most a day long and overlaps the hour ends within a day of it; few records are longer.
        short = here.where(usage.c.upto_ms < end + DAY_MS, usage.c.upto_ms - usage.c.from_ms <= DAY_MS)
        long = here.where(sa.text(LONG_USE))
        with self._db.read() as connection:
            rows = [row for query in (short, long) for row in connection.execute(query)]
        return add_uses(
            JobUse(key, project, sku, part_in(quantity, (from_ms, upto_ms), (start, end)))
            for key, project, sku, quantity, from_ms, upto_ms in rows
        )

    def settle_again(self, region: str, hours: Hours, now_ms: int) -> int:
        """Mark the hours of a region that have readings (at most 1,000) as due; return how many."""

        def work(connection: sa.Connection) -> int:
            query = sa.select(energy_due.c.hour).where(energy_due.c.region == region)
            query = query.where(energy_due.c.hour >= hours[0], energy_due.c.hour < hours[1])
            found = (
                connection.execute(query.order_by(energy_due.c.hour).limit(rules.PAGE_MAX)).scalars().all()
            )
            mark(self._db, connection, region, found, now_ms)
            return len(found)

        return self._db.write(work)

    def settle_hour(self, settled: Settled) -> bool:
        """Write a settled hour in place of what was there. False, and nothing is written, if news came."""
        due = settled.due

        def work(connection: sa.Connection) -> bool:
            done = energy_due.update().where(
                energy_due.c.region == due.region,
                energy_due.c.hour == due.hour,
                energy_due.c.mark == due.mark,
            )
            if not connection.execute(done.values(due_ms=settled.again_ms or None)).rowcount:
                return False
            old = sa.select(site_hours.c.site).where(
                site_hours.c.region == due.region, site_hours.c.hour == due.hour
            )
            here = [each.site for each in settled.sites]
            for site in sorted({*here, *connection.execute(old).scalars()}):
                for table in (site_hours, job_hours, matches):
                    connection.execute(table.delete().where(table.c.site == site, table.c.hour == due.hour))
            for table, rows in (
                (site_hours, settled.sites), (job_hours, settled.jobs), (matches, settled.matches)
            ):  # fmt: skip
                many(connection, table.insert(), [asdict(row) for row in rows])
            return True

        return self._db.write(work)

    def site_hours(self, site: str, hours: Hours, limit: int) -> tuple[SiteHour, ...]:
        """Return the settled hours of a site, in order."""
        query = _within(site_hours, hours).where(site_hours.c.site == site)
        return self._all(SiteHour, query.order_by(site_hours.c.hour), limit)

    def site_energy(self, sites: Sequence[str], hours: Hours) -> tuple[SiteEnergy, ...]:
        """Return what settled hours of sites (at most a thousand) came to, by site and basis, in order."""
        by = (site_hours.c.site, site_hours.c.basis)
        sums = (sa.func.sum(site_hours.c[name]).label(name) for name in _SITE_SUMS)
        query = sa.select(*by, sa.func.count().label("hours"), *sums).group_by(*by).order_by(*by)
        query = query.where(site_hours.c.hour >= hours[0], site_hours.c.hour < hours[1])
        with self._db.read() as connection:
            rows = list(rows_in(connection, query, site_hours.c.site, sorted(set(sites))[:NAMES_AT_ONCE]))
        return tuple(
            SiteEnergy(row["site"], row["basis"], row["hours"], *(int(row[name]) for name in _SITE_SUMS))
            for row in rows
        )

    def job_hours(self, keys: Sequence[str], hours: Hours, limit: int) -> tuple[JobHour, ...]:
        """Return what fell to some attempts (at most a thousand), in order of key and hour."""
        names = sorted(set(keys))[:NAMES_AT_ONCE]
        with self._db.read() as connection:
            query = _within(job_hours, hours).order_by(job_hours.c.key, job_hours.c.hour)
            rows = list(rows_in(connection, query.limit(rules.page(limit)), job_hours.c.key, names))
        return tuple(JobHour(**row) for row in rows[: rules.page(limit)])

    def matches(self, site: str, hours: Hours, limit: int) -> tuple[Match, ...]:
        """Return what was matched with a site's use, in order of hour and contract."""
        query = _within(matches, hours).where(matches.c.site == site)
        return self._all(Match, query.order_by(matches.c.hour, matches.c.contract), limit)

    def _all(self, kind: type[_Row], query: sa.Select[*tuple[object, ...]], limit: int) -> tuple[_Row, ...]:
        with self._db.read() as connection:
            rows = connection.execute(query.limit(rules.page(limit))).mappings().all()
        return tuple(kind(**row) for row in rows)


def _within(table: sa.Table, hours: Hours) -> "sa.Select[*tuple[object, ...]]":
    return sa.select(table).where(table.c.hour >= hours[0], table.c.hour < hours[1])
