"""What beds stand on: children that die with their parent, waiting with a deadline."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# Before a command: a process namespace of its own, all of which ends with its first process. Not by bwrap:
# it covers parts of /proc, and then no job in there could have a sandbox with a /proc of its own.
_AS_ROOT = () if os.getuid() == 0 else ("--map-root-user",)
NAMESPACE = ("unshare", *_AS_ROOT, "--pid", "--fork", "--kill-child", "--mount-proc", "--")

_MARK = "HUTONG_TESTBED"
_TURN_S = 0.05
_GONE_S = 10
_TAIL = 2_000


class Daemon:
    """A program in the background, in a session of its own, killed when the thread that started it ends.

    So start a bed in a thread that lives as long as the bed: the main thread, as fixtures do. What the
    program starts in turn is known by a variable in its environment, and is gone when `kill` returns.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        self._command = ["setpriv", "--pdeathsig", "KILL", *command]
        self._env = {**os.environ, **(env or {}), _MARK: str(log)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id; an error if it was never started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.poll() is None

    @property
    def failed(self) -> bool:
        """Whether it ended by itself: `kill` makes it forgotten, not failed."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.alive:
            return
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                self._command,
                env=self._env,
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL it and all that it started, and wait until they are gone."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None
        wait_for(self._none_is_left, _GONE_S, f"the processes of {self.name} end")

    def _none_is_left(self) -> bool:
        left = self.processes()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not left

    def processes(self) -> list[int]:
        """Return the ids of all living processes that it started, at any remove, without itself."""
        mark = f"{_MARK}={self.log}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == (self._process and self._process.pid):
                continue
            try:
                environ = (entry / "environ").read_bytes()
            except OSError:  # it ended meanwhile, or is another user's
                continue
            if mark in environ.split(b"\0"):
                found.append(int(entry.name))
        return found

    def signal(self, sign: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP and SIGCONT."""
        os.kill(self.pid, sign)

    def tail(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-_TAIL:] if self.log.exists() else ""


def wait_for(
    condition: Callable[[], T | None],
    seconds: float,
    what: str,
    *,
    daemons: Iterable[Daemon] = (),
    retry: tuple[type[Exception], ...] = (OSError,),
) -> T:
    """Ask until the answer is true, and return it.

    Raises TimeoutError after `seconds`, RuntimeError with the end of its log when one of `daemons` ended
    by itself. Errors of the kinds in `retry` count as "not yet".
    """
    deadline = time.monotonic() + seconds
    last: Exception | None = None
    while True:
        try:
            if answer := condition():
                return answer
        except retry as error:
            last = error
        watched = list(daemons)
        for daemon in watched:
            if daemon.failed:
                raise RuntimeError(f"{daemon.name} ended by itself: {daemon.tail()}")
        if time.monotonic() > deadline:
            logs = "".join(f"\n--- {each.name}: {each.tail()[-500:]}" for each in watched)
            raise TimeoutError(f"not within {seconds:g} s: {what} (last error: {last}){logs}")
        time.sleep(_TURN_S)
