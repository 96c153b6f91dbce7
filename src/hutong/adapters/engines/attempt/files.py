"""The small files of an attempt's folder: their names, and writes of which a crash leaves all or nothing.

Standard library only: the supervisor imports this without any installed package.
"""

import contextlib
import fcntl
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def exit_name(rank: int) -> str:
    """Return the name of the file that says how a rank ended."""
    return f"exit-{rank}.json"


def follow_name(rank: int) -> str:
    """Return the name of the file that says where a rank's follower listens."""
    return f"follow-{rank}.json"


def fault_name(rank: int) -> str:
    """Return the name of the file that says why the end of a far rank is not the user's doing."""
    return f"fault-{rank}.json"


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a file, or None if there is no such file."""
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write an object durably: whoever reads the file sees the old or the new one, whole."""
    fresh = _fresh(path, value)
    fresh.replace(path)
    sync_folder(path.parent)


def create_json(path: Path, value: dict[str, Any]) -> bool:
    """Write an object durably unless the file exists; False if it did: the first writer wins."""
    fresh = _fresh(path, value)
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        return False
    finally:
        fresh.unlink()
    sync_folder(path.parent)
    return True


def _fresh(path: Path, value: dict[str, Any]) -> Path:
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{next(_counter)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(json.dumps(value, separators=(",", ":")).encode())
        file.flush()
        os.fsync(file.fileno())
    return fresh


def sync_folder(folder: Path) -> None:
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


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold the attempt's lock for a while; yields False while a supervisor holds it."""
    handle = take_lock(folder)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def write_beat(handle: int, elapsed_ms: int) -> None:
    """Note how long the ranks have run, in place: one small write, never torn by a kill."""
    os.pwrite(handle, b"%016d\n" % elapsed_ms, 0)


def read_beat(folder: Path) -> int:
    """Return the last noted running time in milliseconds, 0 if there is none."""
    try:
        text = (folder / BEAT).read_bytes().strip()
    except FileNotFoundError:
        return 0
    return int(text) if text.isdigit() else 0


def read_pulse(folder: Path) -> tuple[int, bytes] | None:
    """Return what changes with each beat of the supervisor; None before the first."""
    try:
        with (folder / BEAT).open("rb") as beat:  # opened, so that a network file system asks its server
            return os.fstat(beat.fileno()).st_mtime_ns, beat.read(64)
    except FileNotFoundError:
        return None


def inside(base: Path, name: str) -> Path:
    """Return `base/name`; raises ValueError if, with links followed, it lies outside `base`."""
    path = base / name.removeprefix("~/")
    if not path.resolve().is_relative_to(base.resolve()) or ".." in Path(name).parts:
        raise ValueError(f"{name!r} leaves the work folder: use a relative path such as data/train")
    return path
