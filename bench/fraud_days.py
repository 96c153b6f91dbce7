"""Honest days of made-up centres, as their witnesses tell them: what `bench.frauds` puts frauds into."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import pi, sin

from hutong.core.book.received import Billed, Fate, Kept, Received, Tally
from hutong.core.kernel.chain import GENESIS, ChainFault, seal, verify
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS, hour_slices
from hutong.core.ledger.metering import Limits
from hutong.core.ledger.reconciling import LATE_MS, Report, Seen, reconcile
from hutong.core.witnesses.shapes import DaySeen, Hour, Timed

PAST_DAYS = 28
DAYS = PAST_DAYS + 30
FIRST_DAY = 20_600
_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a job that was there: its cards, when they were held, when its ranks ran, how hard."""

    key: str
    record: str
    cards: int
    from_ms: int
    ranks_ms: int
    ended_ms: int
    upto_ms: int
    busy: float
    dispatched_ms: int
    started_seen_ms: int
    ended_seen_ms: int

    @property
    def timed(self) -> Timed:
        """As accounting tells it, in whole seconds, beside what the platform saw."""
        start, end = self.from_ms // 1000 * 1000, self.upto_ms // 1000 * 1000
        told = (self.cards * (end - start), self.dispatched_ms, self.started_seen_ms, self.ended_seen_ms)
        return Timed(self.key, self.record, start, end, *told)

    @property
    def billed_ms(self) -> int:
        """The card-time that the ledger booked: while ranks ran."""
        return self.cards * (self.ended_ms - self.ranks_ms)


@dataclass(slots=True)
class CentreDays:
    """A centre with all that happened there, by hour from `FIRST_DAY` on."""

    cards: int
    watts: int
    runs: list[Run]
    held: list[int]
    metered: list[int | None]
    away_ms: dict[int, int]
    runs_of: dict[int, list[Run]] = field(default_factory=dict)

    def joules_per_card_hour(self) -> int:
        """At nameplate power."""
        return self.watts * 3600

    def hours(self, day: int, held: Sequence[int] | None = None) -> tuple[Hour, ...]:
        """Return a day's hours; `held` in card-ms by hour takes the place of what was really held."""
        told = held if held is not None else self.held[24 * day : 24 * day + 24]
        return tuple(
            Hour(
                24 * (FIRST_DAY + day) + hour, self.watts * told[hour] // 1000,
                self.watts * self.cards * 3600, self.metered[24 * day + hour],
            )
            for hour in range(24)
        )  # fmt: skip

    def seen(
        self,
        day: int,
        *,
        starts: Sequence[Timed] | None = None,
        billed: Sequence[tuple[str, int]] | None = None,
        held: Sequence[int] | None = None,
        hours: Sequence[Hour] | None = None,
        events: Sequence[dict[str, object]] | None = None,
    ) -> DaySeen:
        """Return what the witnesses say of a day; what is given takes the place of what happened."""
        runs = self.runs_of.get(day, [])
        starts = [run.timed for run in runs] if starts is None else starts
        billed = [(run.key, run.billed_ms) for run in runs] if billed is None else billed
        told = held if held is not None else self.held[24 * day : 24 * day + 24]
        away_ms = self.away_ms.get(day, 0)
        booked = sum(self.held[24 * day : 24 * day + 24]) * 995 // 1000
        booked += sum(each for _, each in billed) - sum(run.billed_ms for run in runs)
        return DaySeen(
            site="a",
            day=FIRST_DAY + day,
            cards=self.cards,
            watts=self.watts,
            report=_report(day, starts, billed),
            starts=tuple(starts),
            hours=self.hours(day, told) if hours is None else hours,
            past=tuple(each for past in range(day - PAST_DAYS, day) for each in self.hours(past)),
            booked_card_ms=booked,
            reported_card_ms=sum(told) * (DAY_MS - away_ms) // DAY_MS + self.cards * away_ms,
            faults=_chain(events if events is not None else sealed(told)),
        )


def sealed(held: Sequence[int]) -> list[dict[str, object]]:
    """Return the sealed reports of a day, one each hour, as an agent makes them."""
    events: list[dict[str, object]] = []
    prev = GENESIS
    for number, card_ms in enumerate(held, start=1):
        event: dict[str, object] = {"seq": number, "prev": prev, "held_card_ms": card_ms}
        event["hash"] = prev = seal(event)
        events.append(event)
    return events


def _chain(events: Sequence[dict[str, object]]) -> tuple[ChainFault, ...]:
    return verify(events).faults


def _report(day: int, starts: Sequence[Timed], billed: Sequence[tuple[str, int]]) -> Report:
    """Compare the columns as the platform does, two days later."""
    number = FIRST_DAY + day
    kept, booked = [], {}
    totals: dict[str, int] = {}
    for key, card_ms in billed:
        totals[key] = totals.get(key, 0) + card_ms
    for key, card_ms in totals.items():
        booked[key] = Billed(key, "p", card_ms, number * DAY_MS, number * DAY_MS + 1)
    by_key: dict[str, int] = {}
    for each in starts:
        by_key[each.key] = by_key.get(each.key, 0) + each.card_ms
    for each in starts:
        mine = totals.get(each.key)
        fate = Fate.SUSPENDED if mine is None else Fate.CONFIRMED
        record = Received(
            "a", each.record, 1, each.key, "card_ms", each.card_ms, each.from_ms,
            number * DAY_MS + each.upto_ms % DAY_MS,
        )  # fmt: skip
        kept.append(Kept(record, fate, "no such attempt is in the book" if mine is None else ""))
    tally = Tally("a", number, len(starts), sum(each.card_ms for each in starts), 0, 0, 0)
    now_ms = (number + 1) * DAY_MS + LATE_MS + 1
    seen = Seen("a", number, now_ms, tally, kept, booked, frozenset(), accounted=True)
    return reconcile(seen, _LIMITS)


def make_centre(chance: random.Random, number: int) -> CentreDays:
    """Return a centre with two months of honest work: its load, power, cooling and meter are its own."""
    cards = chance.choice((64, 128, 256, 512))
    watts = chance.choice((350, 400, 700))
    runs = _runs(chance, number, cards, chance.uniform(0.35, 0.85))
    hours = 24 * DAYS
    held, drawn = [0] * hours, [0.0] * hours
    idle = chance.uniform(0.1, 0.2)
    mood = [chance.gauss(1.0, 0.04) for _ in range(DAYS)]  # how hard jobs work differs from day to day
    begin_ms = FIRST_DAY * DAY_MS
    runs_of: dict[int, list[Run]] = {}
    for run in runs:
        for start_ms, part_ms in hour_slices(run.from_ms, run.upto_ms):
            hour = start_ms // HOUR_MS - begin_ms // HOUR_MS
            if 0 <= hour < hours:
                held[hour] += run.cards * part_ms
                busy = min(1.0, run.busy * mood[hour // 24])
                drawn[hour] += run.cards * part_ms / 1000 * watts * (1 - idle) * busy
        runs_of.setdefault((run.upto_ms - begin_ms) // DAY_MS, []).append(run)
    metered = _meter(chance, cards * watts, idle, drawn)
    away = {day: chance.randrange(HOUR_MS // 2, 2 * HOUR_MS) for day in range(DAYS) if chance.random() < 0.03}
    return CentreDays(cards, watts, runs, held, metered, away, runs_of)


def _meter(chance: random.Random, watts: int, idle: float, drawn: Sequence[float]) -> list[int | None]:
    """Return what a meter of class 1 shows of cards, hosts and cooling; now and then an hour is lost."""
    hosts = watts * chance.uniform(0.25, 0.6)
    gain, pue = chance.gauss(1.0, 0.004), chance.uniform(1.12, 1.45)
    metered: list[int | None] = []
    weather = 0.0
    for hour, joules in enumerate(drawn):
        if hour % 24 == 0:
            weather = 0.7 * weather + chance.gauss(0.0, 0.006)
        warm = weather + 0.01 * sin(2 * pi * (hour % 24 - 9) / 24)
        at_it = joules + 3600 * (watts * idle + hosts * (0.8 + 0.2 * joules / 3600 / watts))
        shown = at_it * (pue + warm) * gain * chance.gauss(1.0, 0.003)
        metered.append(None if chance.random() < 0.002 else int(shown))
    return metered


def _runs(chance: random.Random, number: int, cards: int, load: float) -> list[Run]:
    """Return jobs that fit the centre: Poisson arrivals by day and night, log-normal lengths, first come first run."""
    free, now_ms = cards, FIRST_DAY * DAY_MS
    until_ms = now_ms + DAYS * DAY_MS
    running: list[tuple[int, int]] = []
    found: list[Run] = []
    mean_cards, mean_ms = 6.5, 3.1 * HOUR_MS
    while now_ms < until_ms:
        tide = 1 + 0.35 * sin(2 * pi * (now_ms % DAY_MS / DAY_MS - 0.3))
        quiet = 0.75 if now_ms // DAY_MS % 7 in (2, 3) else 1.0
        now_ms += int(chance.expovariate(load * tide * quiet * cards / mean_cards / mean_ms))
        wanted = min(cards // 4, chance.choices((1, 2, 4, 8, 16, 32), (30, 20, 18, 20, 8, 4))[0])
        length_ms = int(min(DAY_MS, chance.lognormvariate(0.0, 1.3) * 1.4 * HOUR_MS)) + 60_000
        start_ms = now_ms
        while free < wanted:
            running.sort()
            end_ms, freed = running.pop(0)
            free, start_ms = free + freed, max(start_ms, end_ms)
        still = [each for each in running if each[0] > start_ms]
        free += sum(each[1] for each in running) - sum(each[1] for each in still)
        running = still
        made = _run(chance, f"ht-{number}-{len(found)}", wanted, start_ms, length_ms)
        found += made
        free -= wanted
        running.append((made[-1].upto_ms, wanted))
        now_ms = start_ms
    return found


def _run(chance: random.Random, key: str, cards: int, from_ms: int, length_ms: int) -> list[Run]:
    """Return the starts of a job, one or, requeued, two; the platform hears of its end a little later, or much."""
    busy = chance.betavariate(5, 2)
    starts = []
    count = 2 if chance.random() < 0.02 else 1
    dispatched_ms = from_ms - int(chance.expovariate(1 / 60_000)) - 500
    for number in range(count):
        ranks_ms = from_ms + chance.randrange(2_000, 120_000)
        ended_ms = ranks_ms + length_ms // count
        upto_ms = ended_ms + chance.randrange(500, 20_000)
        late_ms = chance.randrange(200, 8_000) if chance.random() < 0.99 else chance.randrange(HOUR_MS * 6)
        seen = (dispatched_ms, ranks_ms + chance.randrange(200, 8_000), ended_ms + late_ms)
        starts.append(Run(key, f"{key}:{number}", cards, from_ms, ranks_ms, ended_ms, upto_ms, busy, *seen))
        from_ms = upto_ms + chance.randrange(2_000, 600_000)
    last = starts[-1]
    if count == 2:  # the platform knows one start and one end of an attempt
        starts[0] = Run(
            key, starts[0].record, cards, starts[0].from_ms, starts[0].ranks_ms, starts[0].ended_ms,
            starts[0].upto_ms, busy, dispatched_ms, starts[0].started_seen_ms, last.ended_seen_ms,
        )  # fmt: skip
        starts[1] = Run(
            key, last.record, cards, last.from_ms, last.ranks_ms, last.ended_ms, last.upto_ms, busy,
            dispatched_ms, 0, last.ended_seen_ms,
        )  # fmt: skip
    return starts
