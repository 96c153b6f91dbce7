"""Keeps the processes of an embedded platform running: starts, restarts what dies, stops in order."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from hutong.core.kernel.errors import Later
from hutong.server.founding import write_private
from hutong.server.parent import PARENT

log = structlog.get_logger(__name__)

STEADY_S = 10.0
PAUSE_AT_MOST_S = 10.0
QUICK_DEATHS_AT_MOST = 20
STOP_WITHIN_S = 9.0
LOG_AT_MOST_BYTES = 50_000_000
_LOOK_EVERY_S = 0.1


@dataclass(slots=True)
class Child:
    """One process to keep running; `rank` is when it stops: the lowest first."""

    name: str
    arguments: tuple[str, ...]
    rank: int
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    quick_deaths: int = 0
    began_s: float = 0.0
    again_s: float = 0.0


@dataclass(slots=True)
class Household:
    """The processes of one platform. All methods are called from one thread, the one that began them."""

    data: Path
    told: Mapping[str, object]
    wake: threading.Event = field(default_factory=threading.Event)
    _children: dict[str, Child] = field(default_factory=dict)

    def add(self, name: str, arguments: Iterable[str], rank: int) -> None:
        """Start a process of ours, `python -m hutong.main ARGUMENTS`, and keep it running."""
        child = Child(name, tuple(arguments), rank)
        self._children[name] = child
        self._start(child)
        self._tell()

    def _start(self, child: Child) -> None:
        path = self.data / "logs" / f"{child.name}.log"
        if path.is_file() and path.stat().st_size > LOG_AT_MOST_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as out:
            child.process = subprocess.Popen(
                [sys.executable, "-m", "hutong.main", *child.arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env={**os.environ, PARENT: str(os.getpid())},
            )
        child.began_s = time.monotonic()

    def tend(self) -> list[str]:
        """Start again whatever died, after a pause that grows; return the names of those that just died.

        Raises Later if a process dies again and again as soon as it starts.
        """
        died = []
        now_s = time.monotonic()
        for child in self._children.values():
            if child.process is not None and child.process.poll() is not None:
                died.append(child.name)
                self._note_death(child, child.process.returncode, now_s)
            if child.process is None and now_s >= child.again_s:
                self._start(child)
                self._tell()
        return died

    def _note_death(self, child: Child, code: int, now_s: float) -> None:
        steady = now_s - child.began_s >= STEADY_S
        child.process, child.restarts = None, child.restarts + 1
        child.quick_deaths = 0 if steady else child.quick_deaths + 1
        child.again_s = now_s + (0.0 if steady else min(PAUSE_AT_MOST_S, 0.2 * 2**child.quick_deaths))
        log.warning("died", name=child.name, code=code, restarts=child.restarts)
        if child.quick_deaths > QUICK_DEATHS_AT_MOST:
            raise Later(f"{child.name} dies as soon as it starts; its log is {self.log_of(child.name)}")

    def log_of(self, name: str) -> Path:
        """Return where a process writes."""
        return self.data / "logs" / f"{name}.log"

    def wait(self, condition: Callable[[], bool], within_s: float, what: str) -> bool:
        """Tend until the condition holds; False if asked to end before. Raises Later if it takes too long."""
        deadline_s = time.monotonic() + within_s
        while not condition():
            self.tend()
            if self.wake.wait(_LOOK_EVERY_S):
                return False
            if time.monotonic() > deadline_s:
                raise Later(f"{what} within {within_s:.0f} s: see {self.data / 'logs'}")
        return True

    def _tell(self) -> None:
        children = {
            child.name: {"pid": child.process.pid if child.process else None, "restarts": child.restarts}
            for child in self._children.values()
        }
        document = {"pid": os.getpid(), **self.told, "children": children}
        write_private(self.data / "up.json", json.dumps(document, indent=1) + "\n")

    def stop(self) -> None:
        """End everything in order of rank, within ten seconds; what does not end by itself is killed."""
        deadline_s = time.monotonic() + STOP_WITHIN_S
        ranks = sorted({child.rank for child in self._children.values()})
        for place, rank in enumerate(ranks, start=1):
            living = [c.process for c in self._children.values() if c.rank == rank and c.process is not None]
            for process in living:
                process.terminate()
            share_s = (deadline_s - time.monotonic()) / (len(ranks) - place + 1)
            _await_all(living, time.monotonic() + share_s)
        self._children.clear()
        (self.data / "up.json").unlink(missing_ok=True)


def _await_all(processes: list[subprocess.Popen[bytes]], deadline_s: float) -> None:
    for process in processes:
        try:
            process.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
