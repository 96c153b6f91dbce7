"""The processes of one attempt: started, listened to, waited for and ended, by one loop without threads.

Standard library only: the supervisor imports this without any installed package.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.attempt.box import set_limits
from hutong.adapters.engines.attempt.tap import Tap
from hutong.adapters.engines.attempt.tree import below, end_all, is_box, send

_READ_BYTES = 1 << 16
_ROUNDS = 16
_FAR_S = 30.0
_AWAY_S = 3600.0
_LOST = 255
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Exit:
    """How one rank ended; `code` is 128 + the signal where a signal ended it, as a shell has it.

    `lost`: it runs elsewhere and has not said how it ended; the code is its launcher's, which may even be 0.
    """

    rank: int
    code: int
    signal: int
    ended_ms: int
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """What to start as one rank. `boxed`: the child is a box, which must not get TERM itself.

    `far`: the child is a launcher such as srun; the rank runs elsewhere and gets its signals another way.
    """

    rank: int
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    limits: Mapping[str, int]
    boxed: bool
    far: Path | None = None  # where a launcher that starts the rank on another node says what ails it
    told: Path | None = None  # where such a rank writes its exit code


class Gang:
    """All processes below this one, which must be their subreaper: setup, then the ranks."""

    def __init__(
        self,
        secrets: tuple[bytes, ...],
        log_most_bytes: int,
        on_exit: Callable[[Exit], None],
        tell_far: Callable[[signal.Signals], bool] = lambda _: True,
    ) -> None:
        """`tell_far` sends a signal to the ranks that run on other nodes; False if nobody took it."""
        self._secrets = secrets
        self._tell_far = tell_far
        self._far: dict[int, Path | None] = {}
        self._log_most_bytes = log_most_bytes
        self._on_exit = on_exit
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, tuple[int, subprocess.Popen[bytes]]] = {}
        self._boxes: set[int] = set()
        self._taps: dict[int, Tap] = {}
        self._bell, ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._bell, selectors.EVENT_READ, None)
        self.exits: dict[int, Exit] = {}

    def launch(self, start: Start) -> None:
        """Start one rank in a session of its own, its output going to its log."""
        tap = self.tap(start.rank, start.log)
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(ours, False)
        errors = os.open(start.far, _APPEND, 0o600) if start.far else os.dup(theirs)
        try:
            child = subprocess.Popen(
                list(start.argv),
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=errors,
                cwd=start.cwd,
                env=dict(start.env),
                start_new_session=True,
                preexec_fn=lambda: _settle(start.limits),  # noqa: PLW1509  (one thread here)
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
            os.close(errors)
        self.exits.pop(start.rank, None)
        self._children[child.pid] = (start.rank, child)
        if start.far:
            self._far[child.pid] = start.told
        elif start.boxed:
            self._boxes.add(child.pid)
        self._selector.register(ours, selectors.EVENT_READ, tap)

    def tap(self, rank: int, log: Path) -> Tap:
        """Return the open log of a rank."""
        if rank not in self._taps:
            self._taps[rank] = Tap(log, self._secrets, self._log_most_bytes)
        return self._taps[rank]

    def pump(self, wait_s: float) -> None:
        """Move output into the logs and wait for the dead; returns after `wait_s`, or sooner with news."""
        for key, _ in self._selector.select(wait_s):
            if key.data is None:
                _drain(key.fd)
            else:
                self._move(key.fd, key.data)
        self._reap()

    def end(self, grace_s: float) -> bool:
        """End every process below this one: TERM, up to `grace_s`, KILL. False if one will not die."""
        me = os.getpid()
        alive = below([me])
        if alive and grace_s > 0:
            launchers = {*self._far, *below(self._far)}
            send([pid for pid in alive if not self._is_box(pid) and pid not in launchers], signal.SIGTERM)
            if self._far:
                self._tell_far(signal.SIGTERM)
            self._wait(lambda: below([me]), grace_s)
        if self._far:
            self._end_far()
        gone = end_all(lambda: below([me]), lambda: self.pump(0))
        for key in [key for key in self._selector.get_map().values() if key.data is not None]:
            self._move(key.fd, key.data)
        return gone

    def _end_far(self) -> None:
        """Kill the ranks on other nodes before their launchers: a launcher that is killed may leave its rank.

        A launcher that is told to end kills its rank by way of the batch system. Where that does not answer,
        the rank runs on: then we go on asking, for as long as it may take to bring the batch system back.
        """
        ranks = [self._children[pid][0] for pid in self._far]
        send(list(self._far), signal.SIGTERM)
        self._wait(lambda: self._far, _FAR_S)
        exits = [self.exits.get(rank) for rank in ranks]
        deadline = time.monotonic() + _AWAY_S
        while any(each is None or (each.lost and each.signal != signal.SIGKILL) for each in exits):
            if self._tell_far(signal.SIGKILL) or time.monotonic() > deadline:
                break
            self.pump(1)
        self._wait(lambda: self._far, _FAR_S)

    def close(self) -> None:
        """Write out the logs."""
        for tap in self._taps.values():
            tap.close()
        self._taps.clear()

    def _wait(self, some: Callable[[], Collection[int]], most_s: float) -> None:
        deadline = time.monotonic() + most_s
        pause_s = 0.01
        while time.monotonic() < deadline and some():
            self.pump(pause_s)
            pause_s = min(pause_s * 2, 0.2)

    def _is_box(self, pid: int) -> bool:
        return pid in self._boxes or (bool(self._boxes) and is_box(pid))

    def _move(self, handle: int, tap: Tap) -> None:
        for _ in range(_ROUNDS):
            try:
                chunk = os.read(handle, _READ_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                self._selector.unregister(handle)
                os.close(handle)
                return
            tap.write(chunk)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._children:
                self._note(pid, os.waitstatus_to_exitcode(status))

    def _note(self, pid: int, result: int) -> None:
        rank, child = self._children.pop(pid)
        self._boxes.discard(pid)
        told = self._far.pop(pid, None)
        child.returncode = result  # we have waited for it; Popen must not
        code = 128 - result if result < 0 else result
        own = files.read_code(told) if told else code
        lost = own is None
        code = (code or _LOST) if own is None else own
        number = code - 128 if 128 < code < 128 + signal.NSIG else 0
        ended = Exit(rank, code, number, int(time.time() * 1000), lost)
        self.exits[rank] = ended
        self._on_exit(ended)


def _drain(handle: int) -> None:
    try:
        while os.read(handle, 4096):
            pass
    except BlockingIOError:
        return


def _settle(limits: Mapping[str, int]) -> None:
    """Between fork and exec: bound the child, and have the kernel kill it before its supervisor."""
    set_limits(limits)
    Path("/proc/self/oom_score_adj").write_text("500")
