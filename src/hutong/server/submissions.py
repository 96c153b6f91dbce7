"""Group commit: single submissions that arrive while a commit is under way share the next one."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from hutong.core.book.store import NewJob, Submission
from hutong.core.kernel.errors import Later

GROUP_AT_MOST = 500


class _Book(Protocol):
    def submit(self, wishes: tuple[NewJob, ...], now_ms: int) -> tuple[Submission, ...]: ...


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a wish, and the time of the commit that wrote it."""

    submission: Submission
    at_ms: int


class Submissions:
    """Writes wishes down through one thread; each future is done only after its commit is durable.

    At most `waiting_max` wishes wait; beyond that `add` raises Later. Nothing is lost by a crash that
    somebody was told of: a future that is not done was never answered.
    """

    def __init__(
        self,
        book: _Book,
        clock: Callable[[], int],
        waiting_max: int = 2000,
        observe: Callable[[int], None] | None = None,
    ) -> None:
        self._book = book
        self._clock = clock
        self._waiting_max = waiting_max
        self._observe = observe
        self._queue: deque[tuple[NewJob, Future[Written]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def add(self, wish: NewJob) -> Future[Written]:
        """Queue a wish; the future has what became of it, or the error that kept it from being written."""
        future: Future[Written] = Future()
        with self._changed:
            if self._closed:
                raise Later("the platform is stopping; try again in a moment", 5)
            if len(self._queue) >= self._waiting_max:
                raise Later(f"{self._waiting_max} submissions are waiting to be written", 1)
            self._queue.append((wish, future))
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="submissions", daemon=True)
                self._thread.start()
            self._changed.notify()
        return future

    def close(self) -> None:
        """Write what was queued, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout=30)

    def _write(self) -> None:
        while group := self._next_group():
            self._commit(group)

    def _next_group(self) -> list[tuple[NewJob, Future[Written]]]:
        group: list[tuple[NewJob, Future[Written]]] = []
        with self._changed:
            while not group:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if not self._queue:
                    return []
                count = min(len(self._queue), GROUP_AT_MOST)
                taken = [self._queue.popleft() for _ in range(count)]
                group = [each for each in taken if each[1].set_running_or_notify_cancel()]
        return group

    def _commit(self, group: list[tuple[NewJob, Future[Written]]]) -> None:
        now_ms = self._clock()
        try:
            answers = self._book.submit(tuple(wish for wish, _ in group), now_ms)
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            self._split(group, error)
            return
        if self._observe is not None:
            self._observe(len(group))
        for (_, future), answer in zip(group, answers, strict=True):
            future.set_result(Written(answer, now_ms))

    def _split(self, group: list[tuple[NewJob, Future[Written]]], error: Exception) -> None:
        if len(group) == 1 or isinstance(error, Later):
            for _, future in group:
                future.set_exception(error)
            return
        for each in group:  # one bad wish must not fail its neighbors: nothing of the group was written
            self._commit([each])
