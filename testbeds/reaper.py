"""Ends a testbed whose owner is gone: kills what bears its marks and removes its folder.

The owner runs this file with a pipe as stdin and keeps the other end, which closes when the owner ends in any
way. A mark is NAME=value in the environment, which daemons pass on to what they start.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

_STEP_S = 0.02


def marked(marks: Iterable[str]) -> set[int]:
    """Return the ids of processes with one of the marks in their environment, and of all under them."""
    wanted = {mark.encode() for mark in marks}
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        try:
            parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if not wanted.isdisjoint((entry / "environ").read_bytes().split(b"\0")):
                found.add(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is another user's
    while young := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= young
    return found - {os.getpid()}


def kill_marked(marks: Iterable[str], *, seconds: float = 10) -> set[int]:
    """Kill every process with one of the marks until none is left; return those that do not end."""
    marks = list(marks)
    deadline = time.monotonic() + seconds
    while (left := marked(marks)) and time.monotonic() < deadline:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(_STEP_S)
    return left


def main() -> None:
    """Wait for the end of stdin, then clean up: FOLDER MARK..."""
    folder, *marks = sys.argv[1:]
    sys.stdin.buffer.read()
    kill_marked(marks)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
