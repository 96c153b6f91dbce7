"""Allocations in the registry, and what the platform does about them: changes, cuts, notices, the end.

The document says what is wanted; `advance` brings lot, ledger and call up to it, each step once, and may be
called at any time. What was given, taken and used is read from the ledger, never kept beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hutong.core.accounts import allocations as al
from hutong.core.accounts import calls as c
from hutong.core.accounts.reclaim import ReclaimPolicy, assess
from hutong.core.book.money import Lot
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Broken, Conflict, HutongError
from hutong.core.kernel.quantities import DAY_MS
from hutong.server.applications import store_allocation
from hutong.server.awards import (
    award_lot,
    filled_micro,
    find_lot,
    lot_txns,
    reclaim,
    supplement,
    transfer,
)
from hutong.server.calls import change_call
from hutong.server.registry import amend, load, read

KIND = "allocation"
_PAGE = 100
_TRIES = 10
_REFUNDS_MS = 90 * DAY_MS
"""How long after its close a lot may still get money back, such as from a dispute."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An allocation's money now: given (cuts taken off), used, held, free, and the phase that follows."""

    granted_micro: int
    used_micro: int
    held_micro: int
    free_micro: int
    phase: al.Phase


def load_allocation(store: Store, allocation: str) -> al.Allocation:
    """Return an allocation; raises NotFound."""
    return load(store, KIND, allocation, al.Allocation)


def change_allocation(
    store: Store, allocation: str, change: Callable[[al.Allocation], al.Allocation]
) -> al.Allocation:
    """Change an allocation in one guarded write; what `change` raises leaves it as it was."""
    return amend(store, KIND, allocation, al.Allocation, change)[0]


def standing(store: Store, allocation: al.Allocation, now_ms: int) -> Standing:
    """Return how an allocation stands."""
    lot = _lot(store, allocation)
    granted = filled_micro(store, lot)
    phase = al.phase_of(allocation, lot.available_micro, lot.held_micro, now_ms)
    used = granted - lot.posted_micro
    return Standing(granted, used, lot.held_micro, lot.available_micro, phase)


def _lot(store: Store, allocation: al.Allocation) -> Lot:
    lot = find_lot(store, allocation.project, allocation.lot)
    if lot is None:
        raise Broken(f"allocation {allocation.id} has no lot {allocation.lot}")
    return lot


def decide_change(
    store: Store, allocation: str, n: int, by: str, note: str, now_ms: int, *, granted: bool
) -> al.Allocation:
    """Decide on a change. A supplement takes its money from the call first, under the guard of its budget."""
    there = load_allocation(store, allocation)
    decided = al.decide_change(there, n, by, note, now_ms, granted=granted)
    change = al.find_change(decided, n)
    if granted and change is not None and change.state is al.Decided.GRANTED:
        _check_free(store, there, change)
        if change.kind is al.ChangeKind.SUPPLEMENT:
            part = c.Part(f"{there.id}+{n}", 0, change.amount_micro, "accepted", by, note, now_ms)
            _take_from_call(store, there, part)
    change_allocation(
        store,
        allocation,
        lambda newest: al.decide_change(newest, n, by, note, now_ms, granted=granted),
    )
    return advance(store, allocation, now_ms, None)


def _check_free(store: Store, allocation: al.Allocation, change: al.Change) -> None:
    free = _lot(store, allocation).available_micro
    if change.kind in {al.ChangeKind.TRANSFER, al.ChangeKind.REDUCE} and change.amount_micro > free:
        raise Conflict("insufficient_funds", "that much is not free: it was used, or jobs hold it")


def _take_from_call(store: Store, allocation: al.Allocation, part: c.Part) -> None:
    def give(call: c.Call) -> c.Call:
        there, _ = c.find_part(call, part.of)
        return call if there is not None else c.grant(call, part)

    change_call(store, allocation.call, give)


def advance(store: Store, allocation: str, now_ms: int, policy: ReclaimPolicy | None) -> al.Allocation:
    """Take every step of an allocation that is due; with a policy, its use is judged as well."""
    there = load_allocation(store, allocation)
    for change in there.changes:
        if change.state is not al.Decided.ASKED:
            _carry_out(store, there, change, now_ms)
    if policy is not None:
        there = _judge(store, allocation, now_ms, policy)
    for cut in al.due_cuts(load_allocation(store, allocation), now_ms):
        _take_cut(store, allocation, cut, now_ms)
    there = change_allocation(store, allocation, lambda newest: _age(newest, now_ms))
    _set_span(store, there)
    if there.closed_ms:
        _empty(store, there, now_ms)
    _give_back(store, there)
    return _settle(store, there, now_ms)


def _age(allocation: al.Allocation, now_ms: int) -> al.Allocation:
    if not allocation.closed_ms and now_ms >= allocation.closes_ms:
        return replace(allocation, closed_ms=now_ms)
    return al.notify(allocation, now_ms)


def _set_span(store: Store, allocation: al.Allocation) -> None:
    """Let the lot pay when the document says; again if that changed meanwhile: the last word holds."""
    for _ in range(_TRIES):
        lot = _lot(store, allocation)
        starts_ms, ends_ms = allocation.span
        store.span_lot(lot.id, starts_ms, ends_ms)
        newest = load_allocation(store, allocation.id)
        if newest.span == allocation.span:
            return
        allocation = newest


def _empty(store: Store, allocation: al.Allocation, now_ms: int) -> None:
    """Take back what is left of a closed allocation; what jobs still hold follows when they let go."""
    lot = _lot(store, allocation)
    if lot.available_micro > 0:
        name = f"close:{allocation.id}:"
        before = sum(txn.id.startswith(name) for txn in lot_txns(store, lot.project, lot.id))
        reclaim(store, lot, lot.available_micro, f"{name}{before}", now_ms)


def _settle(store: Store, allocation: al.Allocation, now_ms: int) -> al.Allocation:
    """Note that nothing is left to do. Time alone does not tell: a process may die right after the close."""
    if not allocation.closed_ms or now_ms < allocation.closed_ms + _REFUNDS_MS:
        return load_allocation(store, allocation.id)
    lot = _lot(store, allocation)
    done = not (lot.available_micro or lot.held_micro)
    return change_allocation(store, allocation.id, lambda newest: replace(newest, settled=done))


def _carry_out(store: Store, allocation: al.Allocation, change: al.Change, now_ms: int) -> None:
    """Book a granted change; free the money of the call that a refused supplement took."""
    if change.state is al.Decided.REFUSED and change.kind is al.ChangeKind.SUPPLEMENT:
        change_call(store, allocation.call, lambda call: c.release(call, f"{allocation.id}+{change.n}"))
    if change.state is not al.Decided.GRANTED:
        return
    lot, name = _lot(store, allocation), f"change:{allocation.id}:{change.n}"
    note = change.note
    match change.kind:
        case al.ChangeKind.SUPPLEMENT:
            supplement(store, lot, change.amount_micro, name, now_ms)
        case al.ChangeKind.REDUCE:
            reclaim(store, lot, change.amount_micro, name, now_ms)
        case al.ChangeKind.TRANSFER:
            note = _transfer(store, allocation, lot, change, now_ms)
        case _:
            return
    state = al.Decided.REFUSED if note != change.note else al.Decided.DONE
    done = replace(change, state=state, note=note)
    change_allocation(store, allocation.id, lambda newest: al.put_change(newest, done))


def _transfer(store: Store, allocation: al.Allocation, lot: Lot, change: al.Change, now_ms: int) -> str:
    """Move money to another project, with an allocation of its own; return the change's note."""
    name = f"{allocation.id}-t{change.n}"
    target = award_lot(f"award-{name}", change.to_project, *(allocation.starts_ms, allocation.ends_ms))
    if find_lot(store, change.to_project, target.id) is None:
        try:
            transfer(store, lot, target, change.amount_micro, now_ms)
        except Conflict as conflict:
            if conflict.code != "insufficient_funds":
                raise
            return f"{change.note} (not done: the money was used meanwhile)".strip()
    other = replace(
        allocation,
        id=name,
        project=change.to_project,
        part="",
        lot=target.id,
        suspended=False,
        closed_ms=0,
        settled=False,
        changes=(),
        cuts=(),
        notices=(),
    )
    store_allocation(store, other)
    return change.note


def _judge(store: Store, allocation: str, now_ms: int, policy: ReclaimPolicy) -> al.Allocation:
    def judge(newest: al.Allocation) -> al.Allocation:
        lot = _lot(store, newest)
        net = filled_micro(store, lot)
        used = net - lot.posted_micro + lot.held_micro
        gross = net + sum(each.taken_micro for each in newest.cuts)
        return assess(newest, gross, used, max(0, lot.available_micro), now_ms, policy)

    return change_allocation(store, allocation, judge)


def _take_cut(store: Store, allocation: str, cut: al.Cut, now_ms: int) -> None:
    """Take a cut back; an appeal that came first keeps it."""

    def settle(newest: al.Allocation) -> al.Allocation:
        there = al.find_cut(newest, cut.n)
        upheld = replace(there, state=al.CutState.UPHELD)
        return al.put_cut(newest, upheld) if there in al.due_cuts(newest, now_ms) else newest

    settled = change_allocation(store, allocation, settle)
    if al.find_cut(settled, cut.n).state is not al.CutState.UPHELD:
        return
    taken = reclaim(store, _lot(store, settled), cut.cut_micro, f"cut:{allocation}:{cut.n}", now_ms)

    def note(newest: al.Allocation) -> al.Allocation:
        there = al.find_cut(newest, cut.n)
        if there.state is not al.CutState.UPHELD:
            return newest
        told = al.Notice(now_ms, f"taken-{cut.n}", f"cut {cut.n} was taken")
        return al.tell(al.put_cut(newest, replace(there, state=al.CutState.TAKEN, taken_micro=taken)), told)

    change_allocation(store, allocation, note)


def _give_back(store: Store, allocation: al.Allocation) -> None:
    """Free in the call what the ledger has taken back: supplements count with the part of the award."""
    lot = _lot(store, allocation)
    back = -sum(
        entry.amount_micro
        for txn in lot_txns(store, lot.project, lot.id)
        for entry in txn.entries
        if txn.kind == "reclaim" and entry.account.startswith("lot:") and not txn.id.startswith("take:")
    )
    if back and allocation.part:
        supplements = [f"{allocation.id}+{each.n}" for each in allocation.changes]
        change_call(
            store,
            allocation.call,
            lambda call: c.give_back(call, [allocation.part, *supplements], back),
        )


def review_page(
    store: Store, after: str, now_ms: int, policy: ReclaimPolicy
) -> tuple[int, str, tuple[str, ...]]:
    """Advance one page of all allocations; return how many changed, the next cursor, and faults."""
    rows = store.records(KIND, "", after, _PAGE)
    changed, faults = 0, []
    for row in rows:
        before = read(al.Allocation, row)
        if before.settled:
            continue
        try:
            changed += advance(store, row.id, now_ms, policy) != before
        except HutongError as error:  # one allocation's trouble does not hold up the others
            faults.append(f"{row.id}: {error}")
    return changed, rows[-1].id if len(rows) == _PAGE else "", tuple(faults)
