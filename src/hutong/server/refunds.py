"""Money given back, and records corrected: the book is read, core.ledger decides, the book is written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from hutong.core.book.money import COMMITTED, REFUNDED, TIERED, WAIVED, Posting, Txn, UsageRecord, Waiver
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Conflict, Later, NotFound
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.rating import rate
from hutong.core.ledger.correction import correct
from hutong.core.ledger.giving_back import (
    amount_of,
    give_back,
    given_back_micro,
    is_charge,
    to_unpay,
    unforgive,
)
from hutong.server.debts import owed_micro
from hutong.server.rerated import Terms, terms_of

MOST = 20_000
_PAGE = 1000
_TRIES = 20
_MOVED = frozenset({"insufficient_funds", "debt_repaid", "reversed", "already_there", "txn_exists", "turn"})

Row = TypeVar("Row", UsageRecord, Txn)


def read_all(read: Callable[[str, int], Sequence[Row]]) -> list[Row]:
    """Return all rows of a paged reading; Conflict where they are too many to be worked on at once."""
    rows: list[Row] = []
    while True:
        page = read(rows[-1].id if rows else "", _PAGE)
        rows.extend(page)
        if len(page) < _PAGE:
            return rows
        if len(rows) >= MOST:
            raise Conflict("too_many", f"there are more than {MOST} records of this")


def charges_of(store: Store, project: ProjectId, cause: str) -> list[Txn]:
    """Return the charges of a subject that are in force, in order of their ids, with what was given back."""
    txns = read_all(lambda after, limit: store.txns(project, cause, after, limit))
    undone = {txn.reverses for txn in txns if txn.kind == "reversal"}
    return [txn for txn in txns if is_charge(txn) and txn.id not in undone]


def reversals_of(store: Store, charges: Sequence[Txn]) -> dict[str, list[Txn]]:
    """Return what was given back of each of these charges."""
    found: dict[str, list[Txn]] = {txn.id: [] for txn in charges}
    names = list(found)
    for start in range(0, len(names), _PAGE):
        for txn in store.reversals(names[start : start + _PAGE]):
            found[txn.reverses].append(txn)
    return found


def waive(store: Store, waiver: Waiver) -> int:
    """Give back what an attempt was charged for its last hours; return how much now. A repeat: nothing."""
    total = 0
    for charge in charges_of(store, waiver.project, waiver.key):
        if charge.effective_ms > waiver.from_ms:
            total += _give(store, charge, amount_of(charge), WAIVED, "waiver", waiver.reason)
    return total


def refund(
    store: Store, project: ProjectId, cause: str, amount_micro: int | None, reason: str, name: str
) -> tuple[Txn, ...]:
    """Give back a subject's charges, in part or (None) in whole, from the last one to the first.

    Return what is in the book; a repeat under the same `name` gives back nothing more. Raises NotFound
    without charges, Conflict if less than that is left.
    """
    done = _refunded(store, project, cause, name)
    if done:
        return done
    charges = charges_of(store, project, cause)
    if not charges:
        raise NotFound("not_found", f"project {project} was charged nothing for {cause!r}")
    charges.sort(key=lambda each: (each.effective_ms, each.id), reverse=True)

    def make() -> Posting:
        back, terms = reversals_of(store, charges), terms_of(store, project, charges)
        left = _left(charges, back, terms)
        asked = left if amount_micro is None else amount_micro
        if not asked or asked > left:
            raise Conflict("nothing_left", f"of {cause} {left} micro-yuan are left to give back, not {asked}")
        pieces: list[Txn] = []
        for charge in charges:
            mine, there = terms[charge.id], back[charge.id]
            most = min(asked, mine.left_micro(charge, given_back_micro(there)))
            piece = give_back(charge, there, most, REFUNDED, "refund", reason, saved_micro=mine.saved_micro)
            if piece:
                mine.count(piece)
                pieces.append(replace(piece, id=f"refund:{name}:{len(pieces):05d}"))
                asked += piece.entries[-1].amount_micro
        return Posting(tuple(pieces))

    book_back(store, project, make, reason)
    return _refunded(store, project, cause, name)


def _left(charges: Sequence[Txn], back: Mapping[str, Sequence[Txn]], terms: Mapping[str, Terms]) -> int:
    return sum(terms[txn.id].left_micro(txn, given_back_micro(back[txn.id])) for txn in charges)


def refundable_micro(store: Store, project: ProjectId, cause: str) -> int:
    """Return how much of a subject's charges can still be given back: what they cost after any rerating."""
    charges = charges_of(store, project, cause)
    return _left(charges, reversals_of(store, charges), terms_of(store, project, charges))


def _refunded(store: Store, project: ProjectId, cause: str, name: str) -> tuple[Txn, ...]:
    """Return the transactions of a refund of that name that are in the book."""
    first = store.txn(f"refund:{name}:00000")
    if first is None:
        return ()
    if (first.project, first.cause) != (project, cause):
        raise Conflict("idempotency_conflict", "this Idempotency-Key was used for another refund")
    prefix = f"refund:{name}:"
    return tuple(txn for txn in store.txns(project, cause, prefix, _PAGE) if txn.id.startswith(prefix))


def _give(store: Store, charge: Txn, amount_micro: int, account: str, kind: str, reason: str) -> int:
    def make() -> Posting:
        terms, back = terms_of(store, charge.project, [charge])[charge.id], store.reversals([charge.id])
        most = min(amount_micro, terms.left_micro(charge, given_back_micro(back)))
        piece = give_back(charge, back, most, account, kind, reason, saved_micro=terms.saved_micro)
        return Posting((piece,) if piece else ())

    done = book_back(store, charge.project, make, reason)
    return -done.txns[0].entries[-1].amount_micro if done else 0


def correct_usage(
    store: Store, project: ProjectId, key: str, record_id: str, quantity: int, reason: str, now_ms: int
) -> bool:
    """Correct one record of use to another quantity; False if it is that already."""
    records = read_all(lambda after, limit: store.usage(project, key, after, limit))
    record = next((each for each in records if each.id == record_id), None)
    if record is None:
        raise NotFound("not_found", f"there is no record of use {record_id!r} of {key!r}")
    base = record_id.partition("~")[0]
    after = next((each for each in records if each.id == f"{base}~r{record.revision + 1}"), None)
    if after is not None and after.quantity == quantity:
        return False  # it was asked before
    if record.reverses or any(each.reverses == record.id for each in records):
        raise Conflict("corrected", f"{record.id} is corrected already: correct its newest revision")
    if record.quantity == quantity:
        return False
    if key.startswith((COMMITTED, TIERED)):
        raise Conflict("rerated", f"{record.id} follows from the use of its period: correct that")

    def make() -> Posting:
        charge = store.txn(record_id)
        back = store.reversals([record_id]) if charge else ()
        return correct(records, charge, back, store.lots(project), record, quantity, reason, now_ms)

    return book_back(store, project, make, reason) is not None


def correction_micro(store: Store, project: ProjectId, key: str, record_id: str, quantity: int) -> int:
    """Return by how much a correction changes what is charged, about; nothing if it would be refused."""
    records = read_all(lambda after, limit: store.usage(project, key, after, limit))
    record = next((each for each in records if each.id == record_id), None)
    if record is None or record.reverses or any(each.reverses == record_id for each in records):
        return 0
    return rate(abs(quantity - record.quantity), record.price_micro, record.per)


def book_back(store: Store, project: ProjectId, make: Callable[[], Posting], reason: str) -> Posting | None:
    """Post what `make` returns, with what a debt that was paid back needs; None if it was there or is empty.

    Where others moved the same money meanwhile, it is made again from what is true then: a refund that races
    the closing of its month returns the old price, and the closing knows of it, or what the month costs now.
    """
    for _ in range(_TRIES):
        turn = store.turn(project)  # before anything else is read
        posting = make()
        if posting == Posting():
            return None
        repayments: list[Txn] = []
        if any(entry.account.startswith("overrun:") for txn in posting.txns for entry in txn.entries):
            repayments = _repayments(store, project)
        unpaid, missing = to_unpay(owed_micro(store, project), posting.txns, repayments, reason)
        if missing:
            unpaid = (*unpaid, _unforgive(store, posting.txns, missing, reason))
        whole = Posting((*posting.txns, *unpaid), posting.holds, posting.usage)
        try:
            return whole if store.post(whole, turn=turn) else None
        except Conflict as conflict:
            if conflict.code not in _MOVED:
                raise
    raise Later("others move the money of this project at the same time", 1)


def _unforgive(store: Store, back: Sequence[Txn], missing_micro: int, reason: str) -> Txn:
    """Return what takes the part of a debt that a rerating forgave from those who paid for its month."""
    names = [txn.reverses for txn in back if txn.reverses]
    charges = [txn for name in names if (txn := store.txn(name)) is not None]
    terms = terms_of(store, charges[0].project, charges)
    for txn in back:
        if txn.reverses in terms:
            terms[txn.reverses].count(txn)
    paid = {name: part for each in terms.values() for name, part in (each.paid or {}).items()}
    return unforgive(charges[0], missing_micro, paid, back[0].id, reason)


def _repayments(store: Store, project: ProjectId) -> list[Txn]:
    """Return what paid back the debt of a project and is still in force, oldest first."""
    txns = read_all(lambda after, limit: store.txns(project, f"debt:{project}", after, limit))
    undone = {txn.reverses for txn in txns}
    found = [txn for txn in txns if txn.kind == "repayment" and txn.id not in undone]
    return sorted(found, key=lambda each: (each.effective_ms, each.id))
