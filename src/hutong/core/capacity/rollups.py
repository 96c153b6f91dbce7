"""Sums over the registry by region, owner, chip and others, and plans beside what came of them.

Unlike figures are never added: each sum has a row for each kind, and says how much of it rests on evidence.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from hutong.core.capacity.centres import Centre, Phase, PhaseState, last_day
from hutong.core.capacity.figures import Span
from hutong.core.capacity.holdings import (
    NO_KIND,
    Holding,
    Kind,
    More,
    holdings,
    planned_holdings,
    vendor_of,
)
from hutong.core.capacity.mixes import PPM

NOT_SAID = "(not said)"
IN_SERVICE = frozenset({PhaseState.IN_SERVICE})
ORIGINS = MappingProxyType({True: "domestic", False: "foreign", None: NOT_SAID})
KEYS: Mapping[str, Callable[[Holding], str]] = MappingProxyType(
    {
        "all": lambda _: "all",
        "region": lambda each: each.centre.region,
        "owner": lambda each: each.centre.owner.name or NOT_SAID,
        "operator": lambda each: each.centre.operator.name or NOT_SAID,
        "centre": lambda each: each.centre.id,
        "chip": lambda each: each.model or NOT_SAID,
        "vendor": lambda each: vendor_of(each.model) or NOT_SAID,
        "precision": lambda each: each.kind[0] or NOT_SAID,
        "domestic": lambda each: ORIGINS[each.domestic],
        "state": lambda each: each.state.value,
    }
)
"""By what sums may be made."""


@dataclass(frozen=True, slots=True)
class Row:
    """Power of one kind: with evidence, and declared only. Of `assumed_gops` nobody said the precision."""

    kind: Kind
    evidence: Span
    declared: Span
    evidence_ppm: int
    assumed_gops: int


@dataclass(frozen=True, slots=True)
class Shares:
    """Cards and giga-operations a second by origin; ppm are of what is known, 0 where nothing is.

    Those by computing power take every figure that is used, of whatever kind, at its likely value.
    """

    domestic_cards: int
    foreign_cards: int
    domestic_gops: int
    foreign_gops: int
    unknown_gops: int

    @property
    def cards_ppm(self) -> int:
        """The domestic share by cards."""
        return _ppm(self.domestic_cards, self.domestic_cards + self.foreign_cards)

    @property
    def gops_ppm(self) -> int:
        """The domestic share by computing power."""
        return _ppm(self.domestic_gops, self.domestic_gops + self.foreign_gops)


@dataclass(frozen=True, slots=True)
class Group:
    """What comes to one key. `silent` phases are in it without any computing power that could be counted."""

    key: str
    centres: int
    phases: int
    silent: int
    cards: int
    rows: tuple[Row, ...]
    shares: Shares


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One kind on one day: by first and latest plans; what of that is there; what came without a plan."""

    kind: Kind
    first: Span
    latest: Span
    actual: Span
    unplanned: Span


@dataclass(frozen=True, slots=True)
class Point:
    """Plans and what came of them up to a day."""

    day: str
    rows: tuple[PlanRow, ...]


@dataclass(frozen=True, slots=True)
class Delay:
    """A planned phase: when it was to be, and was, in service.

    `late_days` is how long after the first plan it came, or how long it is overdue; below 0 it came early.
    None: it is not due yet, or was given up.
    """

    centre: Centre
    phase: Phase
    first_due: str
    latest_due: str
    state: PhaseState | None
    since: str
    late_days: int | None


def roll_up(
    centres: Iterable[Centre],
    day: str,
    by: str,
    states: frozenset[PhaseState] = IN_SERVICE,
    more: More | None = None,
) -> tuple[Group, ...]:
    """Return what phases in some states hold on a day, by one of KEYS, in order of the keys."""
    groups: defaultdict[str, list[Holding]] = defaultdict(list)
    for each in holdings(centres, day, states, more):
        groups[KEYS[by](each)].append(each)
    return tuple(_group(key, groups[key]) for key in sorted(groups))


def plan_against_actual(
    centres: Sequence[Centre], days: Iterable[str], as_of: str, more: More | None = None
) -> tuple[Point, ...]:
    """Return for each day what was planned and what was there; days after `as_of` have plans only."""
    return tuple(_point(centres, day, as_of, more) for day in days)


def delays(centres: Iterable[Centre], as_of: str) -> tuple[Delay, ...]:
    """Return every planned phase with how late it is, the latest first."""
    found = [
        each
        for centre in centres
        for phase in centre.phases
        if not phase.withdrawn and (each := _delay(centre, phase, as_of))
    ]
    worst = -(10**9)
    return tuple(
        sorted(
            found,
            key=lambda each: (
                -(worst if each.late_days is None else each.late_days), each.centre.id, each.phase.id
            ),
        )
    )  # fmt: skip


def _group(key: str, found: Sequence[Holding]) -> Group:
    phases = {(each.centre.id, each.phase.id) for each in found}
    heard = {(each.centre.id, each.phase.id) for each in found if each.kind != NO_KIND}
    rows = tuple(
        _row(kind, [each for each in found if each.kind == kind])
        for kind in sorted({each.kind for each in found} - {NO_KIND})
    )
    return Group(
        key,
        len({each.centre.id for each in found}),
        len(phases),
        len(phases - heard),
        sum(each.cards for each in found),
        rows,
        _shares(found),
    )


def _row(kind: Kind, found: Sequence[Holding]) -> Row:
    evidence = _sum(each.gops for each in found if each.proved)
    declared = _sum(each.gops for each in found if not each.proved)
    assumed = sum(each.gops.likely for each in found if each.assumed)
    share = _ppm(evidence.likely, evidence.likely + declared.likely)
    return Row(kind, evidence, declared, share, assumed)


def _shares(found: Sequence[Holding]) -> Shares:
    cards, gops = defaultdict[bool | None, int](int), defaultdict[bool | None, int](int)
    for each in found:
        cards[each.domestic] += each.cards
        gops[each.domestic] += each.gops.likely
    return Shares(cards[True], cards[False], gops[True], gops[False], gops[None])


def _point(centres: Sequence[Centre], day: str, as_of: str, more: More | None) -> Point:
    until = min(day, as_of)
    first = list(planned_holdings(centres, day, as_of, more, first=True))
    latest = list(planned_holdings(centres, day, as_of, more))
    there = list(holdings(centres, until, IN_SERVICE, more)) if day <= as_of else []
    kinds = {each.kind for each in (*first, *latest, *there)} - {NO_KIND}
    return Point(
        day,
        tuple(
            PlanRow(
                kind,
                _sum(each.gops for each in first if each.kind == kind),
                _sum(each.gops for each in latest if each.kind == kind),
                _sum(each.gops for each in there if each.kind == kind and each.phase.plans),
                _sum(each.gops for each in there if each.kind == kind and not each.phase.plans),
            )
            for kind in sorted(kinds)
        ),
    )


def _delay(centre: Centre, phase: Phase, as_of: str) -> Delay | None:
    told = [each for each in phase.plans if last_day(each.told) <= as_of]
    if not told:
        return None
    since = phase.since(PhaseState.IN_SERVICE)
    came = last_day(since) if since and last_day(since) <= as_of else ""
    due = last_day(told[0].due)
    late = (date.fromisoformat(came or as_of) - date.fromisoformat(due)).days
    state = phase.state_at(as_of)
    open_ = not came and (late <= 0 or state is PhaseState.RETIRED)
    return Delay(
        centre, phase, told[0].due, told[-1].due, state, since if came else "", None if open_ else late,
    )  # fmt: skip


def _sum(spans: Iterable[Span]) -> Span:
    total = Span.exactly(0)
    for each in spans:
        total = total.plus(each)
    return total


def _ppm(part: int, whole: int) -> int:
    return part * PPM // whole if whole else 0
