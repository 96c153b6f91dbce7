"""Energy at the door: meters and their readings, a site's balance and progress, a job's share."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.accounts.roles import Principal
from hutong.core.book.energy import JobHour
from hutong.core.book.meters import METER, Batch, Counts, Measures, Meter
from hutong.core.book.money import UsageRecord
from hutong.core.book.snapshot import JobRow
from hutong.core.capacity.sites import Site
from hutong.core.energy import progress as p
from hutong.core.energy.carbon import sci_mg
from hutong.core.kernel.days import month_days
from hutong.core.kernel.errors import Conflict, Problem, Refused
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.core.work.fold import Attempt
from hutong.server import energy as desk
from hutong.server.api.access import Allowed, Here, OfJob
from hutong.server.api.paging import Paging, paging
from hutong.server.api.shapes import energy as shapes
from hutong.server.api.shapes.times import read_time
from hutong.server.refunds import read_all
from hutong.server.registry import amend, every, load, read
from hutong.server.services import Services
from hutong.wire import energy as w
from hutong.wire.base import Page, Slug, rfc3339

router = APIRouter(prefix="/v1", tags=["energy"])

DAYS_AT_ONCE = 31
_WINDOW_HOURS = 480
READ = [Depends(Allowed("energy.read"))]
Writer = Annotated[Principal, Depends(Allowed("energy.write"))]
Pages = Annotated[Paging, Depends(paging)]
MeterName = Annotated[Slug, Path(alias="meter")]
SiteName = Annotated[Slug, Path(alias="site")]
Start = Annotated[str, Query(max_length=40, description="RFC 3339; else a day before the end")]
End = Annotated[str, Query(max_length=40, description="RFC 3339; else now")]


@router.post("/energy/meters", status_code=201)
def create_meter(here: Here, _writer: Writer, body: w.NewMeter) -> w.Meter:
    """Register a meter of a site, or of a contract's deliveries. A repeat changes nothing."""
    measures = Measures(body.measures)
    site, contract = body.site or "", body.contract or ""
    meter = Meter(
        id=body.id,
        measures=measures,
        counts=Counts(body.counts),
        region=desk.region_of(here.store, measures, site, contract),
        most_per_hour=shapes.base_units(body.most_per_hour, body.unit, measures, "/most_per_hour"),
        source=body.source,
        site=site,
        contract=contract,
        wraps_at=shapes.base_units(body.wraps_at, body.unit, measures, "/wraps_at") if body.wraps_at else 0,
        synthetic=body.synthetic,
        by_agent=body.by_agent,
        category=body.category,
        from_ms=read_time(body.starts, "/starts") if body.starts else 0,
    )
    if meter.wraps_at and meter.counts is Counts.INTERVAL:
        problem = Problem("/wraps_at", "only a register wraps", "leave it out, or `counts: register`")
        raise Refused("bad_meter", problem.message, (problem,))
    if meter.by_agent and (not meter.site or meter.counts is Counts.INTERVAL):
        problem = Problem("/by_agent", "an agent reads registers of its site", "`counts: register`, a `site`")
        raise Refused("bad_meter", problem.message, (problem,))
    return shapes.meter_shape(desk.add_meter(here.store, meter))


@router.get("/energy/meters", dependencies=READ)
def list_meters(
    here: Here, pages: Pages, region: Annotated[str, Query(max_length=100)] = ""
) -> Page[w.Meter]:
    """List meters in order of their names; of one region where it is named."""
    rows = here.store.records(METER, region, pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: shapes.meter_shape(read(Meter, row)))


@router.post("/energy/meters/{meter}/end")
def end_meter(here: Here, _writer: Writer, meter: MeterName, body: w.End) -> w.Meter:
    """End a meter that was taken out: it counts no more. An end is never moved; a repeat changes nothing."""
    until_ms = read_time(body.ends, "/ends")

    def work(before: Meter) -> Meter:
        if before.until_ms not in {0, until_ms}:
            raise Conflict("ended", f"meter {meter} has ended at {rfc3339(before.until_ms)}")
        if until_ms <= before.from_ms:
            problem = Problem("/ends", "it would end before it began", "a later time")
            raise Refused("bad_meter", problem.message, (problem,))
        return replace(before, until_ms=until_ms)

    return shapes.meter_shape(amend(here.store, METER, meter, Meter, work)[0])


@router.post("/energy/meters/{meter}/readings")
def add_readings(here: Here, writer: Writer, meter: MeterName, body: w.NewReadings) -> w.Taken:
    """Keep readings, in any order, all of them or none. A repeat changes nothing; hours are settled again."""
    if body.correct and not body.reason.strip():
        problem = Problem("/reason", "a correction says why", "such as `read from the wrong display`")
        raise Refused("no_reason", problem.message, (problem,))
    there = load(here.store, METER, meter, Meter)
    told = shapes.read_readings(there, body)
    batch = Batch(there, told, writer.id, here.clock(), correct=body.correct, reason=body.reason)
    found = here.store.read_meter(batch)
    return w.Taken(news=found.news, repeats=found.repeats, hours=found.hours)


@router.get("/energy/meters/{meter}/readings", dependencies=READ)
def list_readings(
    here: Here, meter: MeterName, pages: Pages, start: Start = "", end: End = ""
) -> Page[w.Reading]:
    """List all revisions of readings that end in a time of at most 31 days, in order."""
    load(here.store, METER, meter, Meter)
    from_ms, until_ms = _span(start, end, here.clock())
    after_ms, _, revision = pages.after.partition(".")
    known = (int(after_ms), int(revision)) if _is_place(after_ms, revision) else (from_ms, 0)
    rows = here.store.readings(meter, (max(from_ms, known[0]), until_ms), pages.limit + 1 + known[1])
    rows = tuple(each for each in rows if (each.reading.upto_ms, each.revision) > known)[: pages.limit + 1]
    return pages.page(rows, lambda row: f"{row.reading.upto_ms}.{row.revision}", shapes.reading_shape)


def _is_place(*parts: str) -> bool:
    return all(each.isascii() and each.isdigit() and len(each) < 16 for each in parts)


@router.get("/energy/sites/{site}/balance", dependencies=READ)
def read_energy_balance(here: Here, site: SiteName, start: Start = "", end: End = "") -> w.EnergyBalance:
    """Return a site's settled hours in a time of at most 31 days: job + idle + overhead is the meter."""
    load(here.store, desk.SITE, site, Site)
    from_ms, until_ms = _span(start, end, here.clock())
    hours = (from_ms // HOUR_MS, -(-until_ms // HOUR_MS))
    rows = here.store.site_hours(site, hours, 1000)
    return w.EnergyBalance(
        site=site,
        start=rfc3339(hours[0] * HOUR_MS),
        end=rfc3339(hours[1] * HOUR_MS),
        hours=hours[1] - hours[0],
        settled_hours=len(rows),
        metered_j=sum(each.metered_j for each in rows),
        jobs_j=sum(each.jobs_j for each in rows),
        idle_j=sum(each.idle_j for each in rows),
        overhead_j=sum(each.overhead_j for each in rows),
        green_j=sum(each.green_j for each in rows),
        location_mg=sum(each.location_mg for each in rows),
        market_mg=sum(each.market_mg for each in rows),
        items=tuple(shapes.hour_shape(each) for each in rows),
    )


def _span(start: str, end: str, now_ms: int) -> tuple[int, int]:
    until_ms = read_time(end, "?end") if end else now_ms
    from_ms = read_time(start, "?start") if start else max(0, until_ms - DAY_MS)
    if not 0 < until_ms - from_ms <= DAYS_AT_ONCE * DAY_MS:
        problem = Problem("?start", "the time is empty, or longer than 31 days", "a shorter one")
        raise Refused("bad_span", problem.message, (problem,))
    return from_ms, until_ms


@router.get("/energy/sites/{site}/progress", dependencies=READ)
def read_progress(
    here: Here, site: SiteName, year: Annotated[int | None, Query(ge=1970, le=9998)] = None
) -> w.Progress:
    """Return how green a site's electricity of a year was, by the hour and by volume, and ISO/IEC 30134."""
    there = load(here.store, desk.SITE, site, Site)
    now_ms = here.clock()
    wanted = year if year is not None else datetime.fromtimestamp(now_ms / 1000, UTC).year
    first = (wanted - 1970) * 12
    hours = (24 * month_days(first)[0], 24 * month_days(first + 12)[0])
    until = max(hours[0], min(hours[1], desk.hour_of(now_ms)))
    rows = list(desk.hours_between(here.store, site, (hours[0], until)))
    months = [
        p.progress_of(told, desk.retired_for(here.store, site, month), until)
        for month, told in sorted(p.by_month(rows).items())
    ]
    used, volume = sum(each.used_j for each in months), sum(each.by_volume_j for each in months)
    meters = [read(Meter, row) for row in every(here.store, METER, there.region, desk.DOCUMENTS_MAX)]
    has = {str(each.measures.value): True for each in meters if each.site == site}
    return w.Progress(
        site=site,
        year=wanted,
        used_j=used,
        by_hour_ppm=shapes.ppm(sum(each.by_hour_j for each in months), used),
        by_volume_ppm=shapes.ppm(volume, used),
        location_mg=sum(each.location_mg for each in months),
        market_mg=sum(each.market_mg for each in months),
        months=tuple(shapes.month_shape(each) for each in months),
        indicators=tuple(
            w.Indicator.model_validate(
                {"name": each.name, "value_milli": each.value_milli, "why": each.why, "interim": each.interim}
            )
            for each in p.indicators(rows, until - hours[0], volume, has)
        ),
    )


@router.get("/jobs/{job}/energy")
def read_job_energy(here: Here, row: Annotated[JobRow, Depends(OfJob("bill.read"))]) -> w.JobEnergy:
    """Return a job's energy as booked, and beside it its share of its sites' meters."""
    told = tuple(_job_hours(here, row))
    by_attempt = [
        (attempt, [each for each in _used(here, row, attempt) if each.unit == "card_ms"])
        for attempt in row.job.attempts
    ]
    usage = [each for _, used in by_attempt for each in used]
    card_ms = sum(each.quantity for each in usage)
    pools = [(f"{of.site}/{of.pool}", sum(e.quantity for e in used)) for of, used in by_attempt if used]
    embodied = desk.embodied_of(here.store, pools)
    location = sum(each.location_mg for each in told)
    counted_j, counted_by = _counted(here, row)
    return w.JobEnergy(
        job=row.job.id,
        card_ms=card_ms,
        booked_j=sum(each.energy_j for each in usage),
        booked_green_j=sum(each.green_j for each in usage),
        booked_mg=sum(each.co2_mg for each in usage),
        booked_method="; ".join(sorted({each.method for each in usage if each.method})),
        counted_j=counted_j,
        counted_by=counted_by,
        metered_hours=len(told),
        it_j=sum(each.it_j for each in told),
        overhead_j=sum(each.overhead_j for each in told),
        green_j=sum(each.green_j for each in told),
        location_mg=location,
        market_mg=sum(each.market_mg for each in told),
        sci_mg_per_card_hour=sci_mg(location, embodied or 0, card_ms // 3600) if told else None,
        embodied_mg=embodied if pools else None,
        items=tuple(shapes.job_hour_shape(each) for each in told[-744:]),
    )


def _used(here: Services, row: JobRow, attempt: Attempt) -> list[UsageRecord]:
    key = row.job.key(attempt)
    return read_all(lambda after, limit: here.store.usage(row.project, key, after, limit))


def _counted(here: Services, row: JobRow) -> tuple[int | None, str]:
    """Return what counters say that a job's attempts took in all, and by which; None, and why not."""
    begun = (each for each in row.job.attempts if each.started_ms)
    taken = [desk.taken_by(here.store, each.site, row.job.key(each)) for each in begun]
    by = "; ".join(sorted({each.basis for each in taken if each.basis}))
    known = [each.energy_j for each in taken if each.energy_j is not None]
    return (sum(known), by) if known and len(known) == len(taken) else (None, by)


def _job_hours(here: Services, row: JobRow) -> Iterator[JobHour]:
    """Yield what fell to a job's attempts, window by window over the time in which they were."""
    attempts = row.job.attempts
    begun = [each.started_ms for each in attempts if each.started_ms]
    if not begun:
        return
    keys = [row.job.key(each) for each in attempts]
    last_ms = max((each.ended_ms or here.clock()) for each in attempts)
    first, last = desk.hour_of(min(begun)), desk.hour_of(last_ms) + 1
    for start in range(first, last, _WINDOW_HOURS):
        yield from sorted(
            here.store.job_hours(keys, (start, min(last, start + _WINDOW_HOURS)), 1000),
            key=lambda each: (each.hour, each.key),
        )
