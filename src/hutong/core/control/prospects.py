"""What quotas, bookings and limits of power leave one job of the pools at an hour to come.

The hour is looked at as if it were now: what is expected to be over by then, by guesses where those count,
has given back its cards, its part of a quota and its power. The rules are those of a look ahead (`preview`);
who else waits is left aside.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hutong.core.book.snapshot import Running, Snapshot
from hutong.core.control.bars import bars_for
from hutong.core.control.bookings import beside, booked_of, holders_of
from hutong.core.control.power import Limited, caps_left, limited_of
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.placement.arrays import Ints
from hutong.core.placement.board import Booked
from hutong.core.placement.expected import expected_end
from hutong.core.placement.page import Grounds, Page, views_of
from hutong.core.placement.request import Beside, Cap, PoolView, Request


@dataclass(frozen=True, slots=True)
class _Hour:
    """The book and the pools as expected then; `number` are the accounts of the holders of bookings."""

    shot: Snapshot
    views: tuple[PoolView, ...]
    booked: Booked | None
    limited: Limited | None
    number: dict[str, int]


class Prospects:
    """The hours to come of one turn, each worked out when it is first asked for."""

    def __init__(
        self, shot: Snapshot, grounds: Grounds, page: Page, used: Callable[[str, str], int], *, guesses: bool
    ) -> None:
        self._shot, self._grounds, self._page, self._used = shot, grounds, page, used
        self._guesses = guesses
        self._hours: dict[int, _Hour] = {}
        self._barred: dict[tuple[ProjectId, str, Request, int], tuple[str, ...]] = {}

    @property
    def bind(self) -> bool:
        """True if there is any quota, booking or limit."""
        sites = self._shot.sites
        settled = any(site.bookings or site.power_limits for site in sites)
        return settled or any(quota.allotments for quota in self._shot.quotas)

    def able(
        self, project: ProjectId, person: str, request: Request, need: Ints, start_ms: int
    ) -> npt.NDArray[np.bool_]:
        """Return which pools could give a job the cards that it needs there, for a run from then on."""
        hour = self._hour(start_ms)
        barred = self._bars(hour, project, person, request, start_ms)
        found = np.array([view.accelerator not in barred for view in hour.views], np.bool_)
        holders = holders_of(project, hour.shot.institutions)
        mine = {hour.number[holder] for holder in holders if holder in hour.number}
        for pool in np.flatnonzero(found).tolist():
            left: list[Beside | Cap] = []
            if hour.booked is not None:
                left += beside(hour.booked, pool, mine, start_ms)
            if hour.limited is not None:
                left += caps_left(hour.limited, hour.limited.caps.rows, pool, start_ms)
            found[pool] = not any(request.run_ms > of.in_ms and int(need[pool]) > of.spare for of in left)
        return found

    def _bars(
        self, hour: _Hour, project: ProjectId, person: str, request: Request, start_ms: int
    ) -> tuple[str, ...]:
        """Return the accelerators that quotas keep from a job then; the same for all that ask the same."""
        key = (project, person, request, start_ms)
        if key not in self._barred:
            self._barred[key] = bars_for(hour.shot, project, person, request, hour.views).chips
        return self._barred[key]

    def _hour(self, at_ms: int) -> _Hour:
        if at_ms not in self._hours:
            over = [each for each in self._shot.running if self._end_ms(each) <= at_ms]
            on = tuple(each for each in self._shot.running if self._end_ms(each) > at_ms)
            shot, back = _without(self._shot, over, on, at_ms), _cards(over)
            views = views_of(self._grounds, _freed(self._page, self._grounds, back, at_ms), 0, HOUR_MS)
            holders = sorted({each.holder for site in shot.sites for each in site.bookings})
            number = {holder: at for at, holder in enumerate(holders)}
            limited = limited_of(shot, views, lambda site, pool: self._used(site, pool) - back[site, pool])
            booked = booked_of(shot, views, number.__getitem__)
            self._hours[at_ms] = _Hour(shot, views, booked, limited, number)
        return self._hours[at_ms]

    def _end_ms(self, run: Running) -> int:
        """Return when a run is expected to end."""
        likely_ms = run.likely_ms if self._guesses else 0
        return int(expected_end(run.began_ms, likely_ms, run.until_ms, self._shot.now_ms))


def _cards(over: Iterable[Running]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for each in over:
        found[each.site, each.pool] += each.cards
    return found


def _freed(page: Page, grounds: Grounds, back: Counter[tuple[str, str]], at_ms: int) -> Page:
    """Return the pools as they will stand when so many cards have been given back."""
    names = [(site.id, pool.id) for site in grounds.sites for pool in site.pools]
    free = tuple(have + back[name] for have, name in zip(page.free, names, strict=True))
    return replace(page, at_ms=at_ms, free=free)


def _without(shot: Snapshot, over: Iterable[Running], on: tuple[Running, ...], at_ms: int) -> Snapshot:
    """Return the snapshot of a later time, at which some of what runs is over and some goes on."""
    back: Counter[tuple[str, ...]] = Counter()
    for each in over:
        back[each.project, each.site, each.pool] += each.cards
        back[each.project, each.person, each.site, each.pool] += each.cards
    return replace(
        shot,
        now_ms=at_ms,
        running=on,
        holdings=tuple(
            replace(each, cards=each.cards - back[each.project, each.site, each.pool])
            for each in shot.holdings
        ),
        person_holdings=tuple(
            replace(each, cards=each.cards - back[each.project, each.person, each.site, each.pool])
            for each in shot.person_holdings
        ),
    )
