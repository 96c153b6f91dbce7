"""What a centre holds on a day, as rows that can be added: one for each card or stated figure of a phase."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hutong.core.capacity.catalogue import CATALOGUE, find_card
from hutong.core.capacity.centres import Capacity, Centre, Phase, PhaseState, last_day
from hutong.core.capacity.figures import Figure, Span, kind
from hutong.core.capacity.mixes import Total

Kind = tuple[str, str, str]
"""Precision, sparsity and basis: what must be equal of figures that are added."""
More = Mapping[str, tuple[Figure, ...]]
NO_KIND: Kind = ("", "", "")
_NOTHING = Span.exactly(0)
_PRECISION = "FP16"


@dataclass(frozen=True, slots=True)
class Holding:
    """Cards of one model, or a stated figure, of a phase. `proved`: with evidence; else it is declared only.

    `model` is empty where nobody said it, `domestic` None where it is not known, `kind` NO_KIND where no
    computing power is known. `assumed`: the precision is that of the convention. `cards_tell`: the computing
    power is that of the cards; else it is the stated one.
    """

    centre: Centre
    phase: Phase
    state: PhaseState
    proved: bool
    model: str
    domestic: bool | None
    cards: int
    kind: Kind
    gops: Span
    assumed: bool = False
    cards_tell: bool = True


def is_domestic(model: str) -> bool | None:
    """Return whether a card is domestic, None where the catalogue does not know it."""
    card = find_card(model)
    return card.domestic if card else None


def power_of(model: str, cards: int, more: tuple[Figure, ...] = ()) -> tuple[Kind, Span] | None:
    """Return the computing power of cards with its kind, FP16 where known; None where nothing is.

    `more` are figures of that model beside the catalogue's.
    """
    card = find_card(model)
    choice = card.choice(_PRECISION, more) if card else None
    if choice is None:
        return None
    span = choice.span
    return kind(choice.figure), Span(cards * span.low, cards * span.likely, cards * span.high)


def holdings(
    centres: Iterable[Centre], day: str, states: frozenset[PhaseState], more: More | None = None
) -> Iterator[Holding]:
    """Yield what phases in some states hold on a day.

    Cards that all have a figure tell the computing power; else the stated figure does. Both are never added.
    """
    for centre in centres:
        for phase in centre.phases:
            state = phase.state_at(day)
            if state is not None and state in states:
                yield from _of_phase(
                    centre, phase, state, phase.capacity_at(day), phase.proved_at(day), more or {}
                )


def planned_holdings(
    centres: Iterable[Centre], due: str, as_of: str, more: More | None = None, *, first: bool = False
) -> Iterator[Holding]:
    """Yield what was to be in service by a day: by the latest plans told until `as_of`, or the first."""
    for centre in centres:
        for phase in centre.phases:
            told = () if phase.withdrawn else [each for each in phase.plans if last_day(each.told) <= as_of]
            plan = told[0 if first else -1] if told else None
            if plan is not None and last_day(plan.due) <= due:
                state = phase.state_at(as_of) or PhaseState.PLANNED
                capacity = plan.capacity or phase.capacity
                yield from _of_phase(centre, phase, state, capacity, phase.proved_at(as_of), more or {})


def totals_of(found: Iterable[Holding]) -> tuple[Total, ...]:
    """Return the sums of holdings, one for each kind."""
    return merge_totals(Total(*each.kind, each.gops, each.cards) for each in found if each.kind != NO_KIND)


def merge_totals(totals: Iterable[Total]) -> tuple[Total, ...]:
    """Return totals with like ones added."""
    sums: dict[Kind, Total] = {}
    for each in totals:
        key = (each.precision, each.sparsity, each.basis)
        there = sums.get(key, Total(*key, _NOTHING, 0))
        sums[key] = Total(*key, there.gops.plus(each.gops), there.cards + each.cards)
    return tuple(sums[key] for key in sorted(sums))


def models_of(centres: Iterable[Centre]) -> tuple[str, ...]:
    """Return the models of which centres have cards, or had or were to have."""
    found: set[str] = set()
    for centre in centres:
        for phase in centre.phases:
            later = (*(each.capacity for each in phase.changes), *(each.capacity for each in phase.plans))
            told = [phase.capacity, *later]
            found.update(line.model for each in told if each for line in each.lines)
    return tuple(sorted(found))


def _of_phase(
    centre: Centre, phase: Phase, state: PhaseState, capacity: Capacity, proved: bool, more: More
) -> Iterator[Holding]:
    def row(model: str, cards: int, of: Kind, gops: Span, figure: Figure | None = None) -> Holding:
        assumed = figure is not None and figure.assumed
        domestic = is_domestic(model)
        return Holding(
            centre, phase, state, proved, model, domestic, cards, of, gops, assumed, figure is None
        )  # fmt: skip

    lines, stated = capacity.lines, capacity.stated
    powers = [power_of(line.model, line.cards, more.get(line.model, ())) for line in lines]
    if stated is None or (lines and all(powers)):
        for line, power in zip(lines, powers, strict=True):
            yield row(line.model, line.cards, *(power or (NO_KIND, _NOTHING)))
        if not lines:
            yield row("", 0, NO_KIND, _NOTHING)
        return
    whole = Span.exactly(stated.gops)
    if len(lines) == 1:
        yield row(lines[0].model, lines[0].cards, kind(stated), whole, stated)
        return
    yield row("", 0, kind(stated), whole, stated)
    for line in lines:
        yield row(line.model, line.cards, NO_KIND, _NOTHING)


def vendor_of(model: str) -> str:
    """Return the vendor of a card, empty where the catalogue does not know it."""
    card = CATALOGUE.get(model)
    return card.vendor if card else ""
