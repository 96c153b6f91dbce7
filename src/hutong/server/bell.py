"""The door bell: one thread watches the store's pulse and wakes whoever waits for a change."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

_log = structlog.get_logger(__name__)
_CALM_AFTER = 100
_SELDOM = 5


@dataclass(eq=False, slots=True)
class _Waiter:
    seen: object
    wake: Callable[[], object]
    topic: str | None


class Bell:
    """Wakes threads and coroutines when anybody, in any process, has written to the store.

    Ask `now()` first, then read the store, then wait with the number that `now()` gave: a change in
    between is not missed. However many wait, the store is asked once every `every_s`, a fifth as often
    after a hundred times without a change, and not at all while nobody waits.

    Who waits for one topic only sleeps through all other changes: it takes `mark()` instead of `now()`, and
    after each change what `marks` says of every topic is asked once for all.
    """

    def __init__(
        self,
        pulse: Callable[[], int],
        every_s: float = 0.01,
        marks: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._pulse = pulse
        self._every_s = every_s
        self._ask_marks = marks
        self._marks: Mapping[str, object] = {}
        self._marked_at: int | None = None
        self._waiters: set[_Waiter] = set()
        self._changed = threading.Condition()
        self._poke = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def now(self) -> int:
        """Return the store's present pulse; asks the store, so not for an event loop."""
        return self._pulse()

    def mark(self, topic: str) -> object:
        """Return the mark of a topic as last asked. It may be old; then the next wait for it is short."""
        return self._marks.get(topic)

    def ring(self) -> None:
        """Look at the pulse at once instead of at the next tick; for whoever has just written."""
        self._poke.set()

    def wait(self, seen: object, timeout_s: float, topic: str | None = None) -> bool:
        """Block until the pulse, or a topic's mark, differs from `seen`; False if it did not in time."""
        woken = threading.Event()
        waiter = _Waiter(seen, woken.set, topic)
        self._add(waiter)
        try:
            return woken.wait(timeout_s)
        finally:
            self._drop(waiter)

    async def changed(self, seen: object, timeout_s: float, topic: str | None = None) -> bool:
        """Wait like `wait`, in a coroutine."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        waiter = _Waiter(seen, lambda: loop.call_soon_threadsafe(woken.set), topic)
        self._add(waiter)
        try:
            await asyncio.wait_for(woken.wait(), timeout_s)
        except TimeoutError:
            return False
        finally:
            self._drop(waiter)
        return True

    def close(self) -> None:
        """Stop watching and wake everybody."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        self._poke.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)

    def _add(self, waiter: _Waiter) -> None:
        with self._changed:
            if self._closed:
                waiter.wake()
                return
            self._waiters.add(waiter)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="bell", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _drop(self, waiter: _Waiter) -> None:
        with self._changed:
            self._waiters.discard(waiter)

    def _watch(self) -> None:
        last, same = -1, 0
        while self._await_waiters():
            try:
                pulse = self._pulse()
                same = same + 1 if pulse == last else 0
                last = pulse
                self._remark(pulse)
                self._wake(pulse)
            except Exception:  # noqa: BLE001 - the bell must outlive any hiccup of the store
                _log.exception("the store does not answer the bell; trying again")
                self._poke.wait(1.0)
            self._poke.wait(self._every_s * (1 if same < _CALM_AFTER else _SELDOM))
            self._poke.clear()
        with self._changed:
            waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            _call(waiter)

    def _await_waiters(self) -> bool:
        with self._changed:
            while not self._waiters and not self._closed:
                self._changed.wait()
            return not self._closed

    def _remark(self, pulse: int) -> None:
        """Ask for the marks if they may have changed and somebody waits for one; only our thread does."""
        if pulse == self._marked_at:
            return
        with self._changed:
            wanted = any(waiter.topic is not None for waiter in self._waiters)
        if wanted:
            self._marks, self._marked_at = self._ask_marks(), pulse

    def _wake(self, pulse: int) -> None:
        marks = self._marks
        with self._changed:
            late = [
                waiter
                for waiter in self._waiters
                if waiter.seen != (pulse if waiter.topic is None else marks.get(waiter.topic))
            ]
            self._waiters.difference_update(late)
        for waiter in late:
            _call(waiter)


def _call(waiter: _Waiter) -> None:
    try:
        waiter.wake()
    except RuntimeError:  # the waiter's event loop is gone, and the waiter with it
        _log.debug("a waiter left without a word")
