"""The ways of cheating and of going wrong that `bench.frauds` tries: each takes an honest day and makes it another."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.fraud_days import FIRST_DAY, CentreDays, sealed

from hutong.core.kernel.chain import seal
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.core.witnesses.shapes import DaySeen, Hour, Timed

Made = tuple[float, DaySeen] | None
_SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
_SKEWS_S = (30, 60, 90, 120, 240, 600, 1800, 3600, 28_800)


@dataclass(frozen=True, slots=True)
class Way:
    """One way: its kind, and the kinds of findings that count as having found it."""

    kind: str
    name: str
    shows: frozenset[str]
    make: Callable[[CentreDays, int, random.Random], Made]

    @property
    def family(self) -> str:
        """Its kind among the five: what is told twice and what is changed after sealing are one."""
        return "tampered" if self.kind in {"replayed", "broken_chain"} else self.kind


def _ghosts(centre: CentreDays, day: int, chance: random.Random) -> tuple[list[Timed], list[int]]:
    """Return jobs that never ran, where cards stood idle, and the card-ms by hour with them."""
    wanted = max(1, int(chance.choice(_SHARES) * centre.cards * chance.uniform(0.7, 1.3)))
    held = centre.held[24 * day : 24 * day + 24]
    made: list[Timed] = []
    for hour in range(24):
        cards = min(wanted, centre.cards - -(-held[hour] // HOUR_MS) - 1)
        if cards > 0:
            start = (24 * (FIRST_DAY + day) + hour) * HOUR_MS + 60_000
            end = start + HOUR_MS - 120_000
            card_ms = cards * (end - start)
            held = [*held[:hour], held[hour] + card_ms, *held[hour + 1 :]]
            name = f"ht-ghost-{hour}"
            made.append(Timed(name, name, start, end, card_ms, start - 9_000, start + 9_000, end + 9_000))
    return made, held


def _share(centre: CentreDays, card_ms: int) -> float:
    return card_ms / (centre.cards * DAY_MS)


def _lone_ghost(centre: CentreDays, day: int, chance: random.Random) -> Made:
    ghosts, held = _ghosts(centre, day, chance)
    runs = centre.runs_of.get(day, [])
    if not ghosts:
        return None
    billed = [(run.key, run.billed_ms) for run in runs] + [(each.key, each.card_ms) for each in ghosts]
    size = sum(each.card_ms for each in ghosts)
    return _share(centre, size), centre.seen(day, billed=billed, held=held)


def _accounted_ghost(centre: CentreDays, day: int, chance: random.Random) -> Made:
    """Billing, accounting and agent are forged alike; only the meter is not."""
    ghosts, held = _ghosts(centre, day, chance)
    runs = centre.runs_of.get(day, [])
    if not ghosts:
        return None
    billed = [(run.key, run.billed_ms) for run in runs] + [(each.key, each.card_ms) for each in ghosts]
    starts = [run.timed for run in runs] + ghosts
    size = sum(each.card_ms for each in ghosts)
    return _share(centre, size), centre.seen(day, billed=billed, starts=starts, held=held)


def _stretch(centre: CentreDays, day: int, chance: random.Random, *, forged: bool) -> Made:
    """Book jobs longer than they ran, each by the same share; `forged`: in accounting and samples too."""
    runs = centre.runs_of.get(day, [])
    by = chance.choice(_SHARES) * chance.uniform(0.7, 1.3)
    more = {run.record: int(run.billed_ms * by) for run in runs}
    total = sum(more.values())
    room = centre.cards * HOUR_MS
    held = [min(room, int(each * (1 + by))) for each in centre.held[24 * day : 24 * day + 24]]
    if not total:
        return None
    billed = [(run.key, run.billed_ms + more[run.record]) for run in runs]
    if not forged:
        return _share(centre, total), centre.seen(day, billed=billed)
    starts = []
    for run in runs:
        told = run.timed
        later = more[run.record] // run.cards
        seen_ms = told.ended_seen_ms + later
        # A later start of the same attempt moves along, or the two would overlap.
        starts.append(
            replace(
                told,
                upto_ms=told.upto_ms + later,
                card_ms=told.card_ms + more[run.record],
                ended_seen_ms=seen_ms,
            )
        )
    return _share(centre, total), centre.seen(day, billed=billed, starts=starts, held=held)


def _booked_longer(centre: CentreDays, day: int, chance: random.Random) -> Made:
    return _stretch(centre, day, chance, forged=False)


def _all_longer(centre: CentreDays, day: int, chance: random.Random) -> Made:
    return _stretch(centre, day, chance, forged=True)


def _side(centre: CentreDays, day: int, chance: random.Random) -> Made:
    """Let cards work for somebody else for some hours and report nothing."""
    share = chance.choice(_SHARES) * chance.uniform(0.7, 1.3)
    first, length = chance.randrange(24), chance.choice((6, 12, 24))
    pue, busy, size = 1.25, chance.betavariate(5, 2), 0
    hours: list[Hour] = []
    for at, hour in enumerate(centre.hours(day)):
        free = centre.cards * HOUR_MS - centre.held[24 * day + at]
        used = min(free, int(share * centre.cards * HOUR_MS)) if (at - first) % 24 < length else 0
        size += used
        more = int(used / 1000 * centre.watts * 0.85 * busy * pue)
        hours.append(hour if hour.metered_j is None else replace(hour, metered_j=hour.metered_j + more))
    return (_share(centre, size), centre.seen(day, hours=hours)) if size else None


def _skew(centre: CentreDays, day: int, chance: random.Random) -> Made:
    """Set the site's clock wrong, forward or back, for a day or from some moment on."""
    runs = centre.runs_of.get(day, [])
    by_s = chance.choice(_SKEWS_S) * chance.uniform(0.7, 1.3)
    ahead = chance.choice((-1, 1))
    from_ms = (FIRST_DAY + day) * DAY_MS + chance.choice((0, 0, chance.randrange(DAY_MS * 3 // 4)))
    by_ms = int(ahead * by_s * 1000)
    if not any(run.from_ms >= from_ms for run in runs):
        return None
    starts = [
        replace(run.timed, from_ms=run.timed.from_ms + by_ms, upto_ms=run.timed.upto_ms + by_ms)
        if run.from_ms >= from_ms
        else run.timed
        for run in runs
    ]
    return by_s, centre.seen(day, starts=starts)


def _replay(centre: CentreDays, day: int, chance: random.Random) -> Made:
    """Tell some records again under other names, as new starts of their jobs, and have them booked."""
    runs = centre.runs_of.get(day, [])
    if not runs:
        return None
    again = chance.sample(runs, min(len(runs), chance.choice((1, 1, 2, 5, 20))))
    starts = [run.timed for run in runs]
    starts += [replace(run.timed, record=f"{run.record}-again") for run in again]
    billed = [(run.key, run.billed_ms) for run in (*runs, *again)]
    return _share(centre, sum(run.billed_ms for run in again)), centre.seen(day, starts=starts, billed=billed)


def _change_seal(centre: CentreDays, day: int, chance: random.Random) -> Made:
    """Change, leave out, move or put in a sealed report after it was sealed."""
    events = sealed(centre.held[24 * day : 24 * day + 24])
    at = chance.randrange(1, 23)
    match chance.randrange(4):
        case 0:
            events[at] = {**events[at], "held_card_ms": centre.held[24 * day + at] + 1}
        case 1:
            del events[at]
        case 2:
            events[at], events[at - 1] = events[at - 1], events[at]
        case _:
            forged = {**events[at], "held_card_ms": centre.held[24 * day + at] + 1}
            events[at] = {**forged, "hash": seal(forged)}  # sealed anew, but the next one names the old
    return 0.0, centre.seen(day, events=events)


def _shows(*kinds: str) -> frozenset[str]:
    return frozenset(kinds)


WAYS = (
    Way("ghost", "booked alone", _shows("ghost", "over_reported"), _lone_ghost),
    Way("ghost", "accounting forged too", _shows("ghost", "over_reported"), _accounted_ghost),
    Way("over_reported", "booked alone", _shows("over_reported"), _booked_longer),
    Way("over_reported", "accounting forged too", _shows("over_reported"), _all_longer),
    Way("side_use", "nothing reported", _shows("side_use"), _side),
    Way("clock_skew", "set wrong", _shows("clock_skew"), _skew),
    Way("replayed", "told again", _shows("replayed"), _replay),
    Way("broken_chain", "changed after sealing", _shows("broken_chain"), _change_seal),
)
