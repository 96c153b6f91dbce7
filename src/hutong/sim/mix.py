"""The best whole cards for a computing power, under power, budget and domestic share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hutong.core.capacity.catalogue import CATALOGUE
from hutong.core.capacity.figures import Choice
from hutong.core.capacity.mixes import PPM, Mix, Offer, Wish, check_mix, mix_of, site_watts_milli, usable
from hutong.core.capacity.units import MOST
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.money import MICRO
from hutong.sim.plan.program import INFINITE, Program

_SOLVE_S = 20.0
_GAP = 1e-6
_SLACKS = (0.0, 1e-8, 1e-6, 1e-4)
"""The solver works in floats: where a mix misses a bound by a rounding, one is sought this much inside."""
_P = 10**6
_BOUNDS = ("watts_max", "budget_micro", "domestic_ppm")
_WORDS = {"watts_max": "--max-power", "budget_micro": "--budget", "domestic_ppm": "--domestic"}


@dataclass(frozen=True, slots=True)
class Solution:
    """A mix that holds to a wish, checked in integers; `least` is what it has least of."""

    mix: Mix
    cards: Mapping[str, int]
    cost_micro: int
    least: str


def best_mix(wish: Wish, offers: Sequence[Offer]) -> Solution:
    """Return the cheapest mix; where a price is missing, the one of least power, else of fewest cards.

    Raises Refused where none holds, naming each bound without which one would.
    """
    able = usable(offers, wish)
    found = _search(wish, able)
    if found is not None:
        return found
    to_blame = [
        Problem(_WORDS[name], "without this bound there is a mix", "loosen it, or offer other cards")
        for name in _BOUNDS
        if getattr(wish, name) and _search(_without(wish, name), able) is not None
    ]
    if not to_blame:
        text = "the cards on offer, as many as there are, do not do it, or two bounds bar it together"
        to_blame.append(Problem("--card", text, "offer more cards, or ask for less"))
    raise Refused("no_mix", "no mix of these cards holds to all that is asked", tuple(to_blame))


def _without(wish: Wish, bound: str) -> Wish:
    match bound:
        case "watts_max":
            return replace(wish, watts_max=0)
        case "budget_micro":
            return replace(wish, budget_micro=0)
    return replace(wish, domestic_ppm=0)


def _search(wish: Wish, able: Sequence[tuple[Offer, Choice]]) -> Solution | None:
    prices = {offer.card.model: offer.price_micro for offer, _ in able}
    for slack in _SLACKS:
        counts = _solve(wish, able, slack)
        if counts is None:
            return None
        cards = {offer.card.model: count for (offer, _), count in zip(able, counts, strict=True) if count}
        mix = mix_of(cards, CATALOGUE, wish.precision, wish.terms)
        if not check_mix(mix, wish, prices):
            cost = sum(prices[model] * count for model, count in cards.items())
            return Solution(mix, cards, cost, _least(able))
    return None


def _least(able: Sequence[tuple[Offer, Choice]]) -> str:
    if all(offer.price_micro for offer, _ in able):
        return "cost"
    return "power" if all(offer.card.tdp_w for offer, _ in able) else "cards"


def _solve(wish: Wish, able: Sequence[tuple[Offer, Choice]], slack: float) -> list[int] | None:
    program, least = Program(), _least(able)
    kw = [site_watts_milli(offer.card, wish.terms) / 1e6 for offer, _ in able]
    price = [offer.price_micro / MICRO for offer, _ in able]
    goal = {"cost": price, "power": kw, "cards": [1.0] * len(able)}[least]
    each = [
        program.variable(0, offer.cards_max or MOST["cards"], cost, whole=True)
        for (offer, _), cost in zip(able, goal, strict=True)
    ]
    rates = [choice.span.likely / _P for _, choice in able]
    program.row(wish.gops / _P * (1 + slack), INFINITE, dict(zip(each, rates, strict=True)))
    if wish.watts_max:
        program.row(-INFINITE, wish.watts_max / 1000 * (1 - slack), dict(zip(each, kw, strict=True)))
    if wish.budget_micro:
        program.row(-INFINITE, wish.budget_micro / MICRO * (1 - slack), dict(zip(each, price, strict=True)))
    if wish.domestic_ppm:
        share = min(1.0, wish.domestic_ppm / PPM + slack)
        weights = rates if wish.domestic_by == "p" else [1.0] * len(able)
        terms = {
            variable: weight * ((1 - share) if offer.card.domestic else -share)
            for variable, weight, (offer, _) in zip(each, weights, able, strict=True)
        }
        program.row(0, INFINITE, terms)
    solved = program.solve(whole=True, most_s=_SOLVE_S, gap=_GAP)
    return None if solved is None else [max(0, round(value)) for value in solved.values]
