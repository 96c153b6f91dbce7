"""What the registry says of a centre beside what its connected sites declare: cards by model, P by kind.

What is in service must be declared, what is accepted may be. Unlike figures are refused, with the reason.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from hutong.core.capacity.centres import Centre, PhaseState
from hutong.core.capacity.figures import Difference, Figure, Span, differences
from hutong.core.capacity.holdings import NO_KIND, Holding, Kind, More, holdings, power_of

Verdict = Literal["agrees", "more", "less", "unsure", "unlike"]
"""The sites declare as much as is registered, more, less; what is not said may explain it; not comparable."""
Declared = Mapping[str, int]
"""Cards of a site by model."""
_COUNTED = frozenset({PhaseState.ACCEPTED, PhaseState.IN_SERVICE})
_NOTHING = Span.exactly(0)
_NO_CARDS = "CPU"


@dataclass(frozen=True, slots=True)
class Cards:
    """Cards of one model: in service, accepted and not yet in service, and declared by sites."""

    model: str
    in_service: int
    accepted: int
    declared: int
    verdict: Verdict

    @property
    def difference(self) -> int:
        """How many cards more, or below 0 fewer, the sites declare than may be."""
        return _gap(self.declared, self.declared, self.in_service, self.in_service + self.accepted)


@dataclass(frozen=True, slots=True)
class Power:
    """Giga-operations a second of one kind; `why` says for what is refused what is unlike."""

    kind: Kind
    in_service: Span
    accepted: Span
    declared: Span
    verdict: Verdict
    why: tuple[Difference, ...] = ()

    @property
    def difference(self) -> int:
        """By how much the intervals miss each other: above 0 the sites declare more. 0: they meet."""
        high = self.in_service.high + self.accepted.high
        return _gap(self.declared.low, self.declared.high, self.in_service.low, high)


@dataclass(frozen=True, slots=True)
class Agreement:
    """A connected centre. `notes` say what hinders the comparison."""

    centre: Centre
    cards: tuple[Cards, ...]
    power: tuple[Power, ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all, `agrees` where nothing differs."""
        told = {each.verdict for each in self.cards} | {each.verdict for each in self.power}
        order: tuple[Verdict, ...] = ("more", "less", "unlike", "unsure")
        return next((each for each in order if each in told), "agrees")


def agreements(
    centres: Iterable[Centre], declared: Mapping[str, Declared], day: str, more: More | None = None
) -> tuple[Agreement, ...]:
    """Return how each connected centre agrees on a day with what its sites declare, by id.

    `declared` has the cards of every site, `more` figures of models beside the catalogue's.
    """
    connected = sorted((each for each in centres if each.sites), key=lambda each: each.id)
    named = Counter(site for each in connected for site in each.sites)
    return tuple(_agreement(each, declared, named, day, more or {}) for each in connected)


def unnamed(centres: Iterable[Centre], declared: Iterable[str]) -> tuple[str, ...]:
    """Return the sites that no centre names."""
    return tuple(sorted({*declared} - {site for each in centres for site in each.sites}))


def cards_by_site(pools: Iterable[tuple[str, str, int]]) -> dict[str, Counter[str]]:
    """Return the cards of each site by model, from pools as (site, model, cards); cores are no cards."""
    found: dict[str, Counter[str]] = {}
    for site, model, cards in pools:
        there = found.setdefault(site, Counter())
        if model != _NO_CARDS and cards:
            there[model] += cards
    return found


def _agreement(
    centre: Centre, declared: Mapping[str, Declared], named: Mapping[str, int], day: str, more: More
) -> Agreement:
    held = list(holdings((centre,), day, _COUNTED, more))
    cards: Counter[str] = Counter()
    for site in centre.sites:
        cards.update(declared.get(site, {}))
    shared = [site for site in centre.sites if named[site] > 1]
    silent = {each.phase.id for each in held} - {each.phase.id for each in held if each.cards}
    dark = sorted(
        {
            f"{each.model or 'the cards'} of phase {each.phase.id}"
            for each in held
            if each.kind == NO_KIND and each.phase.capacity_at(day).stated is None
        }
    )
    powers = {model: power_of(model, count, more.get(model, ())) for model, count in cards.items()}
    blind = sorted(model for model, power in powers.items() if power is None)
    notes = (
        *(f"nothing is known of what site {site} declares" for site in centre.sites if site not in declared),
        *(f"site {site} is named by {named[site]} centres: its cards count for each" for site in shared),
        *(f"nobody said which cards phase {phase} has" for phase in sorted(silent)),
        *(f"no computing power is known of {each}" for each in (*blind, *dark)),
        *(f"the precision of phase {phase} is assumed"
          for phase in sorted({each.phase.id for each in held if each.assumed})),
    )  # fmt: skip
    there: dict[Kind, Span] = {}
    for power in powers.values():
        if power:
            _add(there, *power)
    rows = _powers(held, there, more_may_be=bool(dark or shared), less_may_be=bool(blind))
    return Agreement(centre, _cards(held, cards, more_may_be=bool(silent or shared)), rows, notes)


def _cards(held: Iterable[Holding], declared: Declared, *, more_may_be: bool) -> tuple[Cards, ...]:
    sums: dict[PhaseState, Counter[str]] = {state: Counter() for state in _COUNTED}
    for each in held:
        if each.cards:
            sums[each.state][each.model] += each.cards
    serving, accepted = sums[PhaseState.IN_SERVICE], sums[PhaseState.ACCEPTED]
    rows = []
    for model in sorted({*serving, *accepted, *declared}):
        row = Cards(model, serving[model], accepted[model], declared.get(model, 0), "agrees")
        may_be = more_may_be and row.difference > 0
        rows.append(replace(row, verdict=_verdict(row.difference, may_be=may_be)))
    return tuple(rows)


def _powers(
    held: Iterable[Holding], there: Mapping[Kind, Span], *, more_may_be: bool, less_may_be: bool
) -> tuple[Power, ...]:
    """Compare kind by kind. What is unlike on one side may explain what is too much on the other."""
    sums: dict[PhaseState, dict[Kind, Span]] = {state: {} for state in _COUNTED}
    for each in held:
        if each.kind != NO_KIND:
            _add(sums[each.state], each.kind, each.gops if each.cards_tell else _as_exact_as_told(each.gops))
    serving, accepted = sums[PhaseState.IN_SERVICE], sums[PhaseState.ACCEPTED]
    registered, declared = {*serving, *accepted}, {*there}
    more_may_be |= bool(registered - declared)
    less_may_be |= bool(declared - registered)
    rows = []
    for kind in sorted(registered | declared):
        known, coming, told = (each.get(kind, _NOTHING) for each in (serving, accepted, there))
        row = Power(kind, known, coming, told, "agrees")
        others = declared if kind in registered else registered
        if others and kind not in others:
            why = dict.fromkeys(each for other in sorted(others) for each in _unlike(kind, other))
            rows.append(replace(row, verdict="unlike", why=tuple(why)))
        else:
            may_be = more_may_be if row.difference > 0 else less_may_be
            rows.append(replace(row, verdict=_verdict(row.difference, may_be=may_be)))
    return tuple(rows)


def _verdict(difference: int, *, may_be: bool) -> Verdict:
    if not difference:
        return "agrees"
    return "unsure" if may_be else "more" if difference > 0 else "less"


def _as_exact_as_told(stated: Span) -> Span:
    """Return the interval of a stated total: half a unit of its last digit that is not 0, to both sides.

    >>> _as_exact_as_told(Span.exactly(480))
    Span(low=475, likely=480, high=485)
    """
    unit = 1
    while stated.likely and stated.likely % (10 * unit) == 0:
        unit *= 10
    return Span(stated.low - unit // 2, stated.likely, stated.high + unit // 2)


def _unlike(kind: Kind, other: Kind) -> tuple[Difference, ...]:
    left, right = (Figure(0, each[0], each[1] == "sparse", each[2], "", "") for each in (kind, other))
    return differences(left, right)


def _add(sums: dict[Kind, Span], kind: Kind, span: Span) -> None:
    sums[kind] = sums.get(kind, _NOTHING).plus(span)


def _gap(low: int, high: int, least: int, most: int) -> int:
    """Return by how much `[low, high]` lies above, or below 0 under, `[least, most]`; 0 where they meet."""
    return low - most if low > most else high - least if high < least else 0
