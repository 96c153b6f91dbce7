"""Large jobs leave room for others: where short ones go first, the large hold at most half of the cards.

In a lull nothing short waits, and what is wide and long would take every card just before many short jobs
come, which then wait for hours. A job counts as large by what is known of it when it starts.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.chains import make_chain
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import compiled

LARGE, WIDE, PART = 4, 16, 2
"""A large job has 1 / WIDE of all cards and is expected to work LARGE times the mean; 1 / PART is theirs."""


@compiled
def put_in_lanes(jobs: Ints, lanes: Ints, first: int, after: int, waiting: Ints) -> None:
    """Let lanes from `first` to before `after` hold what waits, and nothing else, in the order given.

    That is the order of the keys.
    """
    for lane in range(first, after):
        mine = waiting[jobs[waiting, c.LANE] == lane]
        make_chain(jobs, lanes, lane, c.HEAD, mine)
        lanes[lane, c.TAIL] = mine[len(mine) - 1] if len(mine) else -1


@compiled
def line_up(
    jobs: Ints, lanes: Ints, first: int, after: int, kept: Ints, large: Ints, ended: npt.NDArray[np.bool_],
    cards: Ints, over: int, wide: int, most: int, free: int,
) -> tuple[Ints, Ints]:  # fmt: skip
    """Put what waits in lanes from `first` to before `after` in the order of its keys, but what is too large.

    A key is the expected length in s times the number of jobs, and the job. `kept` are the jobs that wait
    beside the lanes, `large` those that were let into one before; both are returned as they are from now on.
    A job of at least `wide` cards that is expected to work for more than `over` card-seconds stays beside if
    such jobs would hold more than `most` cards, unless none runs. `free` cards may be had now: who asks
    for more takes no part of it.
    """
    count = len(kept)
    for lane in range(first, after):
        at = lanes[lane, c.HEAD]
        while at >= 0:
            count, at = count + 1, jobs[at, c.NEXT]
    waiting, shown = np.empty(count, np.int64), np.ones(count, np.bool_)
    waiting[: len(kept)] = kept
    count = len(kept)
    for lane in range(first, after):
        at = lanes[lane, c.HEAD]
        while at >= 0:
            waiting[count] = at
            count, at = count + 1, jobs[at, c.NEXT]
    waiting = waiting[np.argsort(jobs[waiting, c.KEY], kind="mergesort")]
    let, many, held = np.empty(len(large) + count, np.int64), 0, 0
    for job in large:
        if jobs[job, c.POOL] >= 0 and not ended[job]:
            let[many] = job
            many, held = many + 1, held + cards[job]
    for place in range(count):
        job = waiting[place]
        if cards[job] < wide or jobs[job, c.KEY] // len(cards) * cards[job] <= over:
            continue
        shown[place] = held == 0 or held + cards[job] <= most
        if shown[place]:
            let[many] = job
            many += 1
            held += cards[job] if cards[job] <= free else 0
    put_in_lanes(jobs, lanes, first, after, waiting[shown])
    return waiting[~shown], let[:many]


class Room:
    """What waits beside the lanes of a running world, by group of pools, and what there is large."""

    def __init__(self, board: Arrays, cards: Ints, run_s: Ints, unknown_s: int) -> None:
        self._board, self._cards, self._run_s = board, cards, run_s
        groups = len(board.groups)
        self._all = [int(self._pools(group)[:, c.FREE].sum()) for group in range(groups)]
        self._kept = [np.empty(0, np.int64)] * groups
        self._large = [np.empty(0, np.int64)] * groups
        # As if one job of one card had ended before.
        self._ends, self._work = [1] * groups, [unknown_s] * groups

    def _pools(self, group: int) -> Ints:
        row = self._board.groups[group]
        members: Ints = self._board.members[row[c.FIRST_POOL] : row[c.AFTER_POOL]]
        pools: Ints = self._board.pools[members]
        return pools

    def _group(self, job: int) -> int:
        pool = self._board.candidates[self._board.jobs[job, c.CLASS], 0]
        return int(self._board.pools[pool, c.GROUP])

    def see(self, over: Sequence[int], came: Iterable[int], ended: npt.NDArray[np.bool_]) -> None:
        """Jobs have ended, whose cards are not free yet, and others came; `ended` are all that ever did."""
        back: dict[int, int] = {}
        for job in over:
            group = self._group(job)
            self._ends[group] += 1
            self._work[group] += int(self._run_s[job] * self._cards[job])
            back[group] = back.get(group, 0) + int(self._cards[job])
        for group in dict.fromkeys([*back, *map(self._group, came)]):
            row = self._board.groups[group]
            self._kept[group], self._large[group] = line_up(
                self._board.jobs, self._board.lanes, row[c.FIRST_LANE], row[c.AFTER_LANE], self._kept[group],
                self._large[group], ended, self._cards, LARGE * self._work[group] // self._ends[group],
                -(-self._all[group] // WIDE), self._all[group] // PART,
                int(self._pools(group)[:, c.FREE].sum()) + back.get(group, 0),
            )  # fmt: skip
