"""Process trees: who descends from whom, who carries an attempt's key, and how to end them all.

Standard library only, and little of it: each job's supervisor pays for what is imported here.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable
else:
    import _signal as signal  # without the enums of `signal`


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(path: str) -> bytes:
    """Return a file of /proc, nothing if its process has gone or is not ours to look at."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def _parents() -> dict[int, int]:
    """Return the parent of every living process; zombies are left out, they need only be waited for."""
    found = {}
    for pid in _pids():
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        if fields and fields[0] not in {b"Z", b"X"}:
            found[pid] = int(fields[1])
    return found


def cpu_ms(root: int) -> int:
    """Return the CPU time of a process's living descendants and of those children that they waited for."""
    ticks = 0
    for pid in below([root]):
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        ticks += sum(int(each) for each in fields[11:15])
    return ticks * 1000 // os.sysconf("SC_CLK_TCK")


def childless() -> bool:
    """True if this process has no child, not even a dead one; if it adopts orphans, nothing is below it."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def below_us() -> list[int]:
    """Return every living descendant of this process, which must adopt orphans."""
    return [] if childless() else below([os.getpid()])


def below(roots: Iterable[int]) -> list[int]:
    """Return every living descendant of the given processes, not the processes themselves."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    ahead = list(roots)
    while ahead:
        mine = children.get(ahead.pop(), [])
        found += mine
        ahead += mine
    return found


def carrying(key: str) -> list[int]:
    """Return the processes that have `HUTONG_KEY=<key>` in their environment, and their descendants."""
    mark = b"HUTONG_KEY=" + key.encode()
    found = [pid for pid in _pids() if mark in _read(f"/proc/{pid}/environ").split(b"\0")]
    return sorted({*found, *below(found)} - {os.getpid()})


def is_box(pid: int) -> bool:
    """True for the first process of a PID namespace: to send it TERM would be to send KILL to the rest."""
    lines = _read(f"/proc/{pid}/status").splitlines()
    numbers = next((line.split()[1:] for line in lines if line.startswith(b"NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == b"1"


def send(pids: Iterable[int], number: int) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def end_all(find: Callable[[], list[int]], reap: Callable[[], None], within_s: float = 10.0) -> bool:
    """KILL what `find` finds until it finds nothing; False if something is left after `within_s`.

    `reap` is called after each round, so that a subreaper can wait for its dead.
    """
    deadline = time.monotonic() + within_s
    pause_s = 0.001
    while pids := find():
        send(pids, signal.SIGKILL)
        reap()
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)
    reap()
    return True


def oom_kills() -> int:
    """Return how many processes the kernel of this machine has killed for want of memory."""
    lines = _read("/proc/vmstat").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(b"oom_kill ")), 0)
