"""The bookings of a turn's pools, as rows for a scheduling pass and as what one job may have beside them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

import numpy as np

from hutong.core.accounts.quotas import INSTITUTION, PROJECT
from hutong.core.book.snapshot import Snapshot
from hutong.core.kernel.ids import ProjectId
from hutong.core.placement import columns as c
from hutong.core.placement.board import Booked
from hutong.core.placement.laying import lay_bookings, spans
from hutong.core.placement.request import Beside, PoolView

Place = tuple[str, str]
Span = tuple[int, int, int, str]
"""From when until when, how many cards, and for whom; no two of one holder in one pool overlap."""


def booked_of(shot: Snapshot, views: Sequence[PoolView], account_of: Callable[[str], int]) -> Booked | None:
    """Return the bookings that are not over, or None if there are none.

    `views` are the pools as this turn finds them; `account_of` gives the index of an account by `kind/name`,
    -1 for one that asks for nothing. What ends later than the snapshot shows is taken not to end.
    """
    by_pool = _by_pool(shot)
    if not by_pool:
        return None
    held, running = _held(shot), _running(shot)
    number = {
        holder: at
        for at, holder in enumerate(sorted({span[-1] for told in by_pool.values() for span in told}))
    }
    rows = [[0] * c.BOOKING_COLUMNS for each in by_pool.values() for _ in range(len(each) ** 2)]
    first, after = np.zeros(len(views), np.int64), np.zeros(len(views), np.int64)
    count = 0
    for at, view in enumerate(views):
        place = (view.site, view.pool)
        if place not in by_pool:
            continue
        told = [
            (account_of(who), cards, from_ms, until_ms, held[who, place], number[who])
            for from_ms, until_ms, cards, who in by_pool[place]
        ]
        runs = [
            (until_ms, cards, number.get(who[0], -2), number.get(who[-1], -2))
            for who, until_ms, cards in running[place]
        ]
        first[at] = count
        count = after[at] = lay_bookings(shot.now_ms, view.cards_free, told, runs, rows, count)
    return Booked(np.array(rows[:count], np.int64).reshape(count, c.BOOKING_COLUMNS), first, after)


def beside(
    booked: Booked, pool: int, mine: Set[int], now_ms: int, kept: Iterable[tuple[int, int]] = ()
) -> tuple[Beside, ...]:
    """Return what the bookings of a pool leave to jobs of these accounts, as a pass counts it (`room`).

    `kept` are (from when, cards to spare) of what is kept for jobs that wait.
    """
    rows = booked.rows[int(booked.first[pool]) : int(booked.after[pool])].tolist()
    begins = {row[c.BOOKED_FROM]: row[c.FREE_THEN] for row in rows}
    found = []
    for from_ms, free in [*begins.items(), *kept]:
        at_ms = max(from_ms, now_ms)
        last = max((each for each in begins if each <= at_ms), default=None)
        going = [row for row in rows if row[c.BOOKED_FROM] == last and at_ms < row[c.BOOKED_UNTIL]]
        if not going:
            continue
        own = sum(max(0, row[c.BOOKED_LEFT]) for row in going if row[c.HOLDER] in mine)
        others = sum(max(0, row[c.BOOKED_LEFT]) for row in going if row[c.HOLDER] not in mine)
        over_ms = max(row[c.BOOKED_UNTIL] for row in going)
        found.append(Beside(max(0, from_ms - now_ms), from_ms, over_ms, max(free - others, own)))
    return tuple(sorted(found, key=lambda each: (each.from_ms, each.spare)))


def holders_of(project: ProjectId, institutions: Mapping[ProjectId, str]) -> tuple[str, ...]:
    """Return by which names a project's jobs may use bookings."""
    owner = institutions.get(project, "")
    return (f"{PROJECT}/{project}", *((f"{INSTITUTION}/{owner}",) if owner else ()))


def booked_now(shot: Snapshot) -> Mapping[Place, Set[str]]:
    """Return who has booked cards of each pool now."""
    found: defaultdict[Place, set[str]] = defaultdict(set)
    for site in shot.sites:
        for each in site.bookings:
            if each.from_ms <= shot.now_ms < each.until_ms:
                found[site.id, each.pool].add(each.holder)
    return found


def _by_pool(shot: Snapshot) -> dict[Place, list[Span]]:
    """Return what is booked and not over, in the order of its begins."""
    booked: dict[tuple[Place, str], list[tuple[int, int, int]]] = defaultdict(list)
    for site in shot.sites:
        for each in site.bookings:
            booked[(site.id, each.pool), each.holder].append((each.from_ms, each.until_ms, each.cards))
    found: dict[Place, list[Span]] = defaultdict(list)
    for (place, holder), told in booked.items():
        for span in spans(told):
            if span[1] > shot.now_ms:
                found[place].append((*span, holder))
    return {
        place: sorted(told, key=lambda span: (span[0], span[1], span[3])) for place, told in found.items()
    }


def _held(shot: Snapshot) -> Counter[tuple[str, Place]]:
    """Return the cards that each holder has of each pool now."""
    held: Counter[tuple[str, Place]] = Counter()
    for each in shot.holdings:
        for holder in holders_of(each.project, shot.institutions):
            held[holder, (each.site, each.pool)] += each.cards
    return held


def _running(shot: Snapshot) -> dict[Place, list[tuple[tuple[str, ...], int, int]]]:
    """Return (holders, until_ms, cards) of the running jobs of each pool."""
    found: dict[Place, list[tuple[tuple[str, ...], int, int]]] = defaultdict(list)
    for each in shot.running:
        holders = holders_of(each.project, shot.institutions)
        found[each.site, each.pool].append((holders, each.until_ms, each.cards))
    return found
