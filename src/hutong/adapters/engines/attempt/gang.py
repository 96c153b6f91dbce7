"""The processes of one attempt: started, listened to, waited for and ended, by one loop without threads.

Standard library only: the supervisor imports this without any installed package.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.attempt.box import sealed, settle
from hutong.adapters.engines.attempt.tap import Sink
from hutong.adapters.engines.attempt.tree import below, below_us, end_all, send

_READ_BYTES = 1 << 16
_ROUNDS = 16
_FAR_S = 30.0
_AWAY_S = 3600.0
_LOST = 255
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class Exit(NamedTuple):
    """How one rank ended; `code` is 128 + the signal where a signal ended it, as a shell has it.

    `lost`: it runs elsewhere and has not said how it ended; the code is its launcher's, which may even be 0.
    """

    rank: int
    code: int
    signal: int
    ended_ms: int
    lost: bool = False


class Start(NamedTuple):
    """What to start as one rank. `boxed`: the child is a box, deaf to TERM; see `box.hearing_term`.

    `far`: the child is a launcher such as srun; the rank runs elsewhere and gets its signals through it.
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
        open_sink: Callable[[Path], Sink],
        on_exit: Callable[[Exit], None],
        tell_far: Callable[[signal.Signals, Collection[int]], bool] = lambda *_: True,
    ) -> None:
        """`open_sink` opens the log of a rank; `tell_far` has launchers, by their ids, signal their ranks.

        It returns False if nobody took the signal.
        """
        self._open_sink = open_sink
        self._tell_far = tell_far
        self._far: dict[int, Path | None] = {}
        self._on_exit = on_exit
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, tuple[int, subprocess.Popen[bytes] | None]] = {}
        self._sinks: dict[int, Sink] = {}
        self._pipes: dict[int, Sink] = {}
        self._bell, ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.listen(self._bell, _drain)
        self.exits: dict[int, Exit] = {}

    def launch(self, start: Start) -> None:
        """Start one rank in a session of its own, its output going to its log."""
        sink = self.sink(start.rank, start.log)
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(ours, False)
        errors = os.open(start.far, _APPEND, 0o600) if start.far else os.dup(theirs)
        argv, env, passed = list(start.argv), dict(start.env), -1
        if start.boxed and not start.far:
            argv, env, passed = sealed(argv, env)
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=errors,
                cwd=start.cwd,
                env=env,
                pass_fds=() if passed < 0 else (passed,),
                start_new_session=True,
                preexec_fn=lambda: settle(start.limits, deaf=start.boxed and not start.far),  # noqa: PLW1509  (one thread)
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
            os.close(errors)
            if passed >= 0:
                os.close(passed)
        self.exits.pop(start.rank, None)
        self._children[child.pid] = (start.rank, child)
        if start.far:
            self._far[child.pid] = start.told
        self._pipes[ours] = sink
        self.listen(ours, self._move)

    def adopt(self, rank: int, pid: int, output: int, log: Path) -> None:
        """Take over a rank that this process has started; `output` is its pipe, -1 if it is closed."""
        self._children[pid] = (rank, None)
        if output >= 0:
            self._pipes[output] = self.sink(rank, log)
            self.listen(output, self._move)

    def sink(self, rank: int, log: Path) -> Sink:
        """Return the open log of a rank."""
        if rank not in self._sinks:
            self._sinks[rank] = self._open_sink(log)
        return self._sinks[rank]

    def listen(self, handle: int, on_input: Callable[[int], None]) -> None:
        """Have `pump` call `on_input` with the handle when there is something to read from it."""
        self._selector.register(handle, selectors.EVENT_READ, on_input)

    def ignore(self, handle: int) -> None:
        """Listen to a handle no more."""
        self._selector.unregister(handle)

    def pump(self, wait_s: float) -> None:
        """Move output into the logs and wait for the dead; returns after `wait_s`, or sooner with news."""
        for key, _ in self._selector.select(wait_s):
            key.data(key.fd)
        self._reap()

    def end(self, grace_s: float) -> bool:
        """End every process below this one: TERM, up to `grace_s`, KILL. False if one will not die."""
        if grace_s > 0 and self.ask():
            self._wait(below_us, grace_s)
        if self._far:
            self._end_far()
        gone = end_all(below_us, lambda: self.pump(0))
        for handle in list(self._pipes):
            self._move(handle)
        return gone

    def ask(self) -> bool:
        """Send TERM to every process below this one; False if there is none."""
        alive = below_us()
        launchers = {*self._far, *below(self._far)} if self._far else set()
        send([pid for pid in alive if pid not in launchers], signal.SIGTERM)
        if self._far:
            self._tell_far(signal.SIGTERM, self._far)
        return bool(alive)

    def _end_far(self) -> None:
        """Kill the ranks on other nodes before their launchers: a launcher that is killed may leave its rank.

        A launcher that is told to end kills its rank by way of the batch system. Where that does not answer,
        the rank runs on: then we go on asking, for as long as it may take to bring the batch system back.
        """
        if followed := [pid for pid, told in self._far.items() if told is None]:
            self._tell_far(signal.SIGKILL, followed)
            self._wait(lambda: self._far, _FAR_S)
            return
        ranks = [self._children[pid][0] for pid in self._far]
        send(list(self._far), signal.SIGTERM)
        self._wait(lambda: self._far, _FAR_S)
        exits = [self.exits.get(rank) for rank in ranks]
        deadline = time.monotonic() + _AWAY_S
        while any(each is None or (each.lost and each.signal != signal.SIGKILL) for each in exits):
            if self._tell_far(signal.SIGKILL, self._far) or time.monotonic() > deadline:
                break
            self.pump(1)
        self._wait(lambda: self._far, _FAR_S)

    def ends(self) -> list[dict[str, int]]:
        """Return how the ranks ended, as it is written into an attempt's end."""
        ended = sorted(each for each in self.exits.values() if each.rank >= 0)
        return [{"rank": each.rank, "code": each.code, "signal": each.signal} for each in ended]

    def close(self) -> None:
        """Write out the logs."""
        for sink in self._sinks.values():
            sink.close()
        self._sinks.clear()

    def _wait(self, some: Callable[[], Collection[int]], most_s: float) -> None:
        deadline = time.monotonic() + most_s
        pause_s = 0.01
        while time.monotonic() < deadline and some():
            self.pump(pause_s)
            pause_s = min(pause_s * 2, 0.2)

    def _move(self, handle: int) -> None:
        for _ in range(_ROUNDS):
            try:
                chunk = os.read(handle, _READ_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                self.ignore(handle)
                del self._pipes[handle]
                os.close(handle)
                return
            self._pipes[handle].write(chunk)

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
        told = self._far.pop(pid, None)
        if child is not None:
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
