"""When waiting jobs will start: the pass run forward by walltimes, corrected by how such forecasts came out.

Walltimes are mostly too long, new jobs come, and some go first: what the pass says is no forecast yet. So
each wait that it says is kept until the job starts, and the ratio of the true wait to it is remembered, by
the size of the wait. The quantiles of those ratios correct the next ones: half of the jobs start by the
likely time, nine tenths by the late one, whatever the reasons, as long as they stay the same. That is
split conformal prediction (Vovk, Gammerman, Shafer, 2005) with relative residuals. Jobs that wait yet are
counted as far as they have waited, or else a growing queue would be told by the short waits alone.
"""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
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
_EPSILON = 1e-9


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
    rows = [
        row for row in snapshot.queue if row.job.waiting_code not in {"no_funds", "budget", "debt", "never"}
    ]
    drafts = sorted((Draft(row, desk) for row in rows), key=in_line)
    if not drafts:
        return ()
    queue = Queue(drafts, desk.grounds, desk.page(), desk)
    line = queue.line.in_line(range(len(drafts)))
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

    def correct(self, planned_ms: int, still: Sequence[tuple[int, int]] = ()) -> Waits:
        """Return what one planned wait is likely to be; `Corrections` does it for many."""
        return Corrections(self, still).of(planned_ms)

    def document(self) -> dict[str, list[int]]:
        """Return it as a document."""
        return {str(size): list(kept) for size, kept in sorted(self.ratios.items())}


class Corrections:
    """What planned waits are likely to be at one moment; quantiles are found once for each size of a wait.

    `still` are (planned, so far) of jobs that wait yet, ms.
    """

    def __init__(self, record: Record, still: Sequence[tuple[int, int]]) -> None:
        self._record = record
        self._so_far: dict[int, list[int]] = defaultdict(list)
        for planned_ms, past_ms in still:
            if planned_ms > 0:
                self._so_far[_size(planned_ms)].append(PPM * max(0, past_ms) // planned_ms)
        self._known: dict[int, tuple[int, int, int] | None] = {}

    def of(self, planned_ms: int) -> Waits:
        """Return what a wait is likely to be, by waits of that size, or by all where there are too few."""
        size = _size(planned_ms)
        if size not in self._known:
            self._known[size] = self._ratios(size)
        found = self._known[size]
        if found is None:
            return Waits(planned_ms, planned_ms, 0)
        likely, late, samples = found
        return Waits(planned_ms * likely // PPM, planned_ms * late // PPM, samples)

    def _ratios(self, size: int) -> tuple[int, int, int] | None:
        over: list[int] = list(self._record.ratios.get(size, ()))
        so_far = self._so_far.get(size, [])
        if len(over) < LEAST_RATIOS:
            over = [each for kept in self._record.ratios.values() for each in kept]
            so_far = [each for kept in self._so_far.values() for each in kept]
        if len(over) < LEAST_RATIOS:
            return None
        return (*quantiles(over, so_far), len(over))


def quantiles(over: Sequence[int], so_far: Sequence[int]) -> tuple[int, int]:
    """Return the median and the nine-tenths quantile of ratios, of which some are only known to be larger.

    By the product-limit estimate (Kaplan and Meier, 1958); where it does not reach so far, the largest.
    """
    events = sorted([*((ratio, 0) for ratio in over), *((ratio, 1) for ratio in so_far)])
    alive, at_risk, found = 1.0, len(events), []
    targets = [0.5, 0.1]
    for ratio, censored in events:
        if not censored:
            alive *= (at_risk - 1) / at_risk
            while targets and alive <= targets[0] + _EPSILON:
                found.append(ratio)
                targets.pop(0)
        at_risk -= 1
    found += [events[-1][0]] * len(targets)
    return found[0], found[1]


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
