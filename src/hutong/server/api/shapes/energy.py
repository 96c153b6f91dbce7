"""Energy by the hour: from the core's shapes to the wire's, and readings as people write them."""

from dataclasses import asdict
from decimal import Decimal

from hutong.core.book.energy import JobHour, SiteHour
from hutong.core.book.meters import KeptReading, Measures, Meter, Reading
from hutong.core.energy.certificates import Certificates
from hutong.core.energy.contracts import Contract
from hutong.core.energy.progress import Progress
from hutong.core.kernel.days import month_text
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.ids import split_key
from hutong.core.kernel.quantities import BASE_UNITS, HOUR_MS
from hutong.server.api.shapes.times import read_time, time_or_none
from hutong.wire import energy as w
from hutong.wire.base import rfc3339

_WATER = frozenset({"mL", "L", "m3"})


def base_units(text: str, unit: str, measures: Measures, path: str) -> int:
    """Return joules, of water millilitres; raises Refused where the unit is none of those, or too fine."""
    if (unit in _WATER) != (measures is Measures.WATER):
        message = f"a meter of `{measures.value}` does not count {unit}"
        raise Refused("bad_unit", message, (Problem("/unit", message, "J, Wh, kWh or MWh; mL, L or m3"),))
    value = Decimal(text) * BASE_UNITS[unit]
    if value != int(value):
        message = f"{text} {unit} is not a whole number of {'mL' if unit in _WATER else 'J'}"
        raise Refused("bad_value", message, (Problem(path, message, "fewer decimals"),))
    return int(value)


def read_readings(meter: Meter, body: w.NewReadings) -> tuple[Reading, ...]:
    """Return the readings of a request."""
    found = []
    for at, each in enumerate(body.readings):
        until_ms = read_time(each.end, f"/readings/{at}/end")
        from_ms = until_ms if each.start is None else read_time(each.start, f"/readings/{at}/start")
        path = f"/readings/{at}/value"
        value = None if each.value is None else base_units(each.value, body.unit, meter.measures, path)
        found.append(Reading(meter.id, from_ms, until_ms, value))
    return tuple(found)


def meter_shape(meter: Meter) -> w.Meter:
    """Return the wire's shape of a meter."""
    return w.Meter(
        id=meter.id,
        measures=meter.measures.value,
        counts=meter.counts.value,
        region=meter.region,
        site=meter.site,
        contract=meter.contract,
        most_per_hour=meter.most_per_hour,
        wraps_at=meter.wraps_at,
        category=meter.category,
        source=meter.source,
        synthetic=meter.synthetic,
        by_agent=meter.by_agent,
        starts=time_or_none(meter.from_ms),
        ends=time_or_none(meter.until_ms),
    )


def reading_shape(kept: KeptReading) -> w.Reading:
    """Return the wire's shape of a reading as kept."""
    return w.Reading(
        start=rfc3339(kept.reading.from_ms),
        end=rfc3339(kept.reading.upto_ms),
        value=kept.reading.value,
        revision=kept.revision,
        reason=kept.reason,
        by=kept.by,
        at=rfc3339(kept.at_ms),
    )


def hour_shape(row: SiteHour) -> w.SiteHour:
    """Return the wire's shape of a site's hour."""
    told = {name: value for name, value in asdict(row).items() if name in w.SiteHour.model_fields}
    return w.SiteHour(
        **{**told, "hour": rfc3339(row.hour * HOUR_MS), "settled": rfc3339(row.settled_ms)},
    )


def job_hour_shape(row: JobHour) -> w.JobHour:
    """Return the wire's shape of what fell to an attempt."""
    told = {name: value for name, value in asdict(row).items() if name in w.JobHour.model_fields}
    named = split_key(row.key)
    attempt = named[1] if named else 0
    return w.JobHour(**{**told, "hour": rfc3339(row.hour * HOUR_MS), "attempt": attempt})


def month_shape(found: Progress) -> w.MonthProgress:
    """Return the wire's shape of a month."""
    return w.MonthProgress(
        **{
            **asdict(found),
            "month": month_text(found.month),
            "by_hour_ppm": ppm(found.by_hour_j, found.used_j),
            "by_volume_ppm": ppm(found.by_volume_j, found.used_j),
        }
    )


def ppm(part: int, whole: int) -> int | None:
    """Return a share in millionths; None of nothing."""
    return part * 1_000_000 // whole if whole else None


def contract_shape(contract: Contract) -> w.PowerContract:
    """Return the wire's shape of a contract."""
    return w.PowerContract.model_validate(
        {
            "id": contract.id,
            "kind": contract.kind.value,
            "source": contract.source.value,
            "region": contract.region,
            "sites": contract.sites,
            "supplier": contract.supplier,
            "starts": rfc3339(contract.from_ms),
            "ends": time_or_none(contract.until_ms),
            "evidence": contract.evidence,
            "synthetic": contract.synthetic,
        }
    )


def certificates_shape(there: Certificates) -> w.Certificates:
    """Return the wire's shape of certificates."""
    portions = tuple(
        w.Portion(
            id=each.id,
            site=each.site,
            month=month_text(each.month),
            mwh=each.mwh,
            retired=time_or_none(each.retired_ms),
            reference=each.reference,
            by=each.by,
        )
        for each in there.portions
    )
    return w.Certificates(
        id=there.id,
        scheme=there.scheme,
        series=there.series,
        first=there.first,
        last=there.last,
        mwh=there.mwh,
        free_mwh=there.free_mwh,
        retired_mwh=there.retired_mwh,
        source=there.source.value,
        region=there.region,
        starts=rfc3339(there.from_ms),
        ends=rfc3339(there.until_ms),
        expires=rfc3339(there.expires_ms),
        bought_from=there.bought_from,
        contract=there.contract,
        synthetic=there.synthetic,
        portions=portions,
    )
