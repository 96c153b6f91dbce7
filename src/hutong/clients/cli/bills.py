"""Bills and balances for people: every line, who paid, the views, and that the entries sum to zero."""

import re
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from hutong.clients.cli.terminal import local, money, table
from hutong.wire.commitments import Commitment
from hutong.wire.money import Balance, Bill

_LONG = re.compile(r"([0-9a-z]{10})[0-9a-z]{8,}", re.IGNORECASE)
LINES_SHOWN = 60
ENTRIES_SHOWN = 40


def show_bill(bill: Bill, screen: Console, *, entries: bool = True) -> None:
    """Print a bill in full."""
    of = f"job {bill.job}" if bill.job else f"project {bill.project}"
    final = "final" if bill.final else "so far: settles when the work has ended"
    screen.print(Text(f"bill of {of} ({final})", style="bold"))
    lines = table("used", ">quantity", "", ">price", ">amount")
    for line in bill.lines[:LINES_SHOWN]:
        used = f"{line.site} {line.sku}".strip()
        lines.add_row(used, plain(line.quantity), line.unit, money(line.price), money(line.amount))
    lines.add_section()
    lines.add_row(Text("total", "bold"), "", "", "", Text(money(bill.total), "bold"))
    for paid in bill.paid:
        lines.add_row(f"  paid by {paid.kind}", "", "", "", money(paid.amount))
    screen.print(lines)
    _more(screen, len(bill.lines) - LINES_SHOWN, "lines")
    for view in bill.peta_hours:
        screen.print(
            f"{view.accelerator}: {plain(view.card_hours)} card-hours × {plain(view.factor_p_per_card)} P = "
            f"{plain(view.p_hours)} P-hours ({view.precision}, {view.basis}; {view.source}, {view.dated})"
        )
    energy = bill.energy
    screen.print(
        f"energy: {energy.kwh} kWh, {energy.co2e_g} gCO2e, {energy.green_percent} % green by the hour "
        f"({energy.green_kwh} kWh)"
    )
    screen.print(Text(f"  {energy.method}", "dim"))
    if entries and bill.entries:
        _show_entries(bill, screen)
    screen.print(f"entries: {len(bill.entries)}, their sum is {money(bill.entries_sum)}")
    if bill.truncated:
        screen.print(Text("the bill is longer than what is shown: ask for a shorter time", "yellow"))


def _show_entries(bill: Bill, screen: Console) -> None:
    book, before = table("transaction", "account", ">amount"), ""
    for entry in bill.entries[:ENTRIES_SHOWN]:
        txn = "" if entry.txn == before else entry.txn
        before = entry.txn
        book.add_row(Text(brief(txn), "dim"), brief(entry.account), money(entry.amount))
    screen.print(book)
    _more(screen, len(bill.entries) - ENTRIES_SHOWN, "entries")


def plain(number: str) -> str:
    """Return a decimal without idle zeros."""
    return number.rstrip("0").rstrip(".") if "." in number else number


def brief(name: str) -> str:
    """Return a name with its long ids cut to their beginnings: --json has them whole."""
    return _LONG.sub(r"\1…", name)


def _more(screen: Console, count: int, what: str) -> None:
    if count > 0:
        screen.print(Text(f"  and {count} more {what}: --json shows all", "dim"))


def show_commitments(found: Sequence[Commitment], screen: Console) -> None:
    """Print what is used, in flight and left of commitments this month."""
    if not found:
        return
    rows = table(
        "commitment", ">price", ">settled", ">in flight", ">committed", ">available", "card-hours of"
    )
    for each in found:
        told = each.numbers
        used = (told.settled, told.in_flight, told.committed, told.available) if told else ("",) * 4
        rows.add_row(each.id, money(each.amount), *(plain(one) for one in used), each.accelerator)
    screen.print(rows)


def show_balance(balance: Balance, screen: Console) -> None:
    """Print the numbers of a project and the lots behind them."""
    screen.print(Text(f"balance of {balance.project}", style="bold"))
    numbers = table("", ">", "")
    numbers.show_header = False
    numbers.add_row("available", Text(money(balance.available), "bold green"), "can still be held")
    numbers.add_row("committed", money(balance.committed), "held for work that was placed")
    numbers.add_row("in flight", money(balance.in_flight), "used, not yet settled")
    numbers.add_row("settled", money(balance.settled), "used and paid")
    numbers.add_row("overrun", money(balance.overrun), "used beyond its money, and owed")
    screen.print(numbers)
    lots = table("lot", "pays", ">available", ">held", ">posted", "until")
    for lot in balance.lots:
        lots.add_row(
            lot.kind, f"{lot.rate_percent} %", money(lot.available), money(lot.held), money(lot.posted),
            local(lot.ends),
        )  # fmt: skip
    screen.print(lots)
    show_commitments(balance.commitments, screen)
