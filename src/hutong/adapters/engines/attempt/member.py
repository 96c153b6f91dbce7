"""One node of an attempt where all nodes start the same command: it follows as its rank, the first leads too.

The first waits for the others before anything begins, and so while nodes are still being found for them.
An attempt of one node needs no follower. Standard library only.

    python -I -S member.py FOLDER RANK ADDRESS
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[4]))

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.attempt.launch import met
from hutong.adapters.engines.attempt.subreaper import adopt_orphans

FAILED = 70
TOLD = 128 + signal.SIGTERM
_LOOK_S = 0.5
_CALL_S = 5.0


class Lead:
    """The first node of a gang: a follower and the supervisor, side by side."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self._folder = folder
        self._nodes = nodes
        self._children: list[subprocess.Popen[bytes]] = []
        self._told = False
        signal.signal(signal.SIGTERM, self._heed)

    def run(self, address: str) -> int:
        """Return the supervisor's code, once both have ended."""
        follower = self._start("follow.py", "0", address)
        while not self._all_there():
            if self._told or self._over() or follower.poll() is not None:
                follower.terminate()
                return follower.wait() or (TOLD if self._told else 0)
            time.sleep(_LOOK_S)
        code = self._start("batch.py").wait()
        follower.wait()  # it ends as the attempt does, or as its line does
        return code

    def _all_there(self) -> bool:
        """Return whether every follower listens; one whose node was taken away leaves its file behind."""
        where = met(self._folder, self._nodes)
        return len(where) == self._nodes and all(map(_listens, where))

    def _start(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        path = Path(__file__).resolve().with_name(program)
        argv = [sys.executable, "-I", "-S", str(path), str(self._folder), *arguments]
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        self._children.append(child)
        return child

    def _over(self) -> bool:
        return any((self._folder / name).exists() for name in (files.BEGAN, files.END, files.STOP))

    def _heed(self, number: int, _: object) -> None:
        """Pass TERM on. The supervisor alone, if it is there: it has its ranks end in order."""
        self._told = True
        os.kill(self._children[-1].pid, number)


def _listens(where: dict[str, Any]) -> bool:
    try:
        socket.create_connection((where["address"], where["port"]), timeout=_CALL_S).close()
    except OSError:
        return False
    return True


def main() -> int:
    """Be the node whose rank is the second argument."""
    folder, rank, address = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    order = files.read_json(folder / files.ORDER)
    if order is None:
        sys.stderr.write(f"{folder} holds no order\n")
        return FAILED
    nodes: int = order["spec"]["num_nodes"]
    if nodes > 1 and rank == "0":
        adopt_orphans()
        return Lead(folder, nodes).run(address)
    program, rest = ("batch.py", ()) if nodes == 1 else ("follow.py", (rank, address))
    if nodes == 1 and not (folder / files.BEGAN).exists():
        # No follower: only where callers from outside find the job's relay.
        where = {"address": address, "port": 0, "pid": os.getpid()}
        files.write_json(folder / files.follow_name(0), where)
    path = Path(__file__).resolve().with_name(program)
    return os.execv(sys.executable, [sys.executable, "-I", "-S", str(path), str(folder), *rest])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
