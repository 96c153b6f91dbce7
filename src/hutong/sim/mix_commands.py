"""`hutong capacity mix`: the best cards for a computing power, found on the machine where it is asked."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hutong.clients.cli.capacity_words import interval, percent, power, watts
from hutong.clients.cli.session import Json
from hutong.clients.cli.terminal import rows_of, say, show_json, table, yuan
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.money import format_micro, parse_micro
from hutong.wire import capacity as w

# The catalogue and HiGHS are loaded by the command that needs them.
if TYPE_CHECKING:
    from hutong.core.capacity.figures import Span
    from hutong.core.capacity.mixes import Offer
    from hutong.core.capacity.units import Amount
    from hutong.sim.mix import Solution


def add_to(group: typer.Typer) -> None:
    """Add the command."""

    @group.command("mix")
    def mix(
        amount: Annotated[str, typer.Argument(help="The computing power: 3000 P.", show_default=False)],
        card: Annotated[
            list[str] | None, typer.Option("--card", "-c", help="CARD, CARD=YUAN or CARD=YUAN:MOST; several.")
        ] = None,
        max_power: Annotated[str, typer.Option("--max-power", help="Of the building: 5 MW.")] = "",
        budget: Annotated[str, typer.Option("--budget", help="Yuan, for cards alone.")] = "",
        domestic: Annotated[
            float, typer.Option("--domestic", min=0, max=100, help="Least domestic share, per cent.")
        ] = 0.0,
        by: Annotated[
            str, typer.Option("--by", help="That share by `cards` or by `p`: they differ.")
        ] = "cards",
        precision: Annotated[str, typer.Option("--precision")] = "FP16",
        pue: Annotated[float, typer.Option("--pue", min=1, max=5)] = 1.35,
        hosts: Annotated[float, typer.Option("--hosts", min=0, max=5)] = 0.0,
        unverified: Annotated[
            bool, typer.Option("--unverified", help="Use figures that conflict or are unverified.")
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Find the best mix of cards on this machine: of least cost, else of least power, else the fewest.

        Example: hutong capacity mix '3000 P' --card H100=220000 --card MLU370=40000 --domestic 90
        """
        from hutong.core.capacity.catalogue import CATALOGUE
        from hutong.core.capacity.convert import Terms
        from hutong.core.capacity.figures import PRECISIONS
        from hutong.core.capacity.mixes import Wish
        from hutong.sim.mix import best_mix

        if by not in {"cards", "p"}:
            raise Refused("bad_input", f"--by {by!r}", (Problem("--by", "no such share", "cards or p"),))
        if precision.upper() not in PRECISIONS:
            problem = Problem("--precision", f"no {precision!r}", f"one of {', '.join(PRECISIONS)}")
            raise Refused("bad_precision", f"{precision!r} is no precision", (problem,))
        wish = Wish(
            gops=_amount(amount, "gops", "AMOUNT").value, precision=precision.upper(),
            watts_max=_amount(max_power, "watts", "--max-power").value if max_power else 0,
            budget_micro=_budget(budget), domestic_ppm=round(domestic * 10_000),
            domestic_by=by, unverified=unverified,
            terms=Terms(pue_milli=round(pue * 1000), host_milli=round(hosts * 1000)),
        )  # fmt: skip
        offers = tuple(
            map(
                _offer,
                card or [name for name, each in CATALOGUE.items() if each.status == "settled" and each.tdp_w],
            )
        )
        solution = best_mix(wish, offers)
        show_json(_document(solution)) if as_json else _show(solution)


def _amount(text: str, what: str, path: str) -> "Amount":
    from hutong.core.capacity.units import parse_amount

    amount = parse_amount(text, path)
    if amount.what != what:
        right = "3000 P" if what == "gops" else "5 MW"
        raise Refused(
            "bad_quantity", f"{text!r} will not do", (Problem(path, f"it is {amount.what}", right),)
        )
    if not amount.value:
        raise Refused("bad_quantity", f"{text!r} is nothing", (Problem(path, "it is zero", "more than 0"),))
    return amount


def _budget(text: str) -> int:
    micro = parse_micro(text.replace(",", ""), "--budget") if text else 0
    if micro < 0 or (text and not micro):
        raise Refused(
            "bad_amount", f"{text!r} is no budget", (Problem("--budget", "not above 0", "1200000"),)
        )
    return micro


def _offer(text: str) -> "Offer":
    from hutong.core.capacity.catalogue import find_card
    from hutong.core.capacity.mixes import Offer
    from hutong.core.capacity.units import MOST

    name, _, rest = text.partition("=")
    price, _, most = rest.partition(":")
    card = find_card(name)
    if card is None:
        problem = Problem("--card", f"no card {name!r} is known", "`hutong capacity cards` lists them")
        raise Refused("unknown_card", f"no card {name!r} is known", (problem,))
    if most and not (most.isascii() and most.isdecimal() and 0 < int(most) <= MOST["cards"]):
        problem = Problem(
            "--card", f"{most!r} is no number of cards", "CARD=YUAN:MOST, such as H100=220000:500"
        )
        raise Refused("bad_input", f"{text!r} is no offer", (problem,))
    price_micro = parse_micro(price, "--card") if price else 0
    if price_micro < 0:
        raise Refused(
            "bad_amount", f"{text!r} is no offer", (Problem("--card", "a price below 0", "0 or more"),)
        )
    return Offer(card, price_micro, int(most or 0))


def _span(span: "Span") -> w.Span:
    return w.Span(low=span.low, likely=span.likely, high=span.high)


def _document(solution: "Solution") -> dict[str, object]:
    mix = solution.mix
    return {
        "least": solution.least,
        "cards": dict(solution.cards),
        "cost_yuan": format_micro(solution.cost_micro),
        "totals": [asdict(each) for each in mix.totals],
        "watts": asdict(mix.watts),
        "domestic_cards_ppm": mix.domestic_cards_ppm,
        "domestic_p_ppm": asdict(mix.domestic_p_ppm),
    }


def _show(solution: "Solution") -> None:
    mix = solution.mix
    rows = (
        (
            part.card.model,
            f"{part.cards:,}",
            power(_span(part.gops)),
            part.choice.figure.basis,
            part.choice.status,
        )
        for part in mix.parts
    )
    rows_of(table("card", ">cards", ">power", "basis", "figure"), rows, "no cards")
    for total in mix.totals:
        say(f"{total.precision} {total.sparsity}, {total.basis}: {power(_span(total.gops))}")
    if len(mix.totals) > 1:
        say("Figures of unlike basis are not added; the computing power asked for takes each as it is.")
    cost = f", {yuan(format_micro(solution.cost_micro))}" if solution.cost_micro else ""
    say(f"of least {solution.least}{cost}; {interval(_span(mix.watts), watts)} with PUE")
    shares = interval(_span(mix.domestic_p_ppm), percent)
    say(f"domestic: {percent(mix.domestic_cards_ppm)} by cards, {shares} by P")
