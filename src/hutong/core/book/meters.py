"""Meters and their readings: facts, kept in revisions, and what they come to hour by hour.

A meter counts joules, a water meter millilitres: `value` is in its own unit. It tells either what went
through it in `[from, upto)`, or what its register shows at a moment (then `from_ms == upto_ms`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from hutong.core.kernel.documents import LATE
from hutong.core.kernel.errors import Conflict, Problem, Refused
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS, hour_slices

METER = "energy_meter"
"""The kind of a meter's document in the registry."""
AT_ONCE = 1000
"""Readings in one write."""
SPAN_MAX_MS = 40 * DAY_MS
"""How far apart the first and the last reading of one write may be."""
GAP_MAX_MS = 31 * DAY_MS
"""The longest time over which one reading is spread; a register that was silent for longer has a gap."""


SETTLE_AFTER_MS = HOUR_MS
"""How long an hour is left alone after its end before it is settled."""
VALUE_MAX = 10**17
"""The most that a register may show: in joules, 28 TWh."""


class Measures(StrEnum):
    """What goes through a meter; names as in ISO/IEC 30134-2, -3, -6 and -9."""

    FACILITY = "facility"  # all that the centre takes, cooling and losses too
    IT = "it"  # what its IT equipment takes
    REUSED = "reused"  # heat that leaves the centre and is used
    WATER = "water"  # what it takes in, millilitres
    DELIVERED = "delivered"  # what a contract has delivered


class Counts(StrEnum):
    """How a meter tells it."""

    INTERVAL = "interval"
    REGISTER = "register"


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter of a site, or of a contract's deliveries. It is never changed, only ended and replaced.

    It counts in `[from, until)` (0: no end). Of an IT meter, `category` says where it is, as in ISO/IEC
    30134-2: 1 at the output of the UPS, 2 of the distribution, 3 at the equipment; 0 is not stated. A
    register returns to 0 when it would reach `wraps_at` (0: never). More than `most_per_hour` cannot go
    through it in an hour. `source` says who reads it, `synthetic` that its readings are invented,
    `by_agent` that its site's agent may send them.
    """

    id: str
    measures: Measures
    counts: Counts
    region: str
    most_per_hour: int
    source: str
    site: str = ""
    contract: str = ""
    wraps_at: int = 0
    synthetic: bool = False
    category: int = 0
    from_ms: int = 0
    until_ms: int = 0
    by_agent: bool = field(default=False, metadata=LATE)

    def counts_in(self, hour: int) -> bool:
        """True if it counts in any part of an hour."""
        return self.from_ms < (hour + 1) * HOUR_MS and (not self.until_ms or self.until_ms > hour * HOUR_MS)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter said. A `value` of None says that there is no reading there: one of before was wrong."""

    meter: str
    from_ms: int
    upto_ms: int
    value: int | None


@dataclass(frozen=True, slots=True)
class KeptReading:
    """A reading that was received: its revision from 1, why it was corrected, by whom and when."""

    reading: Reading
    revision: int
    reason: str
    by: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings of a meter that come together. Only with `correct` may they differ from what was there."""

    meter: Meter
    readings: tuple[Reading, ...]
    by: str
    now_ms: int
    correct: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of some readings: news, repeats that changed nothing, and how many hours they changed."""

    news: int
    repeats: int
    hours: int


@dataclass(frozen=True, slots=True)
class MeterHour:
    """What went through a meter in an hour (hours since 1970, UTC), for `covered_ms` of it.

    Of that, `spread_ms` come from readings longer than an hour: their sum is measured, its course is not.
    """

    meter: str
    site: str
    contract: str
    region: str
    measures: Measures
    hour: int
    value: int
    covered_ms: int
    spread_ms: int


@dataclass(frozen=True, slots=True)
class Step:
    """What went through a meter in `[from, upto)`."""

    from_ms: int
    upto_ms: int
    value: int


def most_in(meter: Meter, span_ms: int) -> int:
    """Return the most that can go through a meter in a time; of less than a minute, that of a minute."""
    return meter.most_per_hour * max(span_ms, 60_000) // HOUR_MS


def steps_of(meter: Meter, readings: Sequence[Reading]) -> Iterator[Step]:
    """Yield what went through a meter, from its readings in force in order of time.

    A register that is lower than before has wrapped if that explains it; else it was reset or exchanged, and
    what went through it meanwhile is not known: a gap. So is a rise that the meter cannot have seen.
    """
    told = [each for each in readings if each.value is not None]
    if meter.counts is Counts.INTERVAL:
        yield from (Step(each.from_ms, each.upto_ms, each.value or 0) for each in told)
        return
    for before, after in pairwise(told):
        span_ms = after.upto_ms - before.upto_ms
        rise = (after.value or 0) - (before.value or 0)
        if rise < 0 and meter.wraps_at:
            rise += meter.wraps_at
        if span_ms <= GAP_MAX_MS and 0 <= rise <= most_in(meter, span_ms):
            yield Step(before.upto_ms, after.upto_ms, rise)


def hours_of(meter: Meter, steps: Iterable[Step], hours: tuple[int, int]) -> tuple[MeterHour, ...]:
    """Return the hours in `[from, to)` of which anything is known; each step's parts sum to it exactly."""
    values: dict[int, list[int]] = {}
    for step in steps:
        span_ms, done_ms = step.upto_ms - step.from_ms, 0
        for start_ms, part_ms in hour_slices(step.from_ms, step.upto_ms):
            part = step.value * (done_ms + part_ms) // span_ms - step.value * done_ms // span_ms
            done_ms += part_ms
            hour = start_ms // HOUR_MS
            if hours[0] <= hour < hours[1]:
                row = values.setdefault(hour, [0, 0, 0])
                row[0] += part
                row[1] += part_ms
                row[2] += part_ms if span_ms > HOUR_MS else 0
    return tuple(
        MeterHour(meter.id, meter.site, meter.contract, meter.region, meter.measures, hour, *row)
        for hour, row in sorted(values.items())
    )


Revisions = Mapping[int, Sequence[KeptReading]]
"""All revisions of readings by their end, each in order."""
Before = Callable[[int], Reading | None]
"""From a moment to the last reading in force that ends at it or before."""
Onward = Callable[[int], Iterator[Reading]]
"""From a moment to the readings in force that end at it or later, in order; read only as far as needed."""


def news_of(batch: Batch, there: Revisions) -> tuple[KeptReading, ...]:
    """Return what of a batch is news; a repeat, also of what was corrected since, is none.

    Raises Refused for readings that this meter cannot have had, and Conflict where another one is there.
    """
    _check(batch)
    news, seen = [], dict[int, Reading]()
    for at, reading in enumerate(batch.readings):
        first = seen.setdefault(reading.upto_ms, reading)
        revisions = there.get(reading.upto_ms, ())
        same = [each for each in revisions if each.reading == reading]
        if first is not reading:
            if first != reading:
                raise _clash(at, f"two readings of the batch end at {reading.upto_ms} ms")
            continue
        if same and (not batch.correct or same[-1] is revisions[-1]):
            continue
        if revisions and revisions[-1].reading.value is not None and not batch.correct:
            was = revisions[-1].reading
            raise _clash(at, f"a reading is there already: {was.value} in [{was.from_ms}, {was.upto_ms}) ms")
        if not revisions and reading.value is None:
            raise _clash(at, f"no reading ends at {reading.upto_ms} ms that could be taken back")
        news.append(KeptReading(reading, len(revisions) + 1, batch.reason, batch.by, batch.now_ms))
    return tuple(news)


def _clash(at: int, message: str) -> Conflict:
    hint = "leave it out, or correct what is there and say why"
    return Conflict("reading_differs", message, (Problem(f"/readings/{at}", message, hint),))


def _check(batch: Batch) -> None:
    meter, problems = batch.meter, []
    for at, each in enumerate(batch.readings):
        wrong = _wrong(meter, each, batch.now_ms)
        if wrong:
            problems.append(Problem(f"/readings/{at}", *wrong))
    ends = [each.upto_ms for each in batch.readings]
    if ends and max(ends) - min(each.from_ms for each in batch.readings) > SPAN_MAX_MS:
        days = SPAN_MAX_MS // DAY_MS
        problems.append(Problem("/readings", f"they lie more than {days} days apart", "send less at once"))
    if len(ends) > AT_ONCE:
        problems.append(Problem("/readings", f"there are more than {AT_ONCE}", "send less at once"))
    if problems:
        text = "; ".join(each.message for each in problems[:3])
        raise Refused("bad_reading", f"meter {meter.id}: {text}", tuple(problems[:20]))


def _wrong(meter: Meter, each: Reading, now_ms: int) -> tuple[str, str] | None:
    span_ms = each.upto_ms - each.from_ms
    if meter.counts is Counts.REGISTER and span_ms:
        return "a register is read at a moment", "leave `start` out"
    if meter.counts is Counts.INTERVAL and not 0 < span_ms <= GAP_MAX_MS:
        return "its time is empty or longer than 31 days", "say `start` and a later `end`"
    if each.from_ms < max(0, meter.from_ms) or each.upto_ms > now_ms:
        return "it lies in the future, or before the meter began", "a time that has been"
    if meter.until_ms and each.upto_ms > meter.until_ms:
        return "the meter had ended by then", "the meter that replaced it"
    if each.value is None:
        return None
    if meter.counts is Counts.REGISTER:
        most = meter.wraps_at - 1 if meter.wraps_at else VALUE_MAX
    else:
        most = most_in(meter, span_ms)
    if not 0 <= each.value <= most:
        return f"{each.value} cannot be: the most is {most}", "see the meter, and the unit"
    return None


def changed_hours(
    meter: Meter, news: Sequence[KeptReading], there: Revisions, before: Before, onward: Onward
) -> tuple[int, int]:
    """Return the hours `[from, to)` that news may change, as the readings in force stand after it."""
    told = [each.reading for each in news]
    told += [kept.reading for each in told for kept in there.get(each.upto_ms, ())]
    start, end = min(each.from_ms for each in told), max(each.upto_ms for each in told)
    if meter.counts is Counts.REGISTER:
        last = before(start - 1)
        after = next(onward(end + 1), None)
        start = max(last.upto_ms if last else start, start - GAP_MAX_MS)
        end = min(after.upto_ms if after else end, end + GAP_MAX_MS)
    return start // HOUR_MS, -(-end // HOUR_MS)


def readings_in(meter: Meter, hours: tuple[int, int], before: Before, onward: Onward) -> tuple[Reading, ...]:
    """Return the readings in force that say anything of some hours; raises Conflict if two overlap."""
    start, end = hours[0] * HOUR_MS, hours[1] * HOUR_MS
    first = before(start) if meter.counts is Counts.REGISTER else None
    found = [first] if first else []
    for each in onward(start + 1):
        if meter.counts is Counts.INTERVAL and each.from_ms >= end:
            break
        found.append(each)
        if meter.counts is Counts.REGISTER and each.upto_ms >= end:
            break
    for one, other in pairwise(found):
        if meter.counts is Counts.INTERVAL and other.from_ms < one.upto_ms:
            message = (
                f"[{other.from_ms}, {other.upto_ms}) ms overlaps a reading of [{one.from_ms}, {one.upto_ms})"
            )
            raise Conflict("readings_overlap", message, (Problem("/readings", message, "see the meter"),))
    return tuple(found)


def settled_from_ms(hour: int) -> int:
    """Return from when on an hour may be settled: once the use of its jobs is booked."""
    return (hour + 1) * HOUR_MS + SETTLE_AFTER_MS


def told_of(news: Sequence[KeptReading]) -> dict[str, object]:
    """Return what the audit keeps of readings that are news; each of them names its author itself."""
    values: dict[str, object] = {
        "count": len(news),
        "from_ms": min(each.reading.from_ms for each in news),
        "upto_ms": max(each.reading.upto_ms for each in news),
    }
    corrected = [each for each in news if each.revision > 1]
    if corrected:
        values["corrected"] = [[each.reading.upto_ms, each.reading.value] for each in corrected]
    return values
