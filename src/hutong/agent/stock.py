"""What of large inputs a cache holds whole, by digest: the platform counts no move for them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from hutong.core.placement.staging import MATTERS_BYTES
from hutong.wire.agent import STOCK_AT_ONCE

_LOOK_EVERY_S = 600.0  # others may share the cache


class Stock:
    """Looks into a cache's folders, at most every ten minutes while it is not told that they changed.

    Only what a job names counts: sets by the digest of their manifest, and objects that are in no set.
    """

    def __init__(self, objects: Path, sets: Path, matters_bytes: int = MATTERS_BYTES) -> None:
        self._objects = objects
        self._sets = sets
        self._matters_bytes = matters_bytes
        self._sizes: dict[str, int] = {}
        self._known: tuple[str, ...] = ()
        self._until_s = 0.0

    def forget(self) -> None:
        """Look again when somebody asks; any thread may say so."""
        self._until_s = 0.0

    def digests(self) -> tuple[str, ...]:
        """Return those that were used last, in order, at most as many as one message takes."""
        now_s = time.monotonic()
        if now_s >= self._until_s:
            self._until_s = now_s + _LOOK_EVERY_S  # first: what changes during the look is looked at again
            last = sorted([*self._large_sets(), *self._large_objects()], reverse=True)[:STOCK_AT_ONCE]
            self._known = tuple(sorted(f"sha256:{name}" for _, name in last))
        return self._known

    def _large_sets(self) -> Iterator[tuple[float, str]]:
        found = {entry.name: entry for entry in _entries(self._sets)}
        self._sizes = {name: size for name, size in self._sizes.items() if name in found}
        for name, entry in found.items():
            try:
                if name not in self._sizes:  # a set never changes once it has its name
                    self._sizes[name] = _bytes_below(Path(entry.path))
                if self._sizes[name] >= self._matters_bytes:
                    yield entry.stat().st_mtime, name
            except FileNotFoundError:  # evicted meanwhile
                continue

    def _large_objects(self) -> Iterator[tuple[float, str]]:
        for entry in _entries(self._objects):
            try:
                info = entry.stat()
            except FileNotFoundError:
                continue
            if info.st_nlink == 1 and info.st_size >= self._matters_bytes:
                yield info.st_mtime, entry.name


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """Yield what is named by a digest: no drafts, no parts, no listings of stores."""
    with os.scandir(folder) as entries:
        yield from (
            each for each in entries if len(each.name) == 64 and not set(each.name) - set("0123456789abcdef")
        )


def _bytes_below(folder: Path) -> int:
    return sum((Path(here) / name).stat().st_size for here, _, names in os.walk(folder) for name in names)
