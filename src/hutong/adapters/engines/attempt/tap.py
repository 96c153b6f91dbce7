"""Taps: bytes of a rank on their way into its log, with secret values masked and the size bounded.

Standard library only: the supervisor imports this without any installed package.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

MASK = b"***"
SHORTEST = 4


def needles(values: Iterable[str]) -> tuple[bytes, ...]:
    """Return what must not appear in a log: each value of 4 bytes or more, and each long line of one."""
    found: set[bytes] = set()
    for value in values:
        raw = value.encode()
        found.update(part for part in (raw, raw.strip()) if len(part) >= SHORTEST)
        found.update(line for line in map(bytes.strip, raw.splitlines()) if len(line) >= 8)
    return tuple(sorted(found, key=lambda each: (-len(each), each)))


class Masker:
    """Replaces secrets in a stream, also where a secret is cut by the border of two chunks."""

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        self._secrets = secrets
        self._pattern = re.compile(b"|".join(map(re.escape, secrets))) if secrets else None
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Return what may be shown now; a tail that could begin a secret waits for the next chunk."""
        if self._pattern is None:
            return chunk
        text = self._held + chunk
        edge = len(text) - self._open_tail(text)
        shown = []
        done = 0
        for match in self._pattern.finditer(text):
            if match.start() >= edge:
                break
            shown += [text[done : match.start()], MASK]
            done = match.end()
        edge = max(edge, done)
        shown.append(text[done:edge])
        self._held = text[edge:]
        return b"".join(shown)

    def finish(self) -> bytes:
        """Return what was held back; nothing follows."""
        rest, self._held = self._held, b""
        return self._pattern.sub(MASK, rest) if self._pattern else rest

    def _open_tail(self, text: bytes) -> int:
        """Return the length of the longest end of `text` that a longer secret begins with."""
        longest = 0
        for secret in self._secrets:
            most = min(len(secret) - 1, len(text))
            for size in range(most, longest, -1):
                if text.endswith(secret[:size]):
                    longest = size
                    break
        return longest


class Sink(Protocol):
    """Where the output of a rank goes."""

    def write(self, chunk: bytes) -> None:
        """Take what a rank has said."""

    def close(self) -> None:
        """Take nothing more."""


class Tap:
    """One rank's log file."""

    def __init__(self, path: Path, secrets: tuple[bytes, ...], most_bytes: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size
        self._most = most_bytes
        self._full = False
        self._masker = Masker(secrets)

    def write(self, chunk: bytes) -> None:
        """Add what a rank has said."""
        self._put(self._masker.feed(chunk))

    def close(self) -> None:
        """Write out what was held back, and close."""
        self._put(self._masker.finish())
        os.close(self._file)

    def _put(self, data: bytes) -> None:
        if self._full or not data:
            return
        room = self._most - self._size
        if len(data) > room:
            self._full = True
            data = data[:room] + f"\n[hutong] the log ends here: it reached {self._most} bytes\n".encode()
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self._size += len(data)
