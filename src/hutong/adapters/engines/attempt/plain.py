"""The first seconds of a plain attempt: one rank, in the batch step, without staging, setup or secrets.

Most of what a short job costs beside itself is the import of its supervisor. To start a plain rank and see it
end well takes little of that, and is done here. Whatever else happens (a rank that fails, a stop, a signal, a
caller, much output, a full disk), and once a rank has run for `_WINDOW_S`, the whole supervisor takes over,
with the rank as it is. It does so early, not when it is needed: its files may change while a job runs.

Standard library only, and little of it: each job's supervisor pays for what is imported here.
"""

from __future__ import annotations

import os
import select
import time

from hutong.adapters.engines.attempt import box, files, tree
from hutong.adapters.engines.attempt.clock import AwakeClock
from hutong.adapters.engines.attempt.environment import environment
from hutong.adapters.engines.attempt.subreaper import reap

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
    from typing import Any

    StrPath = str | os.PathLike[str]
else:
    import _signal as signal  # without the enums of `signal`

GAP_S = 10.0
SAME_HAND_S = 0.02
_WINDOW_S = 2.0
_TICK_S = 0.1
_READ_BYTES = 1 << 16
_MARKS = (files.STOP, files.END, files.RELAY_ASK)


def is_plain(order: Mapping[str, Any]) -> bool:
    """Return whether an attempt is of the kind that is begun here."""
    spec, launcher = order["spec"], order["launcher"]
    simple = spec["num_nodes"] == 1 and not (spec["setup"] or spec["listens"] or spec["ports"])
    bare = not (order["staged"] or order["secret_names"])
    unlike = any(launcher.get(name) for name in ("prefix", "visible", "image", "judged", "follows"))
    return simple and bare and bool(launcher.get("judge")) and not unlike


class Plain:
    """A plain attempt that has begun, and what the full supervisor needs to go on with it.

    `pid` is 0 until the rank runs; `output` is the end of a pipe from it, -1 once nothing more comes. `code`
    is how it ended, -1 before this process has waited for it. `begin` is a moment of `clock`.
    """

    def __init__(self, folder: StrPath, order: dict[str, Any]) -> None:
        self.folder = os.fspath(folder)
        self.order = order
        self.clock = AwakeClock(GAP_S)
        self.began_ms = now_ms()
        self.ooms = tree.oom_kills()
        self.signalled = False
        self.started_ms = 0
        self.begin = 0.0
        self.view: box.View | None = None
        self.env: dict[str, str] = {}
        self.pid = 0
        self.output = -1
        self.code = -1
        self.ended_ms = 0
        self._log = -1
        self._room = 0

    def run(self) -> bool:
        """Carry the attempt to its end; False if the full supervisor must go on from here."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._heed)
        try:
            return self._prepared() and self._start() and self._ended_well() and self._end()
        except OSError:  # the full supervisor meets it too, and says so
            return False
        finally:
            if self._log >= 0:
                os.close(self._log)

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _marked(self) -> bool:
        return self.signalled or any(os.path.exists(self._path(name)) for name in _MARKS)

    def _prepared(self) -> bool:
        if self._marked():
            return False
        spec, config = self.order["spec"], self.order["config"]
        for name in (files.WORK, files.TEMP):
            os.makedirs(self._path(name), exist_ok=True)
        try:
            os.makedirs(files.within(self._path(files.WORK), spec["outputs"] or "outputs"), exist_ok=True)
        except ValueError:
            return False
        box.write_hosts(self._path("hosts"), spec["network"])
        return bool(config["log_most_bytes"] > 2 * _READ_BYTES)

    def _start(self) -> bool:
        order, config = self.order, self.order["config"]
        self.env = environment(order, self.folder, 0, (0, box.free_port()), {})
        argv: Sequence[str] = ["/bin/bash", "-c", order["spec"]["run"]]
        if config["boxed"]:
            self.view = box.view_of(order, self.folder, alone=not order["spec"]["network"])
            argv = box.boxed(self.view, box.hearing_term(argv))
        inherited = tuple(order["launcher"]["inherited"])
        env = {name: value for name, value in os.environ.items() if name.startswith(inherited)} | self.env
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._log = os.open(self._path(files.log_name(0)), append, 0o600)
        self.started_ms = now_ms()
        self.begin = self.clock.now()
        self.pid, self.output = spawn(
            argv, env, self._path(files.WORK), config["limits"], boxed=config["boxed"]
        )
        if config["note"]:
            os.write(self._log, files.our_line(config["note"]))
        self._room = config["log_most_bytes"] - os.fstat(self._log).st_size - _READ_BYTES
        files.write_started(self.folder, self.started_ms, 0, ())
        files.write_beat(self.folder, 0, 1)
        return True

    def _ended_well(self) -> bool:
        """Move output into the log until the rank has ended well; False if it did not, or not yet."""
        bell, ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(bell, select.POLLIN)
        poll.register(self.output, select.POLLIN)
        self.clock.start()
        try:
            while self.clock.tick() - self.begin < _WINDOW_S and self._room > 0:
                ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is not None:
                    # Signals of a batch system come to the rank and to us one after the other.
                    time.sleep(SAME_HAND_S)
                    return ended.si_status == 0 and ended.si_code == os.CLD_EXITED and not self.signalled
                if self._marked():
                    return False
                for handle, _ in poll.poll(_TICK_S * 1000):
                    if handle == bell:
                        os.read(bell, 4096)
                    elif not self._move() and self.output < 0:
                        poll.unregister(handle)
            return False
        finally:
            signal.set_wakeup_fd(-1)
            os.close(bell)
            os.close(ring)

    def _move(self) -> bool:
        """Move a part of the output into the log; False if there is none now, or none any more."""
        try:
            chunk = os.read(self.output, _READ_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            os.close(self.output)
            self.output = -1
            return False
        self._room -= len(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._log, view) :]
        return True

    def _end(self) -> bool:
        os.waitpid(self.pid, 0)
        self.code, self.ended_ms = 0, now_ms()
        ended = {"rank": 0, "code": 0, "signal": 0}
        # The end, which is durable, says the same in a moment.
        files.write_json(self._path(files.exit_name(0)), {**ended, "ended_ms": self.ended_ms}, durable=False)
        ran_ms = int((self.clock.now() - self.begin) * 1000)
        files.write_beat(self.folder, ran_ms, 2)
        if not tree.end_all(tree.below_us, reap):
            return False
        while self.output >= 0 and self._room > 0 and self._move():
            pass
        if self._room <= 0:
            return False
        end = files.end_record(
            self.order, ("SUCCEEDED", "none", ""), (self.began_ms, self.started_ms, now_ms()), ran_ms, [ended]
        )
        files.create_json(self._path(files.END), end)
        return True

    def _heed(self, number: int, _: object) -> None:
        self.signalled = self.signalled or number == signal.SIGTERM


def spawn(
    argv: Sequence[str], env: Mapping[str, str], work: str, limits: Mapping[str, int], *, boxed: bool
) -> tuple[int, int]:
    """Start a rank in a session of its own; return its process and the reading end of its output.

    Raises OSError if it cannot be started; then nothing of it is left.
    """
    passed = -1
    if boxed:
        argv, env, passed = box.sealed(argv, env)
        os.set_inheritable(passed, True)
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    fault, tell = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(ours, False)
    pid = os.fork()
    if pid == 0:
        kept = {0, 1, 2, theirs, tell, passed}
        for handle in {int(name) for name in os.listdir("/proc/self/fd")} - kept:
            _close(handle)
        _become(argv, env, work, limits, (theirs, tell), boxed=boxed)
    for handle in (theirs, tell, *([passed] if boxed else [])):
        os.close(handle)
    failed = os.read(fault, 64)
    os.close(fault)
    if failed:
        os.waitpid(pid, 0)
        os.close(ours)
        raise OSError(f"a rank cannot be started: {failed.decode()}")
    return pid, ours


def _become(
    argv: Sequence[str],
    env: Mapping[str, str],
    work: str,
    limits: Mapping[str, int],
    pipes: tuple[int, int],
    *,
    boxed: bool,
) -> None:
    """Be a rank, with the first of `pipes` for its output; what keeps it from that is told to the second."""
    output, tell = pipes
    try:
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(work)
        box.settle(limits, deaf=boxed)
        os.execve(argv[0], list(argv), env)  # noqa: S606  (the environment is made here)
    except BaseException as error:  # noqa: BLE001  (nothing of the parent's may go on in the child)
        os.write(tell, type(error).__name__.encode())
    finally:
        os._exit(127)


def _close(handle: int) -> None:
    try:
        os.close(handle)
    except OSError:  # it was the listing's own
        return


def now_ms() -> int:
    """Return the time in UTC milliseconds."""
    return time.time_ns() // 1_000_000
