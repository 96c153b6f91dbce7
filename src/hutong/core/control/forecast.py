"""When waiting jobs will start: the pass run forward by walltimes, corrected by how such forecasts came out.

Walltimes are mostly too long, new jobs come, and some go first: what the pass says is no forecast yet. So
each wait that it says is kept until the job starts, and the ratio of the true wait to it is remembered, by
the size of the wait. The quantiles of those ratios correct the next ones: half of the jobs start by the
likely time, nine tenths by the late one, whatever the reasons, as long as they stay the same. That is
split conformal prediction (Vovk, Gammerman, Shafer, 2005) with relative residuals.
"""

from bisect import insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from hutong.core.book.snapshot import Snapshot
from hutong.core.control.desk import Desk
from hutong.core.control.draft import Draft
from hutong.core.control.queue import Queue
from hutong.core.control.rules import Rules
from hutong.core.control.turn import in_line
from hutong.core.kernel.ids import JobId

LEAST_RATIOS = 20
"""How many waits of a size must have come out before they correct others: nine tenths need some."""

MOST_RATIOS = 500
PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """A job's place in line, from 1, and how long it would wait by walltimes, ms; None if unknown."""

    job: JobId
    place: int
    wait_ms: int | None


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a job will wait: half of such jobs no longer than `likely_ms`, nine tenths than `late_ms`.

    `samples` says on how many waits that rests; with 0 nothing is known but the walltimes.
    """

    likely_ms: int
    late_ms: int
    samples: int


def plan(snapshot: Snapshot, rules: Rules) -> tuple[Plan, ...]:
    """Return the plan of every job of the queue's head that waits for cards, in the order of the line."""
    desk = Desk(snapshot, rules)
    rows = [row for row in snapshot.queue if row.job.waiting_code not in {"no_funds", "debt", "never"}]
    drafts = sorted((Draft(row, desk) for row in rows), key=in_line)
    if not drafts:
        return ()
    queue = Queue(drafts, desk.grounds, desk.page(), desk)
    line = queue.in_line(range(len(drafts)))
    starts_ms = queue.starts_ms()
    now_ms = snapshot.now_ms
    waits = [None if start < 0 else start - now_ms for start in starts_ms]
    return tuple(Plan(drafts[job].job.id, place, waits[job]) for place, job in enumerate(line, 1))


@dataclass(slots=True)
class Record:
    """How planned waits came out: for each size of a wait, the latest ratios of true to planned, ppm."""

    ratios: dict[int, deque[int]] = field(default_factory=dict)

    def learn(self, planned_ms: int, true_ms: int) -> None:
        """Note how a planned wait came out. A wait that was planned as none teaches nothing."""
        if planned_ms > 0:
            kept = self.ratios.setdefault(_size(planned_ms), deque(maxlen=MOST_RATIOS))
            kept.append(PPM * max(0, true_ms) // planned_ms)

    def correct(self, planned_ms: int) -> Waits:
        """Return what a planned wait is likely to be; of waits of that size, or else of all."""
        ratios = sorted(self.ratios.get(_size(planned_ms), ()))
        if len(ratios) < LEAST_RATIOS:
            ratios = []
            for each in self.ratios.values():
                for ratio in each:
                    insort(ratios, ratio)
        if len(ratios) < LEAST_RATIOS:
            return Waits(planned_ms, planned_ms, 0)
        count = len(ratios)
        likely, late = (ratios[min(count - 1, -(-(count + 1) * tenths // 10) - 1)] for tenths in (5, 9))
        return Waits(planned_ms * likely // PPM, planned_ms * late // PPM, count)

    def document(self) -> dict[str, list[int]]:
        """Return it as a document."""
        return {str(size): list(kept) for size, kept in sorted(self.ratios.items())}


def record_of(document: Mapping[str, object]) -> Record:
    """Return what `document` wrote."""
    found = Record()
    for size, kept in document.items():
        if isinstance(kept, list):
            found.ratios[int(size)] = deque((int(each) for each in kept), maxlen=MOST_RATIOS)
    return found


def _size(wait_ms: int) -> int:
    """Return the size of a wait: its power of four, in seconds."""
    return (max(1, wait_ms // 1000).bit_length() + 1) // 2
