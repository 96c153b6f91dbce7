"""P <-> cards <-> racks <-> megawatts <-> gigawatt-hours a year, with intervals from figures that conflict.

An end of an interval takes every conflict at its better or its worse, so what is true lies between the ends.
Cards are whole: they are rounded up to reach a quantity, down to stay within one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hutong.core.capacity.catalogue.model import Card
from hutong.core.capacity.figures import Choice, Figure, Span
from hutong.core.capacity.units import Amount
from hutong.core.kernel.errors import Problem, Refused

HOURS_A_YEAR = 8760
_MILLI = 1000
Turn = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a conversion assumes. `host_milli` is the power of hosts and network in thousandths of the cards'.

    The defaults are accelerators alone, at 85 % load and PUE 1.35; racks of 4 nodes of 8 cards are our own.
    """

    cards_per_rack: int = 32
    load_milli: int = 850
    pue_milli: int = 1350
    host_milli: int = 0

    def __post_init__(self) -> None:
        wrong = [
            Problem("/cards_per_rack", "a rack holds at least one card", "1 or more")
            if self.cards_per_rack < 1
            else None,
            Problem("/load", "a load is above 0 and at most 1", "0.85")
            if not 0 < self.load_milli <= _MILLI
            else None,
            Problem("/pue", "a PUE is 1 or more", "1.35") if self.pue_milli < _MILLI else None,
            Problem("/hosts", "a share is 0 or more", "0.3") if self.host_milli < 0 else None,
        ]
        if problems := tuple(each for each in wrong if each):
            raise Refused("bad_terms", "that cannot be assumed", problems)


@dataclass(frozen=True, slots=True)
class Chain:
    """One quantity seen as computing power, cards, racks, power, and energy of a year.

    `it_watts` are of cards and hosts, `watts` with the PUE; all are 0 where no nameplate is known.
    `cards_if_sparse` is how many cards there would be if a sparse figure were taken for a dense one.
    """

    card: Card
    choice: Choice
    gops: Span
    cards: Span
    racks: Span
    it_watts: Span
    watts: Span
    watt_hours: Span
    cards_if_sparse: int = 0


def rate_of(card: Card, precision: str, more: tuple[Figure, ...] = ()) -> Choice:
    """Return the figure of a card to convert by; raises Refused where nothing is known in that precision."""
    choice = card.choice(precision, more)
    if choice is None:
        known = ", ".join(card.precisions) or "no precision at all"
        problem = Problem(
            "/precision", f"no dense {precision} figure of {card.model} is known", f"known: {known}"
        )
        raise Refused("no_figure", f"{card.model} has no figure of {precision}", (problem,))
    return choice


def draw_of(card: Card) -> Span:
    """Return the power of a card in mW: its nameplate, and what else was stated or measured."""
    likely = card.tdp_w * _MILLI
    return Span(min(likely, *card.watts_milli, likely), likely, max(likely, *card.watts_milli, likely))


def convert(
    amount: Amount,
    card: Card,
    precision: str = "FP16",
    terms: Terms | None = None,
    more: tuple[Figure, ...] = (),
) -> Chain:
    """Return what a quantity of any kind means in cards of one model and all that follows.

    Raises Refused where the card has no figure, or no nameplate for a quantity of power or energy.
    """
    terms = terms or Terms()
    choice = rate_of(card, precision, more)
    cards = _cards(amount, card, choice.span, terms)
    gops = Span.exactly(amount.value) if amount.what == "gops" else gops_of(cards, choice.span)
    draw = draw_of(card)
    it_watts = _scaled(cards, draw, lambda mw: _up(mw * (_MILLI + terms.host_milli), _MILLI * _MILLI))
    watts = _each(it_watts, lambda each: _up(each * terms.pue_milli, _MILLI))
    energy = _each(
        it_watts, lambda each: _up(each * HOURS_A_YEAR * terms.load_milli * terms.pue_milli, _MILLI**2)
    )
    sparse = max(
        (each.gops for each in card.figures if each.sparse and each.precision == precision), default=0
    )
    return Chain(
        card, choice, gops, cards, _each(cards, lambda each: _up(each, terms.cards_per_rack)), it_watts,
        watts,
        energy, _up(amount.value, sparse) if sparse and amount.what == "gops" else 0,
    )  # fmt: skip


def cards_of(gops: int, rate: Span) -> Span:
    """Return the whole cards that reach a computing power: fewest at the best figure, most at the worst."""
    return Span(_up(gops, rate.high), _up(gops, rate.likely), _up(gops, rate.low))


def gops_of(cards: Span, rate: Span) -> Span:
    """Return the computing power of cards: least at the worst figure, most at the best."""
    return Span(cards.low * rate.low, cards.likely * rate.likely, cards.high * rate.high)


def _cards(amount: Amount, card: Card, rate: Span, terms: Terms) -> Span:
    match amount.what:
        case "gops":
            return cards_of(amount.value, rate)
        case "cards":
            return Span.exactly(amount.value)
        case "racks":
            return Span.exactly(amount.value * terms.cards_per_rack)
    draw = draw_of(card)
    if not draw.low:
        problem = Problem(
            "/amount", f"the power of {card.model} is not published", "start from P or from cards"
        )
        raise Refused("no_nameplate", f"nothing is known of the power of {card.model}", (problem,))
    # Power that is had is that of the whole building, and cards fit under it: so everything is rounded down.
    site = terms.pue_milli * (_MILLI + terms.host_milli)
    parts, whole = amount.value * _MILLI**3, site
    if amount.what == "watt_hours":
        parts, whole = parts * _MILLI, site * HOURS_A_YEAR * terms.load_milli
    return Span(*(parts // (whole * each) for each in (draw.high, draw.likely, draw.low)))


def _scaled(cards: Span, each: Span, turn: Turn) -> Span:
    return Span(turn(cards.low * each.low), turn(cards.likely * each.likely), turn(cards.high * each.high))


def _each(span: Span, turn: Turn) -> Span:
    return Span(turn(span.low), turn(span.likely), turn(span.high))


def _up(parts: int, whole: int) -> int:
    return -(-parts // whole)
