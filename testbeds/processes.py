"""Processes of a testbed: its folder, daemons in the foreground, waiting with a deadline."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from testbeds import reaper
from testbeds.ports import Ports

SEARCH_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
NOBODY = 65534
_STEP_S = 0.02
_STOP_S = 15
_LOG_BYTES = 3000


class Missing(RuntimeError):
    """A program is not installed; the message says how to install it."""


class NotReady(RuntimeError):
    """A daemon died or did not become ready in time; the message ends with what it last wrote."""


def require(packages: Mapping[str, str]) -> None:
    """Check that programs and plugins (name -> Debian package) are there; raise `Missing` otherwise.

    A name that ends with .so is a plugin of Slurm.
    """
    absent = [name for name in packages if not _installed(name)]
    if absent:
        line = "apt-get install --no-install-recommends " + " ".join(sorted(set(packages.values())))
        raise Missing(f"missing: {', '.join(absent)}; install with: {line}")


def _installed(name: str) -> bool:
    if name.endswith(".so"):
        places = ("lib/*/slurm-wlm", "lib/slurm", "lib64/slurm")
        return any(found for place in places for found in Path("/usr").glob(f"{place}/{name}"))
    return shutil.which(name, path=SEARCH_PATH) is not None


def become_user(user_id: int) -> list[str]:
    """Return the words that, before a command, run it as that user and as nobody's group; root only."""
    return ["setpriv", f"--reuid={user_id}", f"--regid={NOBODY}", "--clear-groups"]


def listens(address: str, port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


@dataclass(slots=True)
class Daemon:
    """A process in the foreground, in a session of its own."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def spawn(
        cls,
        name: str,
        command: Iterable[str | Path],
        *,
        env: Mapping[str, str],
        log: Path,
        cwd: Path,
        user_id: int | None = None,
    ) -> "Daemon":
        """Start `command`, as another user if named (needs root); its output is appended to `log`."""
        become = [] if user_id is None else become_user(user_id)
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*become, *map(str, command)],
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(name, process, log)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End it and its children at once (SIGKILL), as a crash would."""
        if self.alive:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait."""
        if self.alive:
            self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def last_words(self) -> str:
        """Return the end of its log."""
        return self.log.read_bytes()[-_LOG_BYTES:].decode(errors="replace") if self.log.exists() else ""


def wait_until(
    condition: Callable[[], bool], *, seconds: float, what: str, daemons: Iterable[Daemon] = ()
) -> None:
    """Return once `condition` holds; `NotReady` after `seconds`, or at once when one of `daemons` is dead."""
    watched = list(daemons)
    deadline = time.monotonic() + seconds
    while not condition():
        dead = [daemon for daemon in watched if not daemon.alive]
        if dead:
            words = "\n".join(
                f"{each.name} ended with {each.process.returncode}: {each.last_words()}" for each in dead
            )
            raise NotReady(f"{what}: {words}")
        if time.monotonic() > deadline:
            words = "\n".join(f"{each.name}: {each.last_words()}" for each in watched)
            raise NotReady(f"{what}: not within {seconds} s\n{words}")
        time.sleep(_STEP_S)


class Household:
    """A testbed's temporary folder and all processes that belong to it.

    When the owner ends without `close`, however it ends, a reaper kills the processes and removes the folder.
    """

    MARK = "HUTONG_TESTBED"

    def __init__(self, name: str, *marks: str) -> None:
        # Unix sockets live here, and their paths end at 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.folder.chmod(0o755)
        (self.folder / "log").mkdir()
        self.ports = Ports()
        self._daemons: dict[str, Daemon] = {}
        self._marks = [f"{self.MARK}={self.folder}", *(mark.format(folder=self.folder) for mark in marks)]
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__, str(self.folder), *self._marks],
            env={},  # our own mark, if we bear one, would have another reaper end this one
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def daemons(self) -> list[Daemon]:
        """All daemons that were started and not taken away."""
        return list(self._daemons.values())

    def spawn(
        self, name: str, command: Iterable[str | Path], env: Mapping[str, str], *, user_id: int | None = None
    ) -> Daemon:
        """Start a daemon; its output goes to `log/<name>.log`."""
        self._daemons[name] = Daemon.spawn(
            name,
            command,
            env={**env, self.MARK: str(self.folder)},
            log=self.folder / "log" / f"{name}.log",
            cwd=self.folder,
            user_id=user_id,
        )
        return self._daemons[name]

    def take(self, name: str) -> Daemon:
        """Return a daemon that the caller ends."""
        return self._daemons.pop(name)

    def processes(self) -> set[int]:
        """Return the ids of all processes that belong to the testbed, whatever started them."""
        return reaper.marked(self._marks)

    def close(self) -> None:
        """Kill all, remove the folder, let the ports go. A second call does nothing."""
        for daemon in reversed(self.daemons):
            daemon.kill()
        self._daemons.clear()
        left = reaper.kill_marked(self._marks)
        self.ports.release()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._reaper.communicate()
        if left:
            raise NotReady(f"processes {sorted(left)} of {self.folder.name} do not end")
