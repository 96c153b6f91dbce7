"""Readings of meters in SQL: facts in revisions, and their hours, kept by who writes them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.chain import append
from hutong.adapters.store.db import Database, chunks, many
from hutong.adapters.store.energy_tables import energy_due, meter_hours, readings
from hutong.adapters.store.tables import registry
from hutong.core.book import meters
from hutong.core.book.audit import Author
from hutong.core.book.energy import Hours
from hutong.core.book.meters import METER, Batch, Intake, KeptReading, Measures, Meter, MeterHour, Reading

_later = readings.alias("later")
_IN_FORCE = sa.select(readings.c.from_ms, readings.c.upto_ms, readings.c.value).where(
    readings.c.value.is_not(None),
    ~sa.exists().where(
        _later.c.meter == readings.c.meter,
        _later.c.upto_ms == readings.c.upto_ms,
        _later.c.revision > readings.c.revision,
    ),
)


class Readings:
    """The part of the store that knows what meters said."""

    _db: Database

    def read_meter(self, batch: Batch, *, author: Author | None = None) -> Intake:
        """Keep readings, and mark the hours that they change as due; all of them or none."""

        def work(connection: sa.Connection) -> Intake:
            meter = batch.meter
            named = sa.select(registry.c.id).where(registry.c.kind == METER, registry.c.id == meter.id)
            connection.execute(named.with_for_update()).first()  # one writer of a meter at a time
            there = _revisions(connection, meter.id, sorted({each.upto_ms for each in batch.readings}))
            news = meters.news_of(batch, there)
            if not news:
                return Intake(0, len(batch.readings), 0)
            many(connection, readings.insert(), [_row(each) for each in news])
            look = _Look(connection, meter.id)
            hours = meters.changed_hours(meter, news, there, look.before, look.onward)
            told = meters.readings_in(meter, hours, look.before, look.onward)
            made = meters.hours_of(meter, meters.steps_of(meter, told), hours)
            changed = _replace(connection, meter, hours, made)
            mark(self._db, connection, meter.region, changed, batch.now_ms)
            if author is not None:
                verb = "correct" if batch.correct else "read"
                name = f"{METER}/{meter.id}"
                append(self._db, connection, author, f"{METER}.{verb}", name, None, meters.told_of(news))
            return Intake(len(news), len(batch.readings) - len(news), len(changed))

        return self._db.write(work)

    def readings(self, meter: str, span: tuple[int, int], limit: int) -> tuple[KeptReading, ...]:
        """Return all revisions of readings that end in `[from, to)` UTC ms, in order of end and revision."""
        query = sa.select(readings).where(
            readings.c.meter == meter, readings.c.upto_ms >= span[0], readings.c.upto_ms < span[1]
        )
        query = query.order_by(readings.c.upto_ms, readings.c.revision).limit(rules.page(limit))
        with self._db.read() as connection:
            return tuple(_kept(row) for row in connection.execute(query).mappings())

    def meter_hours(
        self, site: str, hours: Hours, after: tuple[int, str], limit: int
    ) -> tuple[MeterHour, ...]:
        """Return what a site's meters came to, in order of hour and meter beyond `after`."""
        place = sa.tuple_(meter_hours.c.hour, meter_hours.c.meter)
        query = sa.select(meter_hours).where(meter_hours.c.site == site, place > sa.tuple_(*after))
        query = query.where(meter_hours.c.hour >= hours[0], meter_hours.c.hour < hours[1])
        query = query.order_by(meter_hours.c.hour, meter_hours.c.meter).limit(rules.page(limit))
        with self._db.read() as connection:
            return tuple(_hour(row) for row in connection.execute(query).mappings())

    def region_hours(self, region: str, hour: int) -> tuple[MeterHour, ...]:
        """Return what all meters of a region came to in one hour, in order of their ids (at most 1,000)."""
        query = sa.select(meter_hours).where(meter_hours.c.region == region, meter_hours.c.hour == hour)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(meter_hours.c.meter).limit(rules.PAGE_MAX)).mappings()
            return tuple(_hour(row) for row in rows)


class _Look:
    """The readings in force of a meter, found from a moment on or before it."""

    def __init__(self, connection: sa.Connection, meter: str) -> None:
        self._connection = connection
        self._query = _IN_FORCE.where(readings.c.meter == meter)
        self._meter = meter

    def before(self, at_ms: int) -> Reading | None:
        """Return the last one that ends at a moment or before it."""
        query = self._query.where(readings.c.upto_ms <= at_ms).order_by(readings.c.upto_ms.desc()).limit(1)
        row = self._connection.execute(query).first()
        return Reading(self._meter, *row) if row else None

    def onward(self, at_ms: int) -> Iterator[Reading]:
        """Yield those that end at a moment or later; page by page, for few of them may be wanted."""
        page = 2
        while True:
            query = self._query.where(readings.c.upto_ms >= at_ms).order_by(readings.c.upto_ms).limit(page)
            rows = self._connection.execute(query).all()
            yield from (Reading(self._meter, *row) for row in rows)
            if len(rows) < page:
                return
            at_ms, page = rows[-1].upto_ms + 1, rules.PAGE_MAX


def _revisions(connection: sa.Connection, meter: str, ends: Sequence[int]) -> dict[int, list[KeptReading]]:
    found: dict[int, list[KeptReading]] = {}
    for some in chunks(ends):
        query = sa.select(readings).where(readings.c.meter == meter, readings.c.upto_ms.in_(some))
        for row in connection.execute(query.order_by(readings.c.revision)).mappings():
            found.setdefault(row["upto_ms"], []).append(_kept(row))
    return found


def _replace(connection: sa.Connection, meter: Meter, hours: Hours, made: Sequence[MeterHour]) -> list[int]:
    """Write a meter's hours in place of those that were there; return which are not the same."""
    here = sa.and_(
        meter_hours.c.meter == meter.id, meter_hours.c.hour >= hours[0], meter_hours.c.hour < hours[1]
    )
    before = {
        row["hour"]: _hour(row) for row in connection.execute(sa.select(meter_hours).where(here)).mappings()
    }
    after = {each.hour: each for each in made}
    changed = sorted(hour for hour in {*before, *after} if before.get(hour) != after.get(hour))
    for some in chunks([hour for hour in changed if hour in before]):
        connection.execute(
            meter_hours.delete().where(meter_hours.c.meter == meter.id, meter_hours.c.hour.in_(some))
        )
    rows = [{**asdict(after[hour]), "measures": meter.measures.value} for hour in changed if hour in after]
    many(connection, meter_hours.insert(), rows)
    return changed


def mark_site(db: Database, connection: sa.Connection, site: str, hours: Hours, now_ms: int) -> None:
    """Mark the hours as due in which a site's meters said something."""
    place = (meter_hours.c.region, meter_hours.c.hour)
    query = sa.select(*place).distinct().where(meter_hours.c.site == site)
    query = query.where(meter_hours.c.hour >= hours[0], meter_hours.c.hour < hours[1]).order_by(*place)
    found: dict[str, list[int]] = {}
    for region, hour in connection.execute(query):
        found.setdefault(region, []).append(hour)
    for region, some in found.items():
        mark(db, connection, region, some, now_ms)


def mark(db: Database, connection: sa.Connection, region: str, hours: Sequence[int], now_ms: int) -> None:
    """Mark hours as due, in order, so that two writers do not wait for each other."""
    insert = db.upsert(energy_due)
    sooner = sa.case(
        (energy_due.c.due_ms < insert.excluded.due_ms, energy_due.c.due_ms), else_=insert.excluded.due_ms
    )
    more = {"due_ms": sooner, "mark": energy_due.c.mark + 1}
    statement = insert.on_conflict_do_update(index_elements=["region", "hour"], set_=more)
    rows = [
        {"region": region, "hour": hour, "due_ms": max(now_ms, meters.settled_from_ms(hour)), "mark": 1}
        for hour in hours
    ]
    many(connection, statement, rows)


def _row(kept: KeptReading) -> dict[str, object]:
    return {**asdict(kept.reading), "revision": kept.revision, "reason": kept.reason, "person": kept.by,
            "at_ms": kept.at_ms}  # fmt: skip


def _kept(row: sa.RowMapping) -> KeptReading:
    told = Reading(row["meter"], row["from_ms"], row["upto_ms"], row["value"])
    return KeptReading(told, row["revision"], row["reason"], row["person"], row["at_ms"])


def _hour(row: sa.RowMapping) -> MeterHour:
    return MeterHour(**{**row, "measures": Measures(row["measures"])})
