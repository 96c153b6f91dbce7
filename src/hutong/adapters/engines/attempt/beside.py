"""One command beside a rank: its terminal or its streams over one connection, in frames, until either ends.

A frame is a kind (one byte), a length (four) and that many bytes. The caller asks first (`ASK`), then sends
input, its end, and the size of its terminal; output, errors and the exit code come back. A connection that
ends takes the command and all that it started with it. Standard library only.

    python -I -S beside.py FD < {"argv": [..], "env": {..}, "work": .., "limits": {..}}
"""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[4]))

from hutong.adapters.engines.attempt.box import sealed, set_limits
from hutong.adapters.engines.attempt.launch import WRAP
from hutong.adapters.engines.attempt.subreaper import adopt_orphans
from hutong.adapters.engines.attempt.tree import below, end_all, is_box, send

INPUT, OUTPUT, ERRORS, EXIT, SIZE, END, ASK = range(7)
FRAME_MOST = 1 << 20
_HEAD = struct.Struct(">BI")
_CHUNK_BYTES = 1 << 16
_ASK_S = 10.0
_SEND_S = 600.0
_HANG_UP_S = 2.0
_DRAIN_S = 1.0
_NOT_FOUND = 127
_LEAD = ("/usr/bin/setsid", "--ctty", "--wait")


class Gone(Exception):
    """Nobody is at the other end."""


@dataclass(slots=True)
class Command:
    """What runs: where its input goes and where its output comes from, by descriptor."""

    child: "subprocess.Popen[bytes]"
    feed: int
    taps: dict[int, int]
    tty: bool


class Session:
    """One connection and its command."""

    def __init__(self, line: socket.socket, beside: dict[str, Any]) -> None:
        self._line = line
        self._beside = beside
        self._unread = b""
        self._early: list[tuple[int, bytes]] = []
        self._pending = b""
        self._fed = False
        self._bell, ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(ring, warn_on_full_buffer=False)

    def run(self) -> None:
        """Start what is asked for and stay with it; nothing of it is left when this returns."""
        self._line.settimeout(_ASK_S)
        asked = self._asked()
        self._line.settimeout(_SEND_S)
        try:
            command = self._start(asked)
        except (OSError, ValueError) as error:
            self._tell(ERRORS, f"hutong: the command cannot be started: {error}\n".encode())
            self._tell(EXIT, json.dumps({"code": _NOT_FOUND}).encode())
            return
        try:
            code = self._follow(command)
            self._tell(EXIT, json.dumps({"code": code}).encode())
        finally:
            _end()

    def _asked(self) -> dict[str, Any]:
        while not self._early:
            self._early = self._frames()
        kind, payload = self._early.pop(0)
        if kind != ASK:
            raise Gone
        asked: dict[str, Any] = json.loads(payload)
        return asked

    def _frames(self) -> list[tuple[int, bytes]]:
        """Read once, and return the frames that are whole now; raises Gone at the end of the connection."""
        try:
            piece = self._line.recv(_CHUNK_BYTES)
        except OSError as error:
            raise Gone from error
        if not piece:
            raise Gone
        self._unread += piece
        found = []
        while len(self._unread) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._unread)
            if length > FRAME_MOST:
                raise Gone
            if len(self._unread) < _HEAD.size + length:
                break
            found.append((kind, self._unread[_HEAD.size : _HEAD.size + length]))
            self._unread = self._unread[_HEAD.size + length :]
        return found

    def _tell(self, kind: int, payload: bytes) -> None:
        try:
            self._line.sendall(_HEAD.pack(kind, len(payload)) + payload)
        except OSError as error:
            raise Gone from error

    def _start(self, asked: dict[str, Any]) -> Command:
        argv = [str(part) for part in asked["argv"]]
        if not argv:
            raise ValueError("it is empty")
        env = dict(self._beside["env"])
        for name in ("TERM", f"{WRAP}TERM") if asked.get("term") else ():
            env |= {name: str(asked["term"])} if name in env else {}
        limits, tty, seal = self._beside["limits"], bool(asked.get("tty")), -1
        # A shell in a box can be the master of its terminal only if it leads a session of its own in there.
        boxed = self._beside["argv"][:1] == ["bwrap"]
        inside = _LEAD if tty and boxed else ()
        argv = [*self._beside["argv"], *inside, *argv]
        if boxed:
            argv, env, seal = sealed(argv, env)
        ours: dict[str, int] = {}
        if tty:
            feed, theirs = pty.openpty()
            _resize(feed, asked)
            ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
            taps = {feed: OUTPUT}
        else:
            pipes = {name: os.pipe2(os.O_CLOEXEC) for name in ("stdin", "stdout", "stderr")}
            ends = {name: pipe[0 if name == "stdin" else 1] for name, pipe in pipes.items()}
            ours = {name: pipe[1 if name == "stdin" else 0] for name, pipe in pipes.items()}
            feed, taps = ours["stdin"], {ours["stdout"]: OUTPUT, ours["stderr"]: ERRORS}
        try:
            child = subprocess.Popen(
                argv,
                cwd=self._beside["work"],
                env=env,
                start_new_session=True,
                pass_fds=() if seal < 0 else (seal,),
                preexec_fn=lambda: _settle(limits, tty and not boxed),  # noqa: PLW1509  (one thread here)
                **ends,  # type: ignore[call-overload]
            )
        finally:
            for handle in {*ends.values(), *(() if seal < 0 else (seal,))}:
                os.close(handle)
        for handle in (feed, *taps):
            os.set_blocking(handle, False)
        return Command(child, feed, taps, tty)

    def _follow(self, command: Command) -> int:
        """Carry frames until the command ends; returns its exit code as a shell has it."""
        code: int | None = None
        until = float("inf")
        for kind, payload in self._early:
            self._take(command, kind, payload)
        while code is None or (command.taps and time.monotonic() < until):
            self._wait(command, 0.05 if code is not None else 3600.0)
            if code is None and (result := _reap(command.child)) is not None:
                code = 128 - result if result < 0 else result
                until = time.monotonic() + _DRAIN_S
                end_all(lambda: below([os.getpid()]), lambda: None)
        return code

    def _wait(self, command: Command, most_s: float) -> None:
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        # While the command does not read, neither do we; that the other end is gone is heard all the same.
        poll.register(self._line, select.POLLRDHUP | (0 if self._pending else select.POLLIN))
        for tap in command.taps:
            poll.register(tap, select.POLLIN)
        if self._pending and command.feed >= 0:
            events = select.POLLOUT | (select.POLLIN if command.feed in command.taps else 0)
            poll.register(command.feed, events)
        for handle, happened in poll.poll(most_s * 1000):
            if handle == self._bell:
                _drain(handle)
            elif handle == self._line.fileno():
                if not happened & select.POLLIN:
                    raise Gone
                for kind, payload in self._frames():
                    self._take(command, kind, payload)
            else:
                if handle == command.feed and happened & (select.POLLOUT | select.POLLERR):
                    self._feed(command)
                if handle in command.taps and happened & (select.POLLIN | select.POLLHUP | select.POLLERR):
                    self._pass_on(command, handle)

    def _take(self, command: Command, kind: int, payload: bytes) -> None:
        if kind == INPUT and command.feed >= 0:
            self._pending += payload
            self._feed(command)
        elif kind == END:
            self._fed = True
            self._feed(command)
        elif kind == SIZE and command.tty:
            _resize(command.feed, json.loads(payload))

    def _feed(self, command: Command) -> None:
        """Write what input there is; a command that takes no more gets no more."""
        if command.feed < 0:
            self._pending = b""
            return
        try:
            while self._pending:
                self._pending = self._pending[os.write(command.feed, self._pending) :]
        except BlockingIOError:
            return
        except OSError:
            self._pending, self._fed = b"", True
        if self._fed and command.tty:
            self._fed, self._pending = False, b"\x04"
            with contextlib.suppress(OSError):
                self._pending = self._pending[os.write(command.feed, self._pending) :]
        elif self._fed:
            os.close(command.feed)
            command.feed = -1

    def _pass_on(self, command: Command, tap: int) -> None:
        try:
            chunk = os.read(tap, _CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:  # a terminal whose last user has gone says so by an error
            chunk = b""
        if chunk:
            self._tell(command.taps[tap], chunk)
            return
        del command.taps[tap]
        if tap != command.feed:
            os.close(tap)


def _reap(child: "subprocess.Popen[bytes]") -> int | None:
    """Wait for the dead; return how the command ended, once it has."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child.pid:
            found = child.returncode = os.waitstatus_to_exitcode(status)


def _end() -> None:
    """End what is left: told that the line is down, and killed if it does not heed that."""

    def reap() -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    me = os.getpid()
    send([pid for pid in below([me]) if not is_box(pid)], signal.SIGHUP)
    deadline = time.monotonic() + _HANG_UP_S
    while below([me]) and time.monotonic() < deadline:
        reap()
        time.sleep(0.02)
    end_all(lambda: below([me]), reap)


def _settle(limits: dict[str, int], tty: bool) -> None:
    """Between fork and exec: bound the child, and give it its terminal."""
    if tty:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    set_limits(limits)
    Path("/proc/self/oom_score_adj").write_text("500")


def _resize(terminal: int, size: dict[str, Any]) -> None:
    rows, columns = (min(max(int(size.get(name, 0)), 1), 10_000) for name in ("rows", "columns"))
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _drain(handle: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(handle, 4096):
            pass


def main() -> None:
    """Serve the connection whose descriptor is the first argument."""
    beside = json.load(sys.stdin)
    adopt_orphans()
    with socket.socket(fileno=int(sys.argv[1])) as line, contextlib.suppress(Gone, ValueError, KeyError):
        Session(line, beside).run()


if __name__ == "__main__":
    main()
