"""Records of sites' own accounting: kept first, then weighed against what each attempt was billed."""

from collections.abc import Sequence
from dataclasses import replace

from hutong.adapters.engines.base import Use
from hutong.config import Settings
from hutong.core.book.metered import NAMES_AT_ONCE
from hutong.core.book.money import UsageRecord
from hutong.core.book.received import Fate, Kept, Received
from hutong.core.book.snapshot import JobRow
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Conflict, Problem, Refused
from hutong.core.kernel.ids import split_key
from hutong.core.ledger.matching import newest_record
from hutong.core.ledger.metering import Limits, doubt, weigh
from hutong.core.work.fold import Attempt
from hutong.server.refunds import correct_usage, read_all

_WAITS = "not matched yet"
_NO_KEY = "none"
_TRIES = 5


def limits_of(settings: Settings) -> Limits:
    """Return the limits that the operator has set."""
    return Limits(
        slack_ms=settings.accounting_slack_ms,
        unbilled_ms=settings.accounting_unbilled_ms,
        prepare_ms=settings.accounting_prepare_ms,
        skew_ms=settings.accounting_skew_ms,
        correct_card_ms=settings.accounting_correct_card_ms,
        correct_ppm=settings.accounting_correct_ppm,
    )


def take_in(
    store: Store, site: str, uses: Sequence[Use], limits: Limits, by: str, now_ms: int
) -> tuple[Kept, ...]:
    """Keep what a site's accounting says, weigh it and correct the book by it; return what became of each.

    All are kept before any is weighed: the starts of an attempt count together. Killed at any line, what was
    kept is in suspense, until the agent tells it again. A repeat costs a look at what is there.
    """
    kept = [_keep(store, site, use, by, now_ms) for use in uses]
    return tuple(_weigh(store, each, limits, by, now_ms) for each in kept)


def match_by_hand(
    store: Store, told: Received, key: str, by: str, reason: str, limits: Limits, now_ms: int
) -> Kept:
    """Match a suspended record of a site with the attempt that a person names; Refused says why it cannot be.

    However great the difference is; what is not billed (preparation, clean-up) is not billed here either.
    Another key than the record's own makes a revision that names it.
    """
    wanted = replace(told, key=key or told.key)
    fate, why = _decide(store, wanted, limits, now_ms, by_hand=True)
    if fate is Fate.SUSPENDED:
        problem = Problem("/key", why, "the key of a settled attempt, or dismiss the record")
        raise Refused("no_match", f"record {told.id} cannot be matched: {why}", (problem,))
    if wanted != told:
        wanted = replace(wanted, revision=told.revision + 1)
        kept = store.receive(Kept(wanted, Fate.SUSPENDED, _WAITS, by, now_ms))
        if kept.record != wanted:
            raise Conflict("record_differs", f"record {told.id} has another revision since")
    return store.resolve(wanted, fate, f"{reason} ({why})", by, now_ms)


def attempt_of(store: Store, key: str) -> tuple[JobRow, Attempt] | None:
    """Return the attempt of a key, with its job."""
    named = split_key(key)
    row = store.job(named[0]) if named else None
    if row is None or named is None or not 1 <= named[1] <= len(row.job.attempts):
        return None
    return row, row.job.attempts[named[1] - 1]


def _keep(store: Store, site: str, use: Use, by: str, now_ms: int) -> Kept:
    """Keep a record under the revision that it has: the last one if it says the same, else the next.

    The key that a person gave it stays.
    """
    quantity = use.card_ms
    if quantity is None:
        placed = attempt_of(store, use.key or "")
        quantity = (use.upto_ms - use.from_ms) * placed[1].cards if placed else 0
    told = Received(
        site, use.record, 1, use.key or _NO_KEY, "card_ms", quantity, use.from_ms, use.upto_ms,
        use.energy_j, use.energy_basis,
    )  # fmt: skip
    for _ in range(_TRIES):
        last = store.newest(site, use.record)
        if last is not None:
            named = last.by != by and last.fate is not Fate.SUSPENDED
            key = told.key if named else last.record.key
            if replace(last.record, revision=1, key=key) == told:
                return last
        mine = replace(told, revision=last.record.revision + 1 if last else 1)
        kept = store.receive(Kept(mine, Fate.SUSPENDED, _WAITS, by, now_ms))
        if kept.record == mine:
            return kept
    raise Conflict("record_differs", f"record {use.record} is told in two ways at the same time")


def _weigh(store: Store, kept: Kept, limits: Limits, by: str, now_ms: int) -> Kept:
    if kept.fate is not Fate.SUSPENDED:
        return kept
    fate, why = _decide(store, kept.record, limits, now_ms)
    if (fate, why) == (kept.fate, kept.reason):
        return kept
    return store.resolve(kept.record, fate, why, by, now_ms)


def _decide(
    store: Store, told: Received, limits: Limits, now_ms: int, *, by_hand: bool = False
) -> tuple[Fate, str]:
    placed = attempt_of(store, told.key)
    if placed is None:
        unnamed = told.key == _NO_KEY
        why = "it names no attempt" if unnamed else f"no attempt {told.key} is in the book"
        return Fate.SUSPENDED, why
    row, attempt = placed
    why = "" if by_hand else doubt(told, told.source, attempt, now_ms, limits)
    if why:
        return Fate.SUSPENDED, why
    known = [kept for kept in store.records_for(told.source, (told.key,)) if counts(kept)]
    starts = [kept.record for kept in known]
    if told.record not in {each.record for each in starts}:  # a person names another key than it does
        starts.append(told)
    usage = read_all(lambda after, limit: store.usage(row.project, told.key, after, limit))
    again = _corrected_before(store, told, known, usage)
    found = weigh(starts, attempt, usage, limits, by_hand=by_hand, again=again)
    if found.suspend:
        return Fate.SUSPENDED, found.suspend
    if found.correct is None:
        return Fate.CONFIRMED, f"the book agrees for {told.key}"
    record, quantity = found.correct
    correct_usage(
        store, row.project, told.key, record.id, quantity, f"{told.id} of the site's accounting", now_ms
    )
    return Fate.CORRECTED, f"{record.id} was {record.quantity}, is {quantity}"


def _corrected_before(
    store: Store, told: Received, known: Sequence[Kept], usage: Sequence[UsageRecord]
) -> bool:
    """Return whether this site's accounting has corrected the book for an attempt, and nobody has since."""
    newest = newest_record(usage)
    if newest is None or newest.revision == 1:
        return False
    txn = store.txn(newest.id)
    if txn is not None:
        return txn.reason.startswith(f"{told.source}/")
    # What costs nothing has no transaction that says why.
    before = store.received(told.source, told.record, told.revision - 1) if told.revision > 1 else None
    return Fate.CORRECTED in {kept.fate for kept in (*known, before) if kept}


def counts(kept: Kept) -> bool:
    """True for a record that says something of its attempt: not one that a person has dismissed."""
    return kept.fate is not Fate.DISMISSED


def unsettled(store: Store, keys: Sequence[str]) -> frozenset[str]:
    """Return those of some attempts (at most a thousand) that are not settled yet."""
    placed = ((key, attempt_of(store, key)) for key in keys[:NAMES_AT_ONCE])
    return frozenset(key for key, found in placed if found and not found[1].settled)
