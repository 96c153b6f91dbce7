"""How far an attempt's bytes are: written by the thread that moves them, read by the agent's step."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Event

from hutong.core.capacity.sites import Move
from hutong.core.kernel.errors import Later
from hutong.core.kernel.ids import AttemptKey
from hutong.wire.agent import MOVES_AT_ONCE


class Progress:
    """Bytes of one attempt: what is to be moved in all, and what has been. `what` is a word of `Move`.

    What lies in the file that is being fetched counts by the file's size: nobody counts every chunk.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.total_bytes = 0
        self._done_bytes = 0
        self._partial: Path | None = None
        self._dropped = Event()

    def expect(self, size_bytes: int) -> None:
        """Add to what is to be moved."""
        self.total_bytes += size_bytes

    def begin(self, partial: Path) -> None:
        """Say which file grows now."""
        self._partial = partial

    def done(self, size_bytes: int) -> None:
        """Say that so much is there, the file that grew among it."""
        self._partial = None
        self._done_bytes += size_bytes

    def drop(self) -> None:
        """Have the move end soon: nobody wants it any more."""
        self._dropped.set()

    def go_on(self) -> None:
        """Raise Later if nobody wants the move any more."""
        if self._dropped.is_set():
            raise Later("not wanted any more")

    def pause(self, wait_s: float) -> None:
        """Wait, unless nobody wants the move any more: then raise Later."""
        self._dropped.wait(wait_s)
        self.go_on()

    def so_far(self) -> int:
        """Return the bytes that have been moved, those of a file that is only there in part among them."""
        partial, growing = self._partial, 0
        if partial is not None:
            try:
                growing = partial.stat().st_size
            except FileNotFoundError:  # it is whole since a moment ago
                growing = 0
        return min(self._done_bytes + growing, self.total_bytes)


def moves_of(*boards: Mapping[AttemptKey, Progress]) -> tuple[Move, ...]:
    """Return what moves now, in order of key, at most as many as one message takes."""
    found: Iterable[tuple[AttemptKey, Progress]] = (pair for each in boards for pair in list(each.items()))
    moves = [Move(key, each.what, each.so_far(), each.total_bytes) for key, each in found if each.total_bytes]
    return tuple(sorted(moves, key=lambda each: each.key)[:MOVES_AT_ONCE])
