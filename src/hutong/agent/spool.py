"""What the agent must remember by itself: which attempts are wholly settled with the platform.

Why nothing else is kept. The engine holds every attempt, with its end, until it is told to forget;
so each report can be made again from `engine.observe()` however often the agent dies and however
long the platform is away, and a repeat is harmless there. A command stays open at the platform until
a report shows its effect, so it comes again. Logs and outputs lie in the attempt's folder and are
stored by content, so collecting twice stores once. The one thing that neither side tells the agent is
that the last report, `Collected`, has been acknowledged: only then may an attempt be forgotten.
Losing this file costs repeats and nothing else, which is why a torn last line is simply dropped, and why a
full disk keeps the agent from nothing here.
What waits here for a platform that is away cannot grow: without it no command comes in.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from hutong.core.kernel.ids import AttemptKey

_log = structlog.get_logger("hutong.agent")
_SLACK = 1_000


class Spool:
    """An append-only file of settled attempts, compacted as they are forgotten; fsynced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._settled: dict[AttemptKey, int] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lines = 0
        for line in path.read_bytes().splitlines() if path.exists() else ():
            self._lines += 1
            try:
                mark = json.loads(line)
                self._apply(AttemptKey(mark["key"]), mark["settled_ms"])
            except (ValueError, KeyError, TypeError):
                continue
        self._compact()

    def settle(self, keys: Iterable[AttemptKey], at_ms: int) -> None:
        """Note, durably, that the platform has everything of some attempts."""
        self._write(keys, at_ms)

    def drop(self, key: AttemptKey) -> None:
        """Note that an attempt was forgotten."""
        if key in self._settled:
            self._write((key,), None)
            if self._lines > 2 * len(self._settled) + _SLACK:
                self._compact()

    def settled(self) -> dict[AttemptKey, int]:
        """Return the settled attempts and when each was settled (UTC ms), oldest first."""
        return dict(sorted(self._settled.items(), key=lambda each: (each[1], each[0])))

    def __contains__(self, key: object) -> bool:
        return key in self._settled

    def _apply(self, key: AttemptKey, at_ms: int | None) -> None:
        if at_ms is None:
            self._settled.pop(key, None)
        else:
            self._settled[key] = int(at_ms)

    def _write(self, keys: Iterable[AttemptKey], at_ms: int | None) -> None:
        lines = []
        for key in keys:
            lines.append(json.dumps({"key": key, "settled_ms": at_ms}).encode() + b"\n")
            self._apply(key, at_ms)
        if not lines:
            return
        self._lines += len(lines)
        with _forgiven(self._path), self._path.open("ab") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())

    def _compact(self) -> None:
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with _forgiven(self._path):
            with fresh.open("wb") as file:
                for key, at_ms in self.settled().items():
                    file.write(json.dumps({"key": key, "settled_ms": at_ms}).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
            self._lines = len(self._settled)
        fresh.unlink(missing_ok=True)


@contextmanager
def _forgiven(path: Path) -> Iterator[None]:
    """Go on where the disk takes nothing: what is not written down costs repeats after a restart."""
    try:
        yield
    except OSError as error:
        _log.warning("settled attempts are not written down", path=str(path), why=str(error))
