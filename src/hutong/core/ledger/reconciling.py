"""Three columns for a site's day: what its scheduler, the records and the ledger say, and what differs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from hutong.core.book.received import Billed, Fate, Kept, Tally
from hutong.core.kernel.quantities import DAY_MS
from hutong.core.ledger.metering import Limits, gap

LATE_MS = 2 * DAY_MS
"""How long accounting may be late: agents read so far back again and again (see `hutong.agent.accounts`)."""


class Kind(StrEnum):
    """What is different."""

    UNREAD = "unread"  # the scheduler's accounting and the records that came are not the same
    SUSPENDED = "suspended"  # a record waits for a person
    UNRECORDED = "unrecorded"  # the ledger booked what accounting does not know
    DIFFERS = "differs"  # the ledger booked more or less than accounting explains


@dataclass(frozen=True, slots=True)
class Column:
    """How many starts (the ledger: attempts), and their card-milliseconds."""

    count: int = 0
    card_ms: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same everywhere. With `waits` it may still come right by itself.

    `card_ms` is by how much the ledger should change, where that is known.
    """

    kind: Kind
    reason: str
    to_do: str
    key: str = ""
    record: str = ""
    revision: int = 0
    card_ms: int = 0
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """All that is known of a site's day.

    `records` are those in force that ended on it. `billed` are the attempts that ended on it by the ledger
    and those of the records; `elsewhere` are attempts with a record on another day. `accounted`: the site
    tells of its accounting at all. `unsettled` are attempts of suspended records that are not settled yet.
    """

    source: str
    day: int
    now_ms: int
    tally: Tally | None
    records: Sequence[Kept]
    billed: Mapping[str, Billed]
    elsewhere: frozenset[str]
    accounted: bool
    unsettled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Report:
    """The three columns of a site and a day; `scheduler` is None where its accounting was not read."""

    source: str
    day: int
    scheduler: Column | None
    usage: Column
    ledger: Column
    unbilled_card_ms: int
    others: int
    differences: tuple[Difference, ...]

    @property
    def drifts(self) -> int:
        """How many differences will not come right by themselves."""
        return sum(not each.waits for each in self.differences)


def reconcile(seen: Seen, limits: Limits) -> Report:
    """Compare what is known of a site's day."""
    fresh = seen.now_ms < (seen.day + 1) * DAY_MS + LATE_MS
    by_key: dict[str, list[Kept]] = {}
    for kept in seen.records:
        by_key.setdefault(kept.record.key, []).append(kept)
    booked = {key: each for key, each in seen.billed.items() if key in by_key or key not in seen.elsewhere}
    found = [*_unread(seen, fresh=fresh), *_suspended(seen)]
    unbilled = 0
    for key, starts in by_key.items():
        settled = [kept for kept in starts if kept.fate in {Fate.CONFIRMED, Fate.CORRECTED}]
        if len(settled) == len(starts) and key not in seen.elsewhere:
            each, more = _differs(seen, key, settled, limits)
            found += each
            unbilled += more
    if seen.accounted:
        missing = (booked[key] for key in sorted(booked.keys() - by_key.keys()))
        found += (_unrecorded(each, fresh=fresh) for each in missing)
    return Report(
        seen.source,
        seen.day,
        Column(seen.tally.count, seen.tally.card_ms) if seen.tally else None,
        _column(kept.record.quantity for kept in seen.records),
        _column(each.card_ms for each in booked.values()),
        unbilled,
        seen.tally.others if seen.tally else 0,
        tuple(found),
    )


def _column(amounts: Iterable[int]) -> Column:
    told = tuple(amounts)
    return Column(len(told), sum(told))


def _unread(seen: Seen, *, fresh: bool) -> list[Difference]:
    again = "the agent reads again by itself; if this stays, see its log and whether accounting answers it"
    tally = seen.tally
    if tally is None:
        if not seen.accounted:
            return []
        why = "the site's accounting was not read for this day"
        return [Difference(Kind.UNREAD, why, again, waits=fresh)]
    usage = _column(kept.record.quantity for kept in seen.records)
    same_use = tally.uncounted or tally.card_ms == usage.card_ms
    if tally.count == usage.count and same_use:
        return []
    why = (
        f"accounting holds {tally.count} starts with {tally.card_ms} card-ms,"
        f" {usage.count} records with {usage.card_ms} came"
    )
    return [Difference(Kind.UNREAD, why, again, waits=fresh)]


def _suspended(seen: Seen) -> list[Difference]:
    found = []
    for kept in seen.records:
        if kept.fate is Fate.SUSPENDED:
            told = kept.record
            name = f"{told.source} {told.record} --revision {told.revision}"
            to_do = f'hutong ledger resolve {name} --reason "..." and --key KEY to match it, or --dismiss'
            waits = told.key in seen.unsettled
            each = Difference(Kind.SUSPENDED, kept.reason, to_do, told.key, told.record, told.revision)
            found.append(replace(each, waits=waits))
    return found


def _differs(seen: Seen, key: str, starts: Sequence[Kept], limits: Limits) -> tuple[list[Difference], int]:
    told = [kept.record for kept in starts]
    book = seen.billed.get(key)
    billed, started_ms = (book.card_ms, book.from_ms) if book else (0, 0)
    # Accounting has cards only as card-time: rounded up, or a start of less than a second had none.
    cards = max(-(-each.quantity // max(1000, each.upto_ms - each.from_ms)) for each in told)
    found = gap(told, max(1, cards), started_ms, billed, limits)
    if not found.card_ms:
        return [], found.unbilled_card_ms
    project = book.project if book else "PROJECT"
    why = f"accounting explains {billed + found.card_ms} card-ms, the ledger booked {billed}"
    to_do = f'hutong ledger correct {project} {key} RECORD QUANTITY --reason "..." if accounting is right'
    return [Difference(Kind.DIFFERS, why, to_do, key, card_ms=found.card_ms)], found.unbilled_card_ms


def _unrecorded(book: Billed, *, fresh: bool) -> Difference:
    why = f"the ledger booked {book.card_ms} card-ms, accounting has no record of it"
    to_do = (
        f"ask the site for its job named {book.key}; if it never had cards,"
        f' hutong ledger correct {book.project} {book.key} RECORD 0 --reason "..."'
    )
    return Difference(Kind.UNRECORDED, why, to_do, book.key, card_ms=-book.card_ms, waits=fresh)
