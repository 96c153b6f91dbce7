"""Receipts and checks for people: each pool with its score, or why not and the smallest change."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from hutong.clients.cli.show_jobs import expected
from hutong.clients.cli.terminal import local, money, say, state, table, yuan
from hutong.core.kernel.errors import Problem, Refused
from hutong.wire.jobs import Check, JobDetail
from hutong.wire.receipts import Alternative, Course, Receipt, Replay, WhatIf

PPM = 1_000_000
_CLOCK = re.compile(r"[0-2]?[0-9]:[0-5][0-9]")


def show_receipt(receipt: Receipt, screen: Console) -> None:
    """Print why a job went where it went."""
    screen.print(Text(f"receipt of {receipt.job}, attempt {receipt.attempt}", style="bold"))
    screen.print(f"policy {receipt.policy} chose {receipt.chosen or 'nothing'}\n")
    screen.print(alternatives(receipt.alternatives))
    likely_ms = receipt.inputs.get("request", {}).get("likely_ms", 0)
    if likely_ms:
        text = f"expected to run {-(-likely_ms // 60_000)} min by what this workload took before"
        screen.print(f"\n{text}; for all but what is kept for others its walltime counts", soft_wrap=True)
    screen.print(Text(f"\n{receipt.digest}", style="dim"), soft_wrap=True)


def show_replay(replay: Replay) -> None:
    """Print whether a receipt decided again gave the same."""
    if replay.same:
        say(Text("replayed from its own inputs: the same decision, bit by bit", style="green"))
        return
    say(Text("replayed from its own inputs: a different decision", style="bold red"))
    for difference in replay.differences:
        say(f"  {difference}")


def moment_of(text: str, began: str) -> str:
    """Return the moment that was typed as the wire has it: a time of the day of `began`, or a whole one.

    Without an offset it is this machine's time. Raises Refused.
    """
    try:
        if _CLOCK.fullmatch(text):
            day = datetime.fromisoformat(began).astimezone()
            hour, minute = map(int, text.split(":"))
            return day.replace(hour=hour, minute=minute, second=0, microsecond=0).astimezone(UTC).isoformat()
        return datetime.fromisoformat(text).astimezone(UTC).isoformat()
    except (ValueError, OverflowError) as err:
        problem = Problem("--at", f"{text!r} is not a time", "12:00, or 2026-12-01T08:00")
        raise Refused("bad_option", "nothing was asked", (problem,)) from err


def show_what_if(found: WhatIf, screen: Console) -> None:
    """Print a run as it was decided beside what it would have been."""
    length = "it ran" if found.measured else "if it runs until its walltime,"
    screen.print(f"{length} {found.ran_s} s; energy is modelled; a card costs the same at any hour\n")
    grid = table("", "as decided", "otherwise")
    for name, of in _COURSE:
        grid.add_row(name, of(found.then), of(found.instead))
    if found.then.electricity or found.instead.electricity:
        grid.add_row("electricity, paid by the centre", _paid(found.then), _paid(found.instead))
    screen.print(grid)


_COURSE: tuple[tuple[str, Callable[[Course], str]], ...] = (
    ("start", lambda course: local(course.start)),
    ("policy", lambda course: course.policy),
    ("place", lambda course: course.place or f"none: {course.why_not}"),
    ("cards", lambda course: f"{course.cards} x {course.accelerator}" if course.place else ""),
    ("cost", lambda course: money(course.cost)),
    ("energy", lambda course: f"{course.energy.kwh} kWh"),
    ("green", lambda course: f"{course.energy.green_percent} %"),
    ("CO2e", lambda course: f"{course.energy.co2e_g} g"),
)


def _paid(course: Course) -> str:
    return money(course.electricity) if course.electricity else "not known"


def show_check(check: Check, screen: Console) -> None:
    """Print what would happen to a job."""
    if check.never:
        text = f"would be refused, for no pool here could ever take it: {check.reason}"
        screen.print(Text(text, style="bold red"), soft_wrap=True)
    elif check.reason:
        screen.print(Text(f"would wait: {check.reason}", style="bold yellow"), soft_wrap=True)
    else:
        screen.print(Text(f"would go to {check.choice} now", style="bold green"))
    if check.worst_case is not None:
        held = money(check.worst_case)
        pays = "the project can hold it" if check.fundable else "the project cannot hold it"
        screen.print(f"a whole run would cost at most {held}: {pays}")
    screen.print(f"policy {check.policy}\n")
    screen.print(alternatives(check.alternatives))


def show_why(job: JobDetail, check: Check, screen: Console) -> None:
    """Print why a job waits: its place in line, and what each pool says to it now."""
    screen.print(Text.assemble((job.name or "(no name)", "bold"), "  ", state(job.state), f"  {job.id}"))
    if job.forecast:
        screen.print(expected(job.forecast), soft_wrap=True)
    told = job.conditions.waiting_text
    if not check.reason and told:
        screen.print(Text(f"last told: {told}", style="yellow"), soft_wrap=True)
    screen.print(Text("if it came first now:", style="bold"), end=" ")
    show_check(check, screen)


def alternatives(judged: Iterable[Alternative]) -> Group:
    """Return every pool as it was judged, the chosen one first, then by score."""
    order = sorted(judged, key=lambda each: (not each.chosen, not each.eligible, -each.score_ppm, each.site))
    if not order:
        return Group(Text("no pool was there to be judged"))
    parts: list[RenderableType] = []
    for each in order:
        parts.append(_headline(each))
        parts += [Padding(line, (0, 0, 0, 4)) for line in _reasons(each)]
    return Group(*parts)


def _headline(each: Alternative) -> RenderableType:
    grid = table("", "", "", ">", ">")
    grid.show_header = False
    for column, width in zip(grid.columns, (1, 32, 12, 14, 12), strict=True):
        column.width = width
    mark = Text("▶", "bold green") if each.chosen else Text("·" if each.eligible else "✗", "dim")
    price = f"{yuan(each.price_per_card_hour)}/h" if each.price_per_card_hour else ""
    score = f"score {each.score_ppm / PPM:.3f}" if each.eligible else "not eligible"
    style = "bold" if each.chosen else ""
    grid.add_row(mark, Text(f"{each.site}/{each.pool}", style), each.accelerator, price, score)
    return grid


def _reasons(each: Alternative) -> list[Text]:
    lines = []
    if each.parts:
        lines.append(
            Text(
                "  ".join(
                    f"{part.name} {part.raw} → {part.value_ppm / PPM:.2f}×{part.weight}"
                    for part in each.parts
                ),
                "dim",
            )
        )
    if each.why_not is not None:
        lines.append(Text(f"why not: {each.why_not.text}"))
        if each.why_not.change:
            lines.append(Text(f"change:  {each.why_not.change}", "cyan"))
    if each.note:
        lines.append(Text(each.note, "dim"))
    return lines
