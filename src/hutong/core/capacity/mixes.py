"""Mixes of cards: what they come to, kind by kind, their domestic share, and what a wish for one is."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hutong.core.capacity.catalogue.model import Card
from hutong.core.capacity.convert import Terms, draw_of, rate_of
from hutong.core.capacity.figures import Choice, Figure, Span, kind
from hutong.core.kernel.errors import Problem, Refused

_MILLI = 1000
PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """Cards of one model in a mix."""

    card: Card
    cards: int
    choice: Choice

    @property
    def gops(self) -> Span:
        """Their computing power."""
        span = self.choice.span
        return Span(self.cards * span.low, self.cards * span.likely, self.cards * span.high)


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of figures of one kind: only like ones are added."""

    precision: str
    sparsity: str
    basis: str
    gops: Span
    cards: int


@dataclass(frozen=True, slots=True)
class Mix:
    """Cards together. `totals` has a row for each kind of figure. Shares are of cards and of P, in ppm.

    `domestic_p_ppm` is an interval: from domestic cards at their least beside the others at their most, to
    the reverse; its middle takes every figure that is used, of whatever basis.
    """

    parts: tuple[Part, ...]
    totals: tuple[Total, ...]
    watts: Span
    domestic_cards_ppm: int
    domestic_p_ppm: Span
    without_figure: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a mix: at least `gops`; watts with PUE, a budget and shares as bounds, 0 for none.

    `domestic_by` is `cards` or `p`: a share by cards is another than one by P. Figures that conflict or
    are unverified count only if `unverified`.
    """

    gops: int
    precision: str = "FP16"
    watts_max: int = 0
    budget_micro: int = 0
    domestic_ppm: int = 0
    domestic_by: str = "cards"
    unverified: bool = False
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, slots=True)
class Offer:
    """Cards of one model that may be had: price of one and how many there are, 0 where that is not told."""

    card: Card
    price_micro: int = 0
    cards_max: int = 0


def mix_of(
    cards: Mapping[str, int],
    known: Mapping[str, Card],
    precision: str = "FP16",
    terms: Terms | None = None,
    more: Mapping[str, tuple[Figure, ...]] | None = None,
) -> Mix:
    """Return what cards by model come to; models without a figure of that precision are told apart."""
    parts, missing = [], []
    for model, count in sorted(cards.items()):
        card = known.get(model)
        choice = card.choice(precision, (more or {}).get(model, ())) if card else None
        if card is None or choice is None:
            missing.append((model, count))
        else:
            parts.append(Part(card, count, choice))
    return _mix(parts, tuple(missing), terms or Terms())


def check_mix(mix: Mix, wish: Wish, prices: Mapping[str, int]) -> tuple[Problem, ...]:
    """Return what a mix breaks of a wish, in whole numbers; a solver works in floats and is not believed."""
    found = []
    gops = sum(part.gops.likely for part in mix.parts)
    if gops < wish.gops:
        found.append(Problem("/amount", f"{gops} of {wish.gops} giga-operations a second", "more cards"))
    if wish.watts_max and mix.watts.likely > wish.watts_max:
        found.append(
            Problem("/power", f"{mix.watts.likely} W are more than {wish.watts_max} W", "fewer cards")
        )
    cost = sum(part.cards * prices.get(part.card.model, 0) for part in mix.parts)
    if wish.budget_micro and cost > wish.budget_micro:
        found.append(
            Problem("/budget", f"{cost} micro-yuan are more than {wish.budget_micro}", "cheaper cards")
        )
    if _short_of_domestic(mix.parts, wish):
        found.append(
            Problem("/domestic", f"less than {wish.domestic_ppm} ppm by {wish.domestic_by}", "more of them")
        )
    return tuple(found)


def usable(offers: Sequence[Offer], wish: Wish) -> tuple[tuple[Offer, Choice], ...]:
    """Return the offers that a wish may use; raises Refused where none may be, naming why for each."""
    found, problems = [], []
    for at, offer in enumerate(offers):
        path = f"/offers/{at}"
        try:
            choice = rate_of(offer.card, wish.precision)
        except Refused as refusal:
            problems.append(Problem(path, refusal.message, "another card, or another precision"))
            continue
        if choice.status != "settled" and not wish.unverified:
            text = f"the {wish.precision} figure of {offer.card.model} is {choice.status}"
            problems.append(Problem(path, text, "allow it with --unverified"))
        elif wish.watts_max and not offer.card.tdp_w:
            problems.append(
                Problem(path, f"the power of {offer.card.model} is not published", "leave power aside")
            )
        elif wish.budget_micro and not offer.price_micro:
            problems.append(Problem(path, f"{offer.card.model} has no price", "give a price, or no budget"))
        else:
            found.append((offer, choice))
    if not found:
        raise Refused("no_offer", "no card on offer may be used", tuple(problems))
    return tuple(found)


def site_watts_milli(card: Card, terms: Terms) -> int:
    """Return the power in mW that a card takes of a building at its nameplate, hosts and PUE included."""
    return draw_of(card).likely * (_MILLI + terms.host_milli) * terms.pue_milli // _MILLI**2


def _mix(parts: Sequence[Part], missing: tuple[tuple[str, int], ...], terms: Terms) -> Mix:
    site = (_MILLI + terms.host_milli) * terms.pue_milli
    draws = [(part.cards, draw_of(part.card)) for part in parts]
    watts = Span(
        *(
            -(-sum(cards * milli for cards, milli in each) * site // _MILLI**3)
            for each in (
                [(cards, draw.low) for cards, draw in draws],
                [(cards, draw.likely) for cards, draw in draws],
                [(cards, draw.high) for cards, draw in draws],
            )
        )
    )
    cards = sum(part.cards for part in parts) + sum(count for _, count in missing)
    home = sum(part.cards for part in parts if part.card.domestic)
    return Mix(tuple(parts), _totals(parts), watts, _ppm(home, cards), _domestic_p(parts), missing)


def _totals(parts: Iterable[Part]) -> tuple[Total, ...]:
    sums: dict[tuple[str, str, str], tuple[Span, int]] = defaultdict(lambda: (Span.exactly(0), 0))
    for part in parts:
        key = kind(part.choice.figure)
        span, cards = sums[key]
        sums[key] = (span.plus(part.gops), cards + part.cards)
    return tuple(Total(*key, span, cards) for key, (span, cards) in sorted(sums.items()))


def _domestic_p(parts: Sequence[Part]) -> Span:
    home = [part.gops for part in parts if part.card.domestic]
    rest = [part.gops for part in parts if not part.card.domestic]
    low, high = sum(each.low for each in home), sum(each.high for each in home)
    likely, others = sum(each.likely for each in home), sum(each.likely for each in rest)
    return Span(
        _ppm(low, low + sum(each.high for each in rest)),
        _ppm(likely, likely + others),
        _ppm(high, high + sum(each.low for each in rest)),
    )


def _short_of_domestic(parts: Sequence[Part], wish: Wish) -> bool:
    def weight(part: Part) -> int:
        return part.cards if wish.domestic_by == "cards" else part.gops.likely

    home = sum(weight(part) for part in parts if part.card.domestic)
    return home * PPM < wish.domestic_ppm * sum(map(weight, parts))


def _ppm(part: int, whole: int) -> int:
    return part * PPM // whole if whole else 0
