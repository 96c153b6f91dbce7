"""Group commit: postings that wait for each other are written in one transaction, each on its own merits."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hutong.core.book.money import Posting
from hutong.core.kernel.errors import HutongError, Later

AT_ONCE = 100
Verdict = bool | HutongError


class PostAlone(Exception):
    """Raised by who writes a batch in which something must be posted alone."""


@dataclass(slots=True, eq=False)
class _Ticket:
    posting: Posting
    called: threading.Event = field(default_factory=threading.Event)
    done: bool = False
    fresh: bool = False
    error: BaseException | None = None


class Combiner:
    """Hands what many threads want to post to `write`, one of them at a time for all that wait.

    `write` says of each posting whether it was news, or why it was refused; what it raises concerns them
    all, and each is then tried alone. A posting that nobody else waits beside is written at once. Whoever has
    written calls the next to write what came meanwhile, so that nobody works for others forever.
    """

    def __init__(self, write: Callable[[Sequence[Posting]], Sequence[Verdict]]) -> None:
        self._write = write
        self._waiting: list[_Ticket] = []
        self._busy = False
        self._lock = threading.Lock()

    def post(self, posting: Posting) -> bool:
        """Return True when the posting is durable, False if it was there; raises what it was refused for."""
        ticket = _Ticket(posting)
        with self._lock:
            self._waiting.append(ticket)
            first, self._busy = not self._busy, True
        if not first:
            ticket.called.wait()
        if not ticket.done:
            self._work()
        if ticket.error is not None:
            raise ticket.error
        return ticket.fresh

    def _work(self) -> None:
        """Write what waits; the caller's own posting is the oldest of it."""
        with self._lock:
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
        try:
            self._try(batch)
        finally:
            for each in batch:
                each.done = True
                each.called.set()
            with self._lock:
                self._busy = bool(self._waiting)
                if self._busy:
                    self._waiting[0].called.set()

    def _try(self, batch: Sequence[_Ticket]) -> None:
        try:
            self._settle(batch)
        except Later as later:  # the store is away: no use in asking it for each
            for each in batch:
                each.error = later
        except Exception as whole:  # noqa: BLE001 - it may be one's trouble: the others must not suffer
            for each in batch if len(batch) > 1 else ():
                try:
                    self._settle([each])
                except Exception as error:  # noqa: BLE001 - raised in the thread that asked
                    each.error = error
            if len(batch) == 1:
                batch[0].error = whole
        except BaseException as stop:
            for each in batch:
                each.error = stop
            raise

    def _settle(self, batch: Sequence[_Ticket]) -> None:
        for ticket, verdict in zip(batch, self._write([each.posting for each in batch]), strict=True):
            if isinstance(verdict, bool):
                ticket.fresh = verdict
            else:
                ticket.error = verdict
