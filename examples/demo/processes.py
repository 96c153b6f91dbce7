"""The demonstration's processes: its `hutong up`, what else belongs to it, and that nothing is left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from examples.demo.stage import Untrue

from hutong.server.up import PARENT

STOP_WITHIN_S = 75.0
UP_WITHIN_S = 90.0


@dataclass(frozen=True, slots=True)
class Proc:
    """One process, for good: a number that was given again has another start time."""

    pid: int
    started: str
    program: str


@dataclass(slots=True)
class Platform:
    """A running `hutong up`."""

    process: subprocess.Popen[str]
    data: Path
    api: str = ""
    gateway: str = ""

    def agent_pid(self, site: str) -> int | None:
        """Return the process of a site's agent now, as `up.json` tells it."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            told = json.loads((self.data / "up.json").read_text(encoding="utf-8"))
            pid: int | None = told["children"][f"agent-{site}"]["pid"]
            return pid
        return None


def start(data: Path) -> Platform:
    """Start `hutong up` on a data folder; it dies with us. `open` waits until it is up."""
    env = {**os.environ, "HUTONG_CONFIG": str(data / "profile.toml"), PARENT: str(os.getpid())}
    for name in ("HUTONG_URL", "HUTONG_TOKEN", "HUTONG_PROJECT", "HUTONG_HOME"):
        env.pop(name, None)
    command = [sys.executable, "-m", "hutong.main", "up", "--data", str(data), "--scenario", "demo"]
    command += ["--port", "0", "--gateway-port", "0", "--stop-jobs", "--json"]
    with (data / "up.log").open("a", encoding="utf-8") as log:
        # A session of its own: Ctrl-C is for us, and we stop it in order.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=env,
            start_new_session=True,
        )  # fmt: skip
    return Platform(process, data)


def await_up(platform: Platform) -> None:
    """Wait for the line that says that all is up."""
    out = platform.process.stdout
    line = out.readline() if out is not None else ""
    if not line:
        log = (platform.data / "up.log").read_text(encoding="utf-8")[-2_000:]
        raise Untrue(f"the platform did not come up; {platform.data}/up.log ends with:\n{log}")
    try:
        told = json.loads(line)
    except ValueError as error:
        raise Untrue(f"the platform said something else than expected: {line}") from error
    platform.api, platform.gateway = told["api"], told["gateway"]


def stop(platform: Platform) -> None:
    """Stop it, jobs and all, and wait for its end."""
    if platform.process.poll() is None:
        platform.process.send_signal(signal.SIGTERM)
        try:
            platform.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            platform.process.kill()
            platform.process.wait()
    if platform.process.stdout is not None:
        platform.process.stdout.close()


def ours(data: Path) -> list[Proc]:
    """Return every process that works in or with a data folder, but ourselves and what started us."""
    place, above = str(data).encode(), _ancestors()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            mine = place in (folder / "cmdline").read_bytes() or _works_in(folder, data)
            proc = _read(folder) if mine and int(folder.name) not in above else None
            if proc is not None:
                found.append(proc)
    return found


def _ancestors() -> set[int]:
    found, pid = set(), os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        try:
            rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        except OSError:
            break
        pid = int(rest.split()[1])
    return found


def ranks_of(job: str) -> dict[int, Proc]:
    """Return the processes of a job's ranks that run Python, by rank."""
    wanted = f"HUTONG_JOB_ID={job}".encode()
    found: dict[int, Proc] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            env = (folder / "environ").read_bytes().split(b"\0")
            if wanted not in env or b"train.py" not in (folder / "cmdline").read_bytes():
                continue
            said = dict(each.split(b"=", 1) for each in env if b"=" in each)
            proc = _read(folder)
            if proc is not None and b"LOCAL_RANK" in said:
                found[int(said[b"HUTONG_NODE_RANK"])] = proc
    return found


def _works_in(folder: Path, data: Path) -> bool:
    with contextlib.suppress(OSError):
        return (folder / "cwd").readlink().is_relative_to(data)
    return False


def _read(folder: Path) -> Proc | None:
    with contextlib.suppress(OSError):
        head, _, rest = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
        fields = rest.split()
        if fields[0] != "Z":
            return Proc(int(folder.name), fields[19], head.partition("(")[2])
    return None


def await_true(condition: Callable[[], object], within_s: float, what: str) -> None:
    """Wait until it holds; raises Untrue if it does not in time."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise Untrue(f"{what} within {within_s:.0f} s")
        time.sleep(0.1)
