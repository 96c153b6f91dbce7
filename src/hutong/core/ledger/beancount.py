"""The journal as Beancount text, so that an independent double-entry checker can judge it.

Lots are equity that was given, not yet used; what a project owes is an asset of the platform. In Beancount's
signs income is negative, so every amount is written the other way round: a sum of zero stays one.
"""

import re
from collections.abc import Iterable, Iterator

from hutong.core.book.money import (
    EXPIRED,
    ISSUED,
    OVERRUN,
    PAID_OUT,
    RECLAIMED,
    REFUNDED,
    REVENUE,
    SETTLEMENT,
    WAIVED,
    Txn,
)
from hutong.core.kernel.money import CURRENCY, format_micro
from hutong.core.kernel.times import utc_seconds

_NAMES = {
    ISSUED: "Equity:Issued",
    REVENUE: "Income:Revenue",
    WAIVED: "Expenses:Waived",
    REFUNDED: "Expenses:Refunded",
    EXPIRED: "Income:Expired",
    PAID_OUT: "Assets:Bank",
    RECLAIMED: "Income:Reclaimed",
}
_HEADS = {OVERRUN: "Assets:Owed", "lot:": "Equity:Lots", SETTLEMENT: "Liabilities:Settlement"}
_UNSAFE = re.compile(r"[^A-Za-z0-9-]+")
_BEGIN = "1970-01-01"


def account_name(account: str) -> str:
    """Return the Beancount name of a ledger account, another for every account.

    >>> account_name("lot:award-7x")
    'Equity:Lots:L-award-7x'
    """
    if account in _NAMES:
        return _NAMES[account]
    for head, name in _HEADS.items():
        if account.startswith(head):
            return f"{name}:L-{_safe(account.removeprefix(head))}"
    return f"Equity:Other:L-{_safe(account)}"


def _safe(name: str) -> str:
    """Return a name that Beancount takes; what it does not take is written as hexadecimal between dashes."""
    return _UNSAFE.sub(lambda found: f"-x{found[0].encode().hex()}-", name)


def beancount(txns: Iterable[Txn]) -> Iterator[str]:
    """Yield the journal in pieces of text: each account is opened before it is first used."""
    yield f'option "title" "Hutong"\noption "operating_currency" "{CURRENCY}"\n'
    opened: set[str] = set()
    for txn in txns:
        lines = [f'\n{utc_seconds(txn.effective_ms)[:10]} * "{_text(txn.kind)}" "{_text(txn.cause)}"']
        lines.append(f'  id: "{_text(txn.id)}"')
        for entry in txn.entries:
            name = account_name(entry.account)
            if name not in opened:
                opened.add(name)
                yield f"\n{_BEGIN} open {name} {CURRENCY}"
            lines.append(f"  {name}  {format_micro(-entry.amount_micro)} {CURRENCY}")
        yield "\n" + "\n".join(lines) + "\n"


def _text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
