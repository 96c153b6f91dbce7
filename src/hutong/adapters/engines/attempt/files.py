"""The small files of an attempt's folder: their names, and writes of which a crash leaves all or nothing.

Standard library only, and little of it: each job's supervisor pays for what is imported here.
"""

from __future__ import annotations

import itertools
import os

from hutong.adapters.engines.attempt import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    StrPath = str | os.PathLike[str]

ORDER = "order.json"
BEGAN = "began.json"
STARTED = "started.json"
END = "end.json"
STOP = "stop.json"
LOCK = "lock"
BEAT = "beat"
WORK = "work"
INPUTS = "inputs"
STAGED = "staged.json"
TEMP = "tmp"
NOTES = "supervisor.log"
SECRETS = "secrets.json"
RELAY = "relay.json"  # where the attempt's relay listens, and the token that opens it
RELAY_ASK = "relay.ask"
RELAY_SOCKET = "relay.sock"
CARRIED = ".hutong-carried.json"
SCRIPT = "job.sh"
TOKEN = "token.json"  # noqa: S105  (the name of a file)
LEFT = "left.json"  # the supervisor has gone, in order, and leaves it to the batch system to say why

_counter = itertools.count()


def log_name(rank: int) -> str:
    """Return the name of a rank's log; rank -1 is staging and setup."""
    return "setup.log" if rank < 0 else f"rank-{rank}.log"


def log_rank(name: str) -> int | None:
    """Return the rank whose log bears this name, or None if it is no log of a rank."""
    if name == "setup.log":
        return -1
    body = name.removeprefix("rank-").removesuffix(".log")
    return int(body) if name == f"rank-{body}.log" and body.isdigit() else None


def code_name(rank: int) -> str:
    """Return the name of the file into which a rank on another node writes its exit code."""
    return f"code-{rank}"


def read_code(path: Path) -> int | None:
    """Return the exit code that a rank has written down itself, None if it did not come to it."""
    try:
        text = path.read_bytes().strip()
    except FileNotFoundError:
        return None
    return int(text) if text.isdigit() else None


def exit_name(rank: int) -> str:
    """Return the name of the file that says how a rank ended."""
    return f"exit-{rank}.json"


def follow_name(rank: int) -> str:
    """Return the name of the file that says where a rank's follower listens."""
    return f"follow-{rank}.json"


def fault_name(rank: int) -> str:
    """Return the name of the file that says why the end of a far rank is not the user's doing."""
    return f"fault-{rank}.json"


def our_line(text: str) -> bytes:
    """Return a line of our own as it stands in a log."""
    return b"[hutong] " + text.encode() + b"\n"


def write_started(folder: StrPath, started_ms: int, port: int, hosts: Sequence[str]) -> None:
    """Write that the ranks of an attempt run."""
    write_json(os.path.join(folder, STARTED), {"started_ms": started_ms, "port": port, "hosts": hosts})


def end_record(
    order: Mapping[str, Any],
    verdict: tuple[str, str, str],
    times_ms: tuple[int, int, int],
    ran_ms: int,
    exits: Sequence[Mapping[str, int]],
) -> dict[str, Any]:
    """Return the end of an attempt; `times_ms`: when it began, its ranks started, and it ended."""
    outcome, category, reason = verdict
    began_ms, started_ms, ended_ms = times_ms
    return {
        "attempt": order["attempt"],
        "outcome": outcome,
        "category": category,
        "reason": reason[:2000],
        "started_ms": started_ms,
        "ended_ms": max(ended_ms, began_ms),
        "ran_ms": ran_ms,
        "exits": exits,
    }


def read_json(path: StrPath) -> dict[str, Any] | None:
    """Return the object in a file; None if there is no such file, or a power cut left it empty."""
    try:
        with open(path, "rb", buffering=0) as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not text:
        return None
    value: dict[str, Any] = codec.loads(text)
    return value


def write_json(path: StrPath, value: dict[str, Any], *, durable: bool = True) -> None:
    """Write an object: whoever reads the file sees the old or the new one, whole.

    What is not `durable` outlives every kill, but perhaps not a power cut: two syncs less, of which each job
    would wait for a disk.
    """
    fresh = _fresh(path, value, durable=durable)
    try:
        os.replace(fresh, path)
    except OSError:
        drop(fresh)
        raise
    if durable:
        sync_folder(os.path.dirname(path))


def create_json(path: StrPath, value: dict[str, Any]) -> bool:
    """Write an object durably unless the file exists; False if it did: the first writer wins."""
    fresh = _fresh(path, value, durable=True)
    try:
        os.link(fresh, path)
    except FileExistsError:
        # NFS repeats a request whose answer was lost: then the file that is in the way is our own.
        if os.stat(fresh).st_nlink != 2:
            return False
    finally:
        os.unlink(fresh)
    sync_folder(os.path.dirname(path))
    return True


def _fresh(path: StrPath, value: dict[str, Any], *, durable: bool) -> str:
    folder, name = os.path.split(path)
    fresh = os.path.join(folder, f".{name}.{os.getpid()}.{next(_counter)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(codec.dumps(value))
            if durable:
                file.flush()
                os.fsync(file.fileno())
    except OSError:  # a full disk must not fill up with what could not be written
        drop(fresh)
        raise
    return fresh


def there(path: StrPath) -> bool:
    """Return whether there is such a file or folder."""
    return os.path.exists(path)


def drop(path: StrPath) -> None:
    """Delete a file, if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def sync_folder(folder: StrPath) -> None:
    """Make the entries of a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def take_lock(folder: Path) -> int | None:
    """Take the attempt's lock and return its descriptor, or None while a supervisor holds it.

    The descriptor is closed on exec, so no process of the job can keep the lock alive.
    """
    import fcntl  # a batch system's supervisor takes no lock

    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
        os.close(handle)
        raise
    return handle


class locked:  # noqa: N801  (used as `with files.locked(...)`)
    """Hold the attempt's lock for a while; gives False while a supervisor holds it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle: int | None = None

    def __enter__(self) -> bool:
        self._handle = take_lock(self._folder)
        return self._handle is not None

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)


def look_afresh(folder: StrPath) -> None:
    """Make a change in a folder, so that a network file system shows what others have put there."""
    probe = os.path.join(folder, f".look.{os.getpid()}.{next(_counter)}")
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    os.unlink(probe)


def write_beat(folder: StrPath, elapsed_ms: int, pulse: int) -> None:
    """Note how long the ranks have run, in place: one small write, never torn by a kill.

    `pulse` is another number each time. The file is closed so that other nodes see it at once.
    """
    handle = os.open(os.path.join(folder, BEAT), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(handle, b"%016d %010d\n" % (elapsed_ms, pulse), 0)
    finally:
        os.close(handle)


def read_pulse(folder: Path) -> bytes:
    """Return what changes while a supervisor lives, nothing if it has not come to it."""
    try:
        return (folder / BEAT).read_bytes()
    except FileNotFoundError:
        return b""


def read_beat(folder: Path) -> int:
    """Return the last noted running time in milliseconds, 0 if there is none."""
    first = read_pulse(folder).split()[:1]
    return int(first[0]) if first and first[0].isdigit() else 0


def within(base: StrPath, name: str) -> str:
    """Return `base/name`; raises ValueError if, with links followed, it lies outside `base`."""
    name = name.removeprefix("~/")
    path, home = os.path.join(base, name), os.path.realpath(base)
    if ".." in name.split("/") or not f"{os.path.realpath(path)}/".startswith(f"{home}/"):
        raise ValueError(f"{name!r} leaves the work folder: use a relative path such as data/train")
    return path


def inside(base: Path, name: str) -> Path:
    """Return what `within` does, as a path."""
    return type(base)(within(base, name))
