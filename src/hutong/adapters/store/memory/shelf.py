"""What all parts of the memory twin share: the lock, the bell, and the rows of jobs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hutong.adapters.store import rules
from hutong.core.book.snapshot import Absence, JobRow
from hutong.core.kernel.ids import AttemptKey, JobId
from hutong.core.work.facts import Fact
from hutong.core.work.fold import Job
from hutong.core.work.states import JobState


@dataclass(slots=True)
class Kept:
    """A job with when it must be looked at."""

    row: JobRow
    due_ms: int | None


@dataclass(slots=True)
class Order:
    """An open command."""

    id: int
    site: str
    key: AttemptKey
    kind: str
    taken_ms: int | None = None


class Locked:
    """One lock for everything, and the bell."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._rings = 0

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            yield
            self._rings += 1

    def pulse(self) -> int:
        """Return a number that changes whenever anybody has written; cheap enough to ask every 20 ms."""
        return self._rings

    def close(self) -> None:
        """Let go of connections: there are none."""


class Shelf(Locked):
    """The state of jobs and sites. `_active` names the jobs that a turn may have to see."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: dict[JobId, Kept] = {}
        self._active: set[JobId] = set()
        self._facts: dict[JobId, list[Fact]] = {}
        self._orders: dict[int, Order] = {}
        self._absences: dict[AttemptKey, tuple[str, Absence]] = {}
        self._watches: dict[AttemptKey, tuple[str, int]] = {}

    def _save(self, row: JobRow, due_ms: int | None) -> None:
        job = row.job
        self._jobs[job.id] = Kept(row, due_ms)
        if due_ms is not None or job.live or job.state is JobState.QUEUED:
            self._active.add(job.id)
        else:
            self._active.discard(job.id)

    def _move(self, after: Job, due_ms: int | None) -> None:
        row = self._jobs[after.id].row
        self._save(JobRow(after, row.spec, row.project), due_ms)

    def _live(self, site: str) -> list[Job]:
        found = (self._jobs[name].row.job for name in self._active)
        return [job for job in found if job.live and job.live.site == site]

    def _forget(self, key: AttemptKey) -> None:
        for order in [each for each in self._orders.values() if each.key == key]:
            del self._orders[order.id]
        self._absences.pop(key, None)
        self._watches.pop(key, None)

    def _look(self, job: JobId, now_ms: int) -> None:
        kept = self._jobs[job]
        self._save(kept.row, rules.sooner(kept.due_ms, now_ms))
