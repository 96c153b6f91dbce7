"""Disputes of charges: opened once at a time for an attempt, decided once, and what is due goes back once."""

from collections.abc import Callable
from dataclasses import replace

from hutong.core.book.snapshot import JobRow
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, Later
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.disputes import Dispute, DisputeState, Ground, Message, open_dispute
from hutong.core.work.fold import Attempt
from hutong.server.refunds import refund
from hutong.server.registry import document, load

KIND = "dispute"
OPEN = "dispute_open"
DUE = "dispute_due"
_TRIES = 20
_AT_ONCE = 100


def begin(store: Store, name: str, row: JobRow, attempt: Attempt, ground: Ground, first: Message) -> Dispute:
    """Write a new dispute of an attempt's charge; Conflict while another one of it is open."""
    key = row.job.key(attempt)
    ended_ms = attempt.ended_seen_ms if attempt.settled else 0
    dispute = open_dispute(name, row.project, key, ground, attempt.charge_micro, ended_ms, first)
    record = Record(KIND, name, document(dispute), parent=row.project, lookup=key)
    try:
        store.put_all([(record, 0), (Record(OPEN, name, {}), 0)])
    except Conflict:
        there = store.find(KIND, key)
        if there is None:
            raise
        raise Conflict("disputed", f"dispute {there.id} of this charge is open") from None
    return dispute


def change(store: Store, name: str, how: Callable[[Dispute], Dispute]) -> Dispute:
    """Change a dispute as it is when nobody else does.

    One that ends no longer bars another of the same charge. One that is to give something back is
    remembered as due in the same transaction.
    """
    for _ in range(_TRIES):
        before = load(store, KIND, name, Dispute)
        record = store.get(KIND, name)
        after = how(before)
        if record is None or after == before:
            return after
        ended = after.state is not DisputeState.OPEN
        lookup = "" if ended else record.lookup
        writes: list[tuple[Record, int | None]] = [
            (replace(record, doc=document(after), lookup=lookup), record.version)
        ]
        if after.refund_micro:
            writes.append((Record(DUE, name, {}), None))
        try:
            store.put_all(writes)
        except Conflict:
            continue
        if ended:
            store.remove(OPEN, name)
        return after
    raise Later(f"dispute {name} is being changed by others", 1)


def settle_dispute(store: Store, dispute: Dispute) -> int:
    """Give back what a dispute was decided to give back; return how much it gave back by now, micro-yuan.

    The refund has the dispute's name: a repeat, and a kill in between, change nothing. Where less is left of
    the charge, as after a waiver, that is given back.
    """
    given = 0
    for amount_micro in (dispute.refund_micro, None):
        try:
            txns = refund(
                store,
                ProjectId(dispute.project),
                dispute.key,
                amount_micro,
                f"dispute {dispute.id}",
                f"dispute-{dispute.id}",
            )
        except Conflict as conflict:
            if conflict.code != "nothing_left":
                raise
            continue
        given = sum(-txn.entries[-1].amount_micro for txn in txns)
        break
    store.remove(DUE, dispute.id)
    return given


def settle_due(store: Store) -> int:
    """Finish what a kill left undone; return how many disputes were due."""
    due = store.records(DUE, "", "", _AT_ONCE)
    for record in due:
        settle_dispute(store, load(store, KIND, record.id, Dispute))
    return len(due)
