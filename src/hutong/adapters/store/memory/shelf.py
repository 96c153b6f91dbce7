"""What all parts of the memory twin share: the lock, the bell, and the rows of jobs."""

import threading
from bisect import bisect_left, insort
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hutong.adapters.store import rules
from hutong.core.book.snapshot import Absence, JobRow
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId
from hutong.core.work.facts import Fact
from hutong.core.work.fold import Job

Place = tuple[int, int, str]
"""The place of a job in a queue, see `rules.queue_order`."""


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
    """The state of jobs and sites, with what a turn may have to see kept apart from what is over.

    `_asking` are the jobs that ask for a look, by when; `_alive` those with a live attempt; `_waiting` are
    the queues of all projects that have one, each in order, and `_waiting_of` those of their people.
    """

    def __init__(self) -> None:
        super().__init__()
        self._jobs: dict[JobId, Kept] = {}
        self._asking: dict[JobId, int] = {}
        self._alive: set[JobId] = set()
        self._waiting: dict[ProjectId, list[Place]] = {}
        self._waiting_of: dict[ProjectId, dict[str, list[Place]]] = {}
        self._facts: dict[JobId, list[Fact]] = {}
        self._orders: dict[int, Order] = {}
        self._orders_of: dict[AttemptKey, dict[str, Order]] = {}
        self._absences: dict[AttemptKey, tuple[str, Absence]] = {}
        self._watches: dict[AttemptKey, tuple[str, int]] = {}

    def _save(self, row: JobRow, due_ms: int | None) -> None:
        job = row.job
        before = self._jobs.get(job.id)
        if before is not None and rules.in_queue(before.row.job, before.due_ms):
            self._leave(before.row)
        self._jobs[job.id] = Kept(row, due_ms)
        if rules.in_queue(job, due_ms):
            for queue in self._queues(row):
                insort(queue, rules.queue_order(row))
        if due_ms is None:
            self._asking.pop(job.id, None)
        else:
            self._asking[job.id] = due_ms
        if job.live:
            self._alive.add(job.id)
        else:
            self._alive.discard(job.id)

    def _queues(self, row: JobRow) -> tuple[list[Place], list[Place]]:
        """Return the queue of a job's project, and that of its person in it."""
        of_people = self._waiting_of.setdefault(row.project, {})
        return self._waiting.setdefault(row.project, []), of_people.setdefault(row.job.by, [])

    def _leave(self, row: JobRow) -> None:
        for queue in self._queues(row):
            del queue[bisect_left(queue, rules.queue_order(row))]
        if not self._waiting_of[row.project][row.job.by]:
            del self._waiting_of[row.project][row.job.by]
        if not self._waiting[row.project]:
            del self._waiting[row.project], self._waiting_of[row.project]

    def _move(self, after: Job, due_ms: int | None) -> None:
        row = self._jobs[after.id].row
        self._save(JobRow(after, row.spec, row.project), due_ms)

    def _live(self, site: str) -> list[Job]:
        found = (self._jobs[name].row.job for name in self._alive)
        return [job for job in found if job.live and job.live.site == site]

    def _open(self, order: Order) -> None:
        self._orders[order.id] = order
        self._orders_of.setdefault(order.key, {})[order.kind] = order

    def _close(self, key: AttemptKey, kind: str) -> None:
        orders = self._orders_of.get(key, {})
        if kind in orders:
            del self._orders[orders.pop(kind).id]
        if not orders:
            self._orders_of.pop(key, None)

    def _forget(self, key: AttemptKey) -> None:
        for kind in tuple(self._orders_of.get(key, ())):
            self._close(key, kind)
        self._absences.pop(key, None)
        self._watches.pop(key, None)

    def _look(self, job: JobId, now_ms: int) -> None:
        kept = self._jobs[job]
        self._save(kept.row, rules.sooner(kept.due_ms, now_ms))
