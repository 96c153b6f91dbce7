"""Records of use from outside: kept first, then matched with the book; what cannot be matched waits."""

from hutong.core.book.received import Fate, Kept, Received
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Conflict, NotFound, Problem, Refused
from hutong.core.kernel.ids import ProjectId, split_key
from hutong.core.ledger.matching import Match, match
from hutong.server.audited import untold
from hutong.server.refunds import correct_usage, read_all

_WAITS = "not matched yet"


def take_in(store: Store, told: Received, by: str, now_ms: int) -> Kept:
    """Keep a record, match it and correct the book by it. A repeat tries again what is in suspense.

    Killed at any line, the record is in the book: at the worst in suspense, until it comes again.
    """
    why = _match(store, told, told.key)[1].suspend
    beside = untold(store)  # records name their sender and stay; a correction by one is told as such
    kept = beside.receive(Kept(told, Fate.SUSPENDED, why or _WAITS, by, now_ms))
    if kept.record != told:
        raise Conflict(
            "record_differs", f"record {told.id} is in the book with other contents: raise its revision"
        )
    if kept.fate is not Fate.SUSPENDED:
        return kept
    fate, reason = _apply(store, told, told.key, now_ms)
    if fate is Fate.SUSPENDED:
        return Kept(told, fate, reason, by, now_ms)
    return beside.resolve(told, fate, reason, by, now_ms)


def match_by_hand(store: Store, told: Received, key: str, by: str, reason: str, now_ms: int) -> Kept:
    """Match a suspended record with the attempt that a person names; Refused says why it cannot be."""
    fate, why = _apply(store, told, key or told.key, now_ms)
    if fate is Fate.SUSPENDED:
        problem = Problem("/key", why, "the key of a settled attempt, or dismiss the record")
        raise Refused("no_match", f"record {told.id} cannot be matched: {why}", (problem,))
    return store.resolve(told, fate, f"{reason} ({why})", by, now_ms)


def _apply(store: Store, told: Received, key: str, now_ms: int) -> tuple[Fate, str]:
    project, found = _match(store, told, key)
    if found.suspend:
        return Fate.SUSPENDED, found.suspend
    if found.correct is None:
        return Fate.CONFIRMED, f"the book has the same for {key}"
    record, quantity = found.correct
    reason = f"record {told.id} says {told.quantity}"
    correct_usage(store, project, key, record.id, quantity, reason, now_ms)
    return Fate.CORRECTED, f"{record.id} was {record.quantity}, is {quantity}"


def _match(store: Store, told: Received, key: str) -> tuple[ProjectId, Match]:
    named = split_key(key)
    row = store.job(named[0]) if named else None
    attempts = row.job.attempts if row and named else ()
    attempt = next((each for each in attempts if named and each.number == named[1]), None)
    if row is None or attempt is None:
        return ProjectId(""), match(told, 0, False, ())
    usage = read_all(lambda after, limit: store.usage(row.project, key, after, limit))
    return row.project, match(told, attempt.cards, attempt.settled, usage)


def find(store: Store, source: str, record: str, revision: int) -> Kept:
    """Return a record that was received; raises NotFound."""
    kept = store.received(source, record, revision)
    if kept is None:
        raise NotFound("not_found", f"no record {source}/{record}/{revision} was received")
    return kept
