"""What postings do to balances and holds, worked out before anything is written; the same for every store.

Invariants (L1-L5): a transaction sums to zero; a repeat of a posting changes nothing; a lot never holds
more than it has; a hold is closed once, with nothing left in it; no more is paid back than is owed,
given back than was paid (L8), or paid out than a centre is owed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hutong.core.book.money import (
    OVERRUN,
    REVENUE,
    SETTLEMENT,
    HoldChange,
    HoldPart,
    Posting,
    Txn,
    UsageRecord,
    lot_account,
)
from hutong.core.kernel.errors import Broken, Conflict, HutongError
from hutong.core.kernel.ids import LotId, ProjectId

_LOT = lot_account(LotId(""))


@dataclass(slots=True)
class HoldState:
    """A hold as it stands: amounts by lot, in the order in which they were asked for."""

    project: ProjectId
    closed: bool = False
    parts: dict[LotId, int] = field(default_factory=dict)

    def as_change(self, key: str) -> HoldChange:
        """Return the change that would have opened it."""
        parts = tuple(HoldPart(lot, amount) for lot, amount in self.parts.items() if amount)
        return HoldChange(key, self.project, parts)

    def copy(self) -> "HoldState":
        """Return an independent copy."""
        return HoldState(self.project, self.closed, dict(self.parts))


@dataclass(slots=True)
class Balance:
    """An account: the sum of its entries, what open holds have on it, and how low it may go."""

    posted: int = 0
    held: int = 0
    floor: int | None = None


@dataclass(slots=True)
class Plan:
    """All that a batch of postings changes. `fresh` says of each posting whether it is news."""

    fresh: list[bool] = field(default_factory=list)
    txns: list[Txn] = field(default_factory=list)
    usage: list[UsageRecord] = field(default_factory=list)
    posted: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    holds: dict[str, HoldState] = field(default_factory=dict)

    @property
    def lot_accounts(self) -> list[str]:
        """Accounts with a floor that this changes, in order."""
        names = {name for name in self.posted if is_lot(name)} | set(self.held)
        return sorted(names)

    @property
    def repaid_accounts(self) -> list[str]:
        """Accounts of debts that this pays back, in order."""
        return sorted(name for name, amount in self.posted.items() if name.startswith(OVERRUN) and amount > 0)

    @property
    def paid_out_accounts(self) -> list[str]:
        """Accounts of centres that this pays, in order."""
        paying = (entry.account for txn in self.txns if txn.kind == "payout" for entry in txn.entries)
        return sorted({name for name in paying if name.startswith(SETTLEMENT)})

    @property
    def reversed_txns(self) -> list[str]:
        """Transactions of which this gives something back, in order."""
        return sorted({txn.reverses for txn in self.txns if txn.reverses})

    @property
    def refilled_accounts(self) -> list[str]:
        """Accounts of lots to which something comes back, in order."""
        legs = (entry for txn in self.txns if txn.reverses for entry in txn.entries)
        return sorted({entry.account for entry in legs if entry.amount_micro > 0 and is_lot(entry.account)})


def is_lot(account: str) -> bool:
    """True if the account is that of a lot."""
    return account.startswith(_LOT)


def check_txn(txn: Txn) -> None:
    """Raise Broken unless the entries sum to zero (L1)."""
    total = sum(entry.amount_micro for entry in txn.entries)
    if total:
        raise Broken(f"the entries of {txn.id} sum to {total} micro, not to 0")


def plan(
    postings: Sequence[Posting],
    known: Collection[str],
    holds: Mapping[str, HoldState],
    *,
    guarded: bool,
) -> Plan:
    """Return what these postings change.

    `known` has those transaction ids that are in the book, `holds` those holds that are. Outside a guarded
    write, a posting of holds alone cannot be told from its own repeat: opening a hold again is a Conflict.
    """
    out = Plan()
    seen = set(known)
    for posting in postings:
        fresh = not posting.txns or posting.txns[0].id not in seen
        out.fresh.append(fresh)
        if not fresh:
            continue
        for txn in posting.txns:
            _add_txn(out, txn, seen)
        for change in posting.holds:
            again = not guarded and not posting.txns
            _add_hold(out, change, holds, opens=again and _only_adds(change))
        out.usage.extend(posting.usage)
    return out


def _add_txn(out: Plan, txn: Txn, seen: set[str]) -> None:
    check_txn(txn)
    if txn.id in seen:
        raise Conflict("txn_exists", f"transaction {txn.id} is part of another posting")
    seen.add(txn.id)
    out.txns.append(txn)
    for entry in txn.entries:
        out.posted[entry.account] = out.posted.get(entry.account, 0) + entry.amount_micro


def _only_adds(change: HoldChange) -> bool:
    return not change.closes and all(part.amount_micro >= 0 for part in change.parts)


def _add_hold(out: Plan, change: HoldChange, holds: Mapping[str, HoldState], *, opens: bool) -> None:
    key = change.key
    state = out.holds.get(key)
    if state is None:
        known = holds.get(key)
        state = known.copy() if known else None
    if state is None:
        state = HoldState(change.project)
        out.opened.add(key)
    elif state.closed:
        raise Conflict("hold_closed", f"hold {key} is closed and never opens again")
    elif opens:
        raise Conflict("hold_exists", f"hold {key} is already open")
    elif state.project != change.project:
        raise Broken(f"hold {key} belongs to {state.project}, not to {change.project}")
    for part in change.parts:
        amount = state.parts.get(part.lot, 0) + part.amount_micro
        if amount < 0:
            raise Broken(f"hold {key} has no {-part.amount_micro} micro on lot {part.lot} to let go")
        state.parts[part.lot] = amount
        account = lot_account(part.lot)
        out.held[account] = out.held.get(account, 0) + part.amount_micro
    if change.closes:
        if any(state.parts.values()):
            raise Broken(f"hold {key} closes with {state.parts} left in it")
        state.closed = True
        state.parts.clear()
    out.holds[key] = state


def guarded_accounts(postings: Iterable[Posting]) -> list[str]:
    """Return the accounts whose balance decides whether these postings may be, in order."""
    names: set[str] = set()
    for posting in postings:
        for txn in posting.txns:
            accounts = {entry.account for entry in txn.entries}
            names |= {each for each in accounts if each.startswith((_LOT, OVERRUN, SETTLEMENT))}
        names |= {lot_account(part.lot) for change in posting.holds for part in change.parts}
    return sorted(names)


def plan_each(
    postings: Sequence[Posting],
    known: Collection[str],
    holds: Mapping[str, HoldState],
    balances: Mapping[str, Balance],
) -> tuple[Plan, list[bool | HutongError]]:
    """Return what those postings change that may be, and of each whether it was news, or why it may not be.

    None of them reverses anything.
    """
    seen, states = set(known), dict(holds)
    money = {name: replace(balance) for name, balance in balances.items()}
    accepted: list[Posting] = []
    verdicts: list[bool | HutongError] = []
    for posting in postings:
        try:
            alone = plan([posting], seen, states, guarded=False)
            check_funds(alone, money)
        except HutongError as error:
            verdicts.append(error)
            continue
        verdicts.append(alone.fresh[0])
        if alone.fresh[0]:
            accepted.append(posting)
            seen |= {txn.id for txn in alone.txns}
            states.update(alone.holds)
            for name in {*alone.posted, *alone.held} & money.keys():
                money[name].posted += alone.posted.get(name, 0)
                money[name].held += alone.held.get(name, 0)
    return plan(accepted, known, holds, guarded=True), verdicts


def check_reversals(out: Plan, originals: Mapping[str, Txn], earlier: Iterable[Txn]) -> None:
    """Raise Conflict if more would be given back of a transaction than it moved, on any account (L8).

    `originals` are those that `out` reverses, `earlier` what was given back of them before. Revenue is left
    to the balance of the transaction: a refund has another account at whose cost it is.
    """
    moved: dict[tuple[str, str], int] = {}
    for txn in (*earlier, *out.txns):
        for entry in txn.entries if txn.reverses else ():
            leg = (txn.reverses, entry.account)
            moved[leg] = moved.get(leg, 0) + entry.amount_micro
    fresh = {txn.id: txn for txn in out.txns}
    for name in out.reversed_txns:
        original = originals.get(name) or fresh.get(name)
        if original is None or original.reverses:
            raise Broken(f"there is no transaction {name} to reverse")
        for account in {entry.account for entry in original.entries} - {REVENUE}:
            amount = sum(entry.amount_micro for entry in original.entries if entry.account == account)
            back = -moved.get((name, account), 0)
            if not min(0, amount) <= back <= max(0, amount):
                raise Conflict("reversed", f"{name} moved {amount} micro on {account}, not {back}")


def check_funds(out: Plan, balances: Mapping[str, Balance]) -> None:
    """Raise Conflict if a lot would go below its floor (L4) or a debt above zero (L5).

    Raises Broken if there is no such lot. `balances` has the accounts of lots, of repaid debts and of centres
    that are paid.
    """
    for name in out.paid_out_accounts:
        due = balances[name].posted if name in balances else 0
        if due + out.posted[name] < 0:
            raise Conflict("too_much", f"{name} stands at {due} micro, less than {-out.posted[name]}")
    for name in out.repaid_accounts:
        owed = -balances[name].posted if name in balances else 0
        if out.posted[name] > owed:
            raise Conflict("debt_repaid", f"{name} owes {owed} micro, not {out.posted[name]}")
    for name in out.lot_accounts:
        balance = balances.get(name)
        if balance is None:
            raise Broken(f"there is no account {name}")
        posted = balance.posted + out.posted.get(name, 0)
        held = balance.held + out.held.get(name, 0)
        if balance.floor is not None and posted - held < balance.floor:
            short = balance.floor - (posted - held)
            lot = name.removeprefix(_LOT)
            raise Conflict("insufficient_funds", f"lot {lot} lacks {short} micro for this")
