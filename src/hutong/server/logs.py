"""Logs in the object store: parts by offset while they grow, one whole object when they are complete.

`logs/<project>/<job>/<attempt>/<rank>/<20-digit offset>` are the parts, without holes; `whole` takes their
place. Rank -1, staging and setup, is written `setup`.
"""

import asyncio
import contextlib
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from hutong.adapters.objects.store import Objects
from hutong.core.kernel.errors import NotFound

SETUP_RANK = -1
_WHOLE = "whole"
_PARTS_LISTED = 1_000_000
_REMEMBERED = 10_000


def log_folder(project: str, job: str, attempt: int, rank: int) -> str:
    """Return the folder of one rank's log."""
    name = "setup" if rank == SETUP_RANK else str(rank)
    return f"logs/{project}/{job}/{attempt}/{name}"


class LogBook:
    """Takes logs in and gives them out. `limit_bytes` bounds one rank's log.

    How far a log reaches is remembered; another process may know it to reach further, and then a part is
    written twice with the same bytes, which changes nothing.
    """

    def __init__(self, objects: Objects, limit_bytes: int) -> None:
        self._objects = objects
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._held: OrderedDict[str, int] = OrderedDict()
        self._waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}

    def add(self, folder: str, offset: int, data: bytes, *, whole: bool) -> int:
        """Add a chunk; return how many bytes are held from the beginning.

        A chunk behind a hole is not stored, nor what would go beyond the limit; one that is held already
        changes nothing. `whole` says that the log ends where the chunk ends.
        """
        held, complete = self._state(folder, fresh=whole)
        if complete:
            return held
        end = min(offset + len(data), self._limit_bytes)
        if whole and offset == held == 0 and end == len(data):
            if data:  # an empty log is none
                self._objects.put(f"{folder}/{_WHOLE}", data)
            with self._lock:
                self._held.pop(folder, None)
            self._wake(folder)
            return end
        if offset <= held < end:
            self._objects.put(f"{folder}/{held:020d}", data[held - offset : end - offset])
            held = end
            self._remember(folder, held)
        if whole and held == offset + len(data):
            self._join(folder, held)
        self._wake(folder)
        return held

    def size(self, folder: str, *, fresh: bool = False) -> int:
        """Return how many bytes are held; `fresh` asks the object store also where it is remembered."""
        if not fresh:
            with self._lock:
                known = self._held.get(folder)
            if known is not None:
                return known
        return self._state(folder)[0]

    def read(self, folder: str, offset: int, limit: int) -> bytes:
        """Return up to `limit` bytes from `offset`; none at the present end."""
        return b"".join(self.stream(folder, offset, limit))

    def stream(self, folder: str, offset: int, limit: int | None = None) -> Iterator[bytes]:
        """Yield the log from `offset` to its present end, or `limit` bytes of it."""
        left = self._limit_bytes if limit is None else limit
        while left > 0:
            piece = self._piece(folder, offset, min(left, 1 << 20))
            if not piece:
                return
            yield piece
            offset += len(piece)
            left -= len(piece)

    async def changed(self, folder: str, timeout_s: float) -> None:
        """Wait until this process has taken in more of the log, or the timeout."""
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._waiting.setdefault(folder, set()).add(waiter)
        try:
            await asyncio.wait_for(waiter[1].wait(), timeout_s)
        except TimeoutError:
            return
        finally:
            with self._lock:
                waiters = self._waiting.get(folder, set())
                waiters.discard(waiter)
                if not waiters:
                    self._waiting.pop(folder, None)

    def _piece(self, folder: str, offset: int, limit: int) -> bytes:
        for _ in range(3):  # parts may be joined between a look and a read
            with contextlib.suppress(NotFound):
                return self._objects.get_range(f"{folder}/{_WHOLE}", offset, limit)
            parts = self._parts(folder)
            start = max((start for start, size in parts if start <= offset < start + size), default=None)
            if start is None:
                if self._objects.exists(f"{folder}/{_WHOLE}"):
                    continue
                return b""
            with contextlib.suppress(NotFound):
                return self._objects.get_range(f"{folder}/{start:020d}", offset - start, limit)
        return b""

    def _state(self, folder: str, *, fresh: bool = False) -> tuple[int, bool]:
        """Return how far the log reaches without a hole, and whether it is complete."""
        with contextlib.suppress(NotFound):
            return self._objects.size(f"{folder}/{_WHOLE}"), True
        with self._lock:
            known = self._held.get(folder)
        if known is not None and not fresh:
            return known, False
        held = 0
        for start, size in self._parts(folder):
            if start > held:
                break
            held = max(held, start + size)
        self._remember(folder, held)
        return held, False

    def _parts(self, folder: str) -> list[tuple[int, int]]:
        found = self._objects.list(folder, limit=_PARTS_LISTED)
        names = ((each.path.rpartition("/")[2], each.size_bytes) for each in found)
        return [(int(name), size) for name, size in names if name != _WHOLE]

    def _join(self, folder: str, size: int) -> None:
        parts = [f"{folder}/{start:020d}" for start, _ in self._parts(folder)]
        with tempfile.NamedTemporaryFile() as file:  # the store cannot be read while it is being written
            for piece in self.stream(folder, 0, size):
                file.write(piece)
            file.flush()
            self._objects.put_file(f"{folder}/{_WHOLE}", Path(file.name))
        for part in parts:
            self._objects.delete(part)
        with self._lock:
            self._held.pop(folder, None)

    def _remember(self, folder: str, held: int) -> None:
        with self._lock:
            self._held[folder] = max(held, self._held.get(folder, 0))
            self._held.move_to_end(folder)
            while len(self._held) > _REMEMBERED:
                self._held.popitem(last=False)

    def _wake(self, folder: str) -> None:
        with self._lock:
            waiters = list(self._waiting.get(folder, ()))
        for loop, event in waiters:
            with contextlib.suppress(RuntimeError):  # that loop is closed, and its waiter gone
                loop.call_soon_threadsafe(event.set)
