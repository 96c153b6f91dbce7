"""Readings of meters and energy by the hour in memory, under the same rules."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from hutong.adapters.store import rules
from hutong.adapters.store.memory.metering import MemoryMetering
from hutong.core.book import meters
from hutong.core.book.audit import Author
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
from hutong.core.book.meters import METER, Batch, Intake, KeptReading, MeterHour, Reading
from hutong.core.book.received import Fate, Kept, Received
from hutong.core.kernel.quantities import HOUR_MS

_Name = TypeVar("_Name")
_Row = TypeVar("_Row", SiteHour, JobHour, Match)


class MemoryEnergy(MemoryMetering):
    """The part of the twin that knows what meters said and what hours came to."""

    def __init__(self) -> None:
        super().__init__()
        self._readings: dict[str, dict[int, list[KeptReading]]] = {}
        self._meter_hours: dict[tuple[str, int], MeterHour] = {}
        self._due_hours: dict[tuple[str, int], tuple[int | None, int]] = {}
        self._site_hours: dict[tuple[str, int], SiteHour] = {}
        self._job_hours: dict[tuple[str, int], JobHour] = {}
        self._matches: dict[tuple[str, int, str], Match] = {}

    def read_meter(self, batch: Batch, *, author: Author | None = None) -> Intake:
        """Keep readings, and mark the hours that they change as due; all of them or none."""
        with self._writing():
            meter = batch.meter
            before = self._readings.get(meter.id, {})
            there = {each.upto_ms: tuple(before.get(each.upto_ms, ())) for each in batch.readings}
            news = meters.news_of(batch, there)
            if not news:
                return Intake(0, len(batch.readings), 0)
            after = {end: list(revisions) for end, revisions in before.items()}
            for each in news:
                after.setdefault(each.reading.upto_ms, []).append(each)
            look = _Look(after)
            hours = meters.changed_hours(meter, news, there, look.before, look.onward)
            told = meters.readings_in(meter, hours, look.before, look.onward)
            made = {each.hour: each for each in meters.hours_of(meter, meters.steps_of(meter, told), hours)}
            self._readings[meter.id] = after
            changed = self._replace(meter.id, hours, made)
            self._mark(meter.region, changed, batch.now_ms)
            verb = "correct" if batch.correct else "read"
            self._tell(author, f"{METER}.{verb}", f"{METER}/{meter.id}", None, meters.told_of(news))
            return Intake(len(news), len(batch.readings) - len(news), len(changed))

    def _mark(self, region: str, hours: Iterable[int], now_ms: int) -> None:
        for hour in hours:
            due_ms, mark = self._due_hours.get((region, hour), (None, 0))
            fresh_ms = max(now_ms, meters.settled_from_ms(hour))
            sooner = fresh_ms if due_ms is None else min(due_ms, fresh_ms)
            self._due_hours[region, hour] = (sooner, mark + 1)

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
        """Give a suspended record its final fate, and mark the hours that it changes as due."""
        with self._writing():
            open_ = Fate.SUSPENDED in {kept.fate for kept in (self.received(*_name(record)),) if kept}
            kept = super().resolve(record, fate, reason, by, now_ms, author=author)
            if open_ and fate is not Fate.SUSPENDED:
                hours, site = kept.record.hours, record.source
                told = [each for each in self._meter_hours.values() if each.site == site]
                for each in {(e.region, e.hour) for e in told if hours[0] <= e.hour < hours[1]}:
                    self._mark(each[0], [each[1]], now_ms)
            return kept

    def settle_again(self, region: str, hours: Hours, now_ms: int) -> int:
        """Mark the hours of a region that have readings (at most 1,000) as due; return how many."""
        with self._writing():
            found = sorted(hour for name, hour in self._due_hours if name == region)
            found = [hour for hour in found if hours[0] <= hour < hours[1]][: rules.PAGE_MAX]
            self._mark(region, found, now_ms)
            return len(found)

    def _replace(self, meter: str, hours: Hours, made: dict[int, MeterHour]) -> list[int]:
        changed = []
        for hour in range(*hours):
            before = self._meter_hours.pop((meter, hour), None)
            if hour in made:
                self._meter_hours[meter, hour] = made[hour]
            if before != made.get(hour):
                changed.append(hour)
        return changed

    def readings(self, meter: str, span: tuple[int, int], limit: int) -> tuple[KeptReading, ...]:
        """Return all revisions of readings that end in `[from, to)` UTC ms, in order of end and revision."""
        with self._lock:
            found = sorted(self._readings.get(meter, {}).items())
        kept = [each for end, revisions in found if span[0] <= end < span[1] for each in revisions]
        return tuple(kept[: rules.page(limit)])

    def meter_hours(
        self, site: str, hours: Hours, after: tuple[int, str], limit: int
    ) -> tuple[MeterHour, ...]:
        """Return what a site's meters came to, in order of hour and meter beyond `after`."""
        with self._lock:
            found = [each for each in self._meter_hours.values() if each.site == site]
        found = [each for each in found if hours[0] <= each.hour < hours[1]]
        found = sorted((each for each in found if _place(each) > after), key=_place)
        return tuple(found[: rules.page(limit)])

    def region_hours(self, region: str, hour: int) -> tuple[MeterHour, ...]:
        """Return what all meters of a region came to in one hour, in order of their ids (at most 1,000)."""
        with self._lock:
            found = [e for e in self._meter_hours.values() if (e.region, e.hour) == (region, hour)]
        return tuple(sorted(found, key=_place)[: rules.PAGE_MAX])

    def due_hours(self, now_ms: int, limit: int) -> tuple[DueHour, ...]:
        """Return the hours that are to be settled now, those that wait longest first."""
        with self._lock:
            found = [
                (due_ms, hour, region, mark)
                for (region, hour), (due_ms, mark) in self._due_hours.items()
                if due_ms is not None and due_ms <= now_ms
            ]
        return tuple(
            DueHour(region, hour, mark) for _, hour, region, mark in sorted(found)[: rules.page(limit)]
        )

    def card_ms_in(self, site: str, hour: int) -> tuple[JobUse, ...]:
        """Return what each attempt used of a site's cards in an hour, in order of keys and accelerators."""
        span = (hour * HOUR_MS, (hour + 1) * HOUR_MS)
        with self._lock:
            used = [each for each in self._usage.values() if (each.site, each.unit) == (site, "card_ms")]
        return add_uses(
            JobUse(
                each.key, each.project, each.sku, part_in(each.quantity, (each.from_ms, each.upto_ms), span)
            )
            for each in used
            if each.upto_ms > span[0] and each.from_ms < span[1]
        )

    def settle_hour(self, settled: Settled) -> bool:
        """Write a settled hour in place of what was there. False, and nothing is written, if news came."""
        due = settled.due
        with self._lock:
            if self._due_hours.get((due.region, due.hour), (None, 0))[1] != due.mark:
                return False
            with self._writing():
                self._due_hours[due.region, due.hour] = (settled.again_ms or None, due.mark)
                sites = {each.site for each in settled.sites}
                sites |= {
                    e.site for e in self._site_hours.values() if (e.region, e.hour) == (due.region, due.hour)
                }
                self._site_hours = _without(self._site_hours, due.hour, sites)
                self._job_hours = _without(self._job_hours, due.hour, sites)
                self._matches = _without(self._matches, due.hour, sites)
                self._site_hours |= {(each.site, each.hour): each for each in settled.sites}
                self._job_hours |= {(each.key, each.hour): each for each in settled.jobs}
                self._matches |= {(each.contract, each.hour, each.site): each for each in settled.matches}
            return True

    def site_hours(self, site: str, hours: Hours, limit: int) -> tuple[SiteHour, ...]:
        """Return the settled hours of a site, in order."""
        with self._lock:
            found = [each for name, each in sorted(self._site_hours.items()) if name[0] == site]
        return tuple(each for each in found if hours[0] <= each.hour < hours[1])[: rules.page(limit)]

    def site_energy(self, sites: Sequence[str], hours: Hours) -> tuple[SiteEnergy, ...]:
        """Return what settled hours of sites (at most a thousand) came to, by site and basis, in order."""
        names = set(sorted(set(sites))[:NAMES_AT_ONCE])
        found: dict[tuple[str, str], list[SiteHour]] = {}
        with self._lock:
            for each in self._site_hours.values():
                if each.site in names and hours[0] <= each.hour < hours[1]:
                    found.setdefault((each.site, each.basis), []).append(each)
        return tuple(
            SiteEnergy(
                *key,
                len(some),
                sum(each.metered_j for each in some),
                sum(each.green_j for each in some),
                sum(each.grid_green_j for each in some),
                sum(each.location_mg for each in some),
                sum(each.market_mg for each in some),
            )
            for key, some in sorted(found.items())
        )

    def job_hours(self, keys: Sequence[str], hours: Hours, limit: int) -> tuple[JobHour, ...]:
        """Return what fell to some attempts (at most a thousand), in order of key and hour."""
        names = set(sorted(set(keys))[:NAMES_AT_ONCE])
        with self._lock:
            found = [each for name, each in sorted(self._job_hours.items()) if name[0] in names]
        return tuple(each for each in found if hours[0] <= each.hour < hours[1])[: rules.page(limit)]

    def matches(self, site: str, hours: Hours, limit: int) -> tuple[Match, ...]:
        """Return what was matched with a site's use, in order of hour and contract."""
        with self._lock:
            found = [each for each in self._matches.values() if each.site == site]
        found = [each for each in found if hours[0] <= each.hour < hours[1]]
        found.sort(key=lambda each: (each.hour, each.contract))
        return tuple(found[: rules.page(limit)])


class _Look:
    """The readings in force of a meter, found from a moment on or before it."""

    def __init__(self, revisions: dict[int, list[KeptReading]]) -> None:
        last = (kept[-1].reading for _, kept in sorted(revisions.items()))
        self._told = [each for each in last if each.value is not None]

    def before(self, at_ms: int) -> Reading | None:
        """Return the last one that ends at a moment or before it."""
        return next((each for each in reversed(self._told) if each.upto_ms <= at_ms), None)

    def onward(self, at_ms: int) -> Iterator[Reading]:
        """Yield those that end at a moment or later."""
        return (each for each in self._told if each.upto_ms >= at_ms)


def _without(rows: dict[_Name, _Row], hour: int, sites: set[str]) -> dict[_Name, _Row]:
    return {name: row for name, row in rows.items() if row.hour != hour or row.site not in sites}


def _name(record: Received) -> tuple[str, str, int]:
    return record.source, record.record, record.revision


def _place(each: MeterHour) -> tuple[int, str]:
    return each.hour, each.meter
