"""Money back to the lots that paid, in the reverse of the order in which they did; never twice (L8).

A charge is a line of micro-yuan from 0 to its amount, paid by its draws from the last to the first as it is
given back. Each refund or waiver takes the next piece of that line, so two that race take the same piece and
only one of them is booked.
"""

from collections.abc import Iterable, Mapping, Sequence

from hutong.core.book.money import OVERRUN, REVENUE, UNFORGIVEN, Entry, Txn, overrun_account
from hutong.core.kernel.errors import Broken, Conflict
from hutong.core.ledger.charges import COSTS
from hutong.core.ledger.rerating import give_to

CHARGES = ("usage", "tokens")


def draws_of(charge: Txn) -> tuple[Entry, ...]:
    """Return the legs by which a charge was paid, in draw order, as amounts above zero."""
    return tuple(Entry(each.account, -each.amount_micro) for each in charge.entries if each.amount_micro < 0)


def amount_of(charge: Txn) -> int:
    """Return the amount of a charge."""
    return sum(each.amount_micro for each in draws_of(charge))


def given_back_micro(reversals: Iterable[Txn]) -> int:
    """Return how much reversals of a charge have given back."""
    return sum(each.amount_micro for txn in reversals for each in txn.entries if each.account not in COSTS)


def give_back(
    charge: Txn,
    reversals: Sequence[Txn],
    amount_micro: int,
    account: str,
    kind: str,
    reason: str,
    *,
    saved_micro: int = 0,
) -> Txn | None:
    """Return the transaction that gives back up to an amount of a charge, at the cost of `account`; or None.

    It has the effective time of the charge, and shows on the same bill. `saved_micro` is what a rerating gave
    back of the charge already.
    """
    if amount_micro < 0:
        raise Broken(f"cannot give back {amount_micro}")
    before = given_back_micro(reversals)
    legs = _piece(charge, before, min(before + amount_micro, amount_of(charge) - saved_micro))
    if not legs:
        return None
    total = sum(leg.amount_micro for leg in legs)
    return Txn(
        id=f"{kind}:{charge.id}:{before}",
        kind=kind,
        project=charge.project,
        effective_ms=charge.effective_ms,
        cause=charge.cause,
        entries=(*legs, Entry(account, -total)),
        reverses=charge.id,
        reverses_from=before,
        reason=reason,
        site=charge.site,
    )


def _piece(charge: Txn, from_micro: int, upto_micro: int) -> tuple[Entry, ...]:
    legs, at = [], 0
    for draw in reversed(draws_of(charge)):
        part = min(upto_micro, at + draw.amount_micro) - max(from_micro, at)
        if part > 0:
            legs.append(Entry(draw.account, part))
        at += draw.amount_micro
    return tuple(legs)


def undo(txn: Txn, reversals: Sequence[Txn], reason: str) -> Txn:
    """Return the exact opposite of a transaction together with what was already given back of it.

    Raises Conflict where nothing is left of it.
    """
    sums: dict[str, int] = {}
    for each in (txn, *reversals):
        for entry in each.entries:
            sums[entry.account] = sums.get(entry.account, 0) + entry.amount_micro
    legs = tuple(Entry(account, -amount) for account, amount in reversed(sums.items()) if amount)
    if not legs:
        raise Conflict("reversed", f"{txn.id} is reversed already")
    before = given_back_micro(reversals)
    return Txn(
        f"reversal:{txn.id}:{before}", "reversal", txn.project, txn.effective_ms, txn.cause, legs, txn.id,
        before, reason, txn.site,
    )  # fmt: skip


def to_unpay(
    owed_micro: int, back: Sequence[Txn], repayments: Sequence[Txn], reason: str
) -> tuple[tuple[Txn, ...], int]:
    """Return what takes back repayments, newest first, so that a debt is there to be forgiven, and the rest.

    Where a charge that no lot could pay was paid back later, giving it back must return the money to the
    lots that paid it back. `repayments` are all of the project that are not reversed. The rest was neither
    owed nor paid back: a rerating forgave it.
    """
    forgiven = sum(
        entry.amount_micro for txn in back for entry in txn.entries if entry.account.startswith(OVERRUN)
    )
    made, missing = [], forgiven - owed_micro
    for txn in reversed(repayments):
        if missing <= 0:
            break
        made.append(undo(txn, (), reason))
        missing -= amount_of(txn)
    return tuple(made), max(0, missing)


def unforgive(charge: Txn, missing_micro: int, paid: Mapping[str, int], name: str, reason: str) -> Txn:
    """Return what moves a part of a debt that a rerating forgave to who paid for the month, in proportion.

    A charge that was a debt is given back: what was forgiven of it comes from the others, who paid. `paid` is
    what each account pays of the month now; what nobody paid is taken off what was waived.
    """
    payers = {each: part for each, part in paid.items() if each not in COSTS and not each.startswith(OVERRUN)}
    legs = [Entry(account, part) for account, part in give_to(payers, missing_micro).items()]
    owed = Entry(overrun_account(charge.project), -missing_micro)
    return Txn(
        f"unforgiven:{name}", UNFORGIVEN, charge.project, charge.effective_ms, f"debt:{charge.project}",
        (owed, *legs), reason=reason, site=charge.site,
    )  # fmt: skip


def is_charge(txn: Txn) -> bool:
    """True if a transaction charges for use, and something for it."""
    return txn.kind in CHARGES and any(each.account == REVENUE for each in txn.entries)
