"""Daemons of a testbed: reserved ports, processes in the foreground that end by their own id, deadlines."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

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


class Ports:
    """TCP ports kept for one testbed until `release`.

    A port that was merely free can be taken before the daemon binds it, above all by another test worker.
    So each is held by a socket that is bound and does not listen; a daemon that sets SO_REUSEADDR, as servers
    do, can still listen there, and can do so again after a crash.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self) -> int:
        """Return a port that is this testbed's own."""
        held = socket.socket()
        held.bind(("", 0))  # without SO_REUSEADDR, so that no two testbeds get the same
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.append(held)
        return int(held.getsockname()[1])

    def release(self) -> None:
        """Let the ports go."""
        for held in self._held:
            held.close()
        self._held.clear()


def listens(address: str, port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


@dataclass(slots=True)
class Daemon:
    """A process in the foreground, in a session of its own; it dies with the thread that started it."""

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
                # The signal comes last: a change of user would clear it.
                [*become, "setpriv", "--pdeathsig", "TERM", *map(str, command)],
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


def marked(marker: str) -> set[int]:
    """Return the ids of processes with `marker` (NAME=value) in their environment, and of all under them."""
    wanted = marker.encode()
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        try:
            parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.add(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is another user's
    grown = True
    while grown:
        young = {pid for pid, parent in parents.items() if parent in found} - found
        found |= young
        grown = bool(young)
    return found - {os.getpid()}


def kill_marked(*markers: str, seconds: float = 10) -> None:
    """Kill every process that `marked` finds, until none is left."""

    def none_left() -> bool:
        left = set().union(*map(marked, markers))
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not left

    wait_until(none_left, seconds=seconds, what=f"processes of {', '.join(markers)} end")
