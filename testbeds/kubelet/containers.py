"""Containers of the Kubernetes bed: a command under bubblewrap, with mounts, a log in the CRI format, an end.

Real: process id 1 of a PID namespace (which ignores TERM unless it handles it), host name, mounts,
environment, exit codes. Shared with the machine: files outside mounts (there is no image), network, users,
CPU and memory.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CHUNK = 16_384  # bytes after which the CRI cuts a line in parts
_START_FAILED = 128  # what runtimes report for a command that cannot be run


@dataclass(frozen=True)
class Mount:
    """`source` of this machine is seen at `target` in the container."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Ended:
    """How a container ended, in the words of `containerStatuses[].state.terminated`."""

    exit_code: int
    reason: str
    message: str = ""


@dataclass(frozen=True)
class Recipe:
    """All that a container is made of."""

    command: Sequence[str]
    env: Mapping[str, str]
    hostname: str
    log: Path
    mounts: Sequence[Mount] = ()
    folder: str = "/"


def utc(time_ns: int) -> str:
    """RFC 3339 with nanoseconds, as in container logs."""
    whole, part = divmod(time_ns, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{part:09d}Z"


def _expose(path: Path) -> list[str]:
    """Show one entry of this machine's file system as it is."""
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--dev-bind", str(path), str(path)]


def _rooms(targets: Iterable[Path]) -> list[Path]:
    """Return the folders of this machine in which the container alone needs a mount point."""
    known, found = set(targets), set()
    for target in known:
        parent = target
        while not parent.exists():
            parent = parent.parent
        if parent not in (target, Path("/")) and not known & {parent, *parent.parents}:
            found.add(parent)
    return sorted(found)


def box_arguments(recipe: Recipe) -> list[str]:
    """Return bubblewrap's arguments; a mount point that this machine lacks is made in the container only."""
    argv = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-uts", "--hostname", recipe.hostname]
    argv.append("--as-pid-1")
    for entry in sorted(Path("/").iterdir()):
        argv += ["--proc", "/proc"] if entry.name == "proc" else _expose(entry)
    mounts = {Path(os.path.realpath(mount.target)): mount for mount in recipe.mounts}
    for room in _rooms(mounts):
        argv += ["--tmpfs", str(room)]
        for entry in sorted(room.iterdir()):
            argv += _expose(entry)
    for target, mount in sorted(mounts.items()):
        argv += ["--ro-bind" if mount.read_only else "--bind", str(mount.source), str(target)]
    return [*argv, "--chdir", recipe.folder]


@dataclass
class Container:
    """One run of one container."""

    recipe: Recipe
    _inner: int = 0
    _outer: asyncio.subprocess.Process | None = None
    _asked: int = 0

    async def run(self) -> Ended:
        """Run it to its end; the log is complete when this returns."""
        if not self.recipe.command:
            return Ended(_START_FAILED, "StartError", "no command specified")
        told, tell = os.pipe()
        try:
            self._outer = await asyncio.create_subprocess_exec(
                *box_arguments(self.recipe),
                *("--info-fd", str(tell), "--", *self.recipe.command),
                env=dict(self.recipe.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(tell,),
                start_new_session=True,
            )
        finally:
            os.close(tell)
        self._inner = await asyncio.to_thread(_read_child, told)
        if self._asked:
            self.send(signal.Signals(self._asked))
        output, errors = self._outer.stdout, self._outer.stderr
        if output is None or errors is None:
            raise RuntimeError("the container was started without pipes")
        with self.recipe.log.open("ab", buffering=0) as log:
            await asyncio.gather(_stamp(output, b"stdout", log.write), _stamp(errors, b"stderr", log.write))
        code = await self._outer.wait()
        refusal = self._refusal() if code == 1 else ""
        if refusal:
            return Ended(_START_FAILED, "StartError", refusal)
        code = code if code >= 0 else 128 - code
        return Ended(code, "Completed" if code == 0 else "Error")

    def _refusal(self) -> str:
        """Why bubblewrap could not start the command, taken out of the log; nothing if the command ran."""
        _, found, message = self.recipe.log.read_bytes()[:_CHUNK].partition(b" stderr F bwrap: ")
        if not found or self.recipe.log.read_bytes().count(b"\n") != 1:
            return ""
        os.truncate(self.recipe.log, 0)
        return message.decode(errors="replace").strip()

    def send(self, sign: signal.Signals) -> None:
        """Signal its first process; KILL takes all others with it."""
        self._asked = sign
        if self._outer is None or self._outer.returncode is not None or not self._inner:
            return
        try:
            os.kill(self._inner, sign)
        except ProcessLookupError:
            return


def _read_child(told: int) -> int:
    """Read the process id of the container's first process; 0 if bubblewrap could not make it."""
    with os.fdopen(told, "rb", buffering=0) as source:
        text = b""
        while b"}" not in text:
            more = source.read(_CHUNK)
            if not more:
                return 0
            text += more
    return int(json.loads(text)["child-pid"])


async def _stamp(source: asyncio.StreamReader, stream: bytes, write: Callable[[bytes], int | None]) -> None:
    """Copy lines as `<time> <stream> F <text>`; a piece that is not the end of its line has P for F.

    No two lines of a stream have the same time: readers resume by it.
    """
    rest, last = b"", 0
    while True:
        chunk = await source.read(_CHUNK)
        *lines, rest = (rest + chunk).split(b"\n")
        pieces = [(b"F", line) for line in lines]
        if rest and (not chunk or len(rest) >= _CHUNK):
            pieces.append((b"P", rest))
            rest = b""
        text = b""
        for kind, piece in pieces:
            last = max(time.time_ns(), last + 1)
            text += b" ".join([utc(last).encode(), stream, kind, piece]) + b"\n"
        if text:
            write(text)
        if not chunk:
            return
