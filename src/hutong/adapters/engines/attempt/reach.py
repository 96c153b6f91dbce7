"""The supervisor's end of the line to one rank: starts it through its follower, and ends as the rank ends.

What stands for a rank among the supervisor's children where ranks run elsewhere. Its environment holds the
rank's, each name behind RANK_, so that no variable of the user's works on this process. TERM is passed on as
TERM, QUIT as KILL. Standard library only.

    python -I -S reach.py FOLDER RANK PROGRAM [ARGUMENT ...]
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[4]))

from hutong.adapters.engines.attempt import files, line
from hutong.adapters.engines.attempt.launch import WRAP
from hutong.adapters.engines.attempt.line import Line, Lost

UNREACHED = 69
_CALL_S = 60
_STDOUT = 1


@dataclass(frozen=True, slots=True)
class Told:
    """What a follower says of the end of its rank; `fault` is why its node, not the rank, is to blame."""

    code: int
    fault: str
    oom: bool


class Reach:
    """One call."""

    def __init__(self, folder: Path, rank: int) -> None:
        self._folder = folder
        self._rank = rank
        self._asked: list[bytes] = []
        self._bell, ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(ring)
        signal.signal(signal.SIGTERM, lambda *_: self._asked.append(line.TERM))
        signal.signal(signal.SIGQUIT, lambda *_: self._asked.append(line.KILL))

    def run(self, argv: list[str], env: dict[str, str]) -> int:
        """Have the rank run; returns its code."""
        try:
            far = self._call()
            far.send(line.REQUEST, json.dumps({"argv": argv, "env": env}).encode())
            told = self._listen(far)
        except Lost as error:
            return self._fault("infra", f"lost its node: {error}", UNREACHED)
        code = told.code
        if told.fault:
            return self._fault("infra", told.fault, code or UNREACHED)
        if told.oom:
            return self._fault("oom", "was killed by the kernel for want of memory", code)
        return code

    def _call(self) -> Line:
        where = files.read_json(self._folder / files.follow_name(self._rank))
        token = files.read_json(self._folder / files.TOKEN)
        if where is None or token is None:
            raise Lost("there is no follower")
        try:
            sock = socket.create_connection((where["address"], where["port"]), timeout=_CALL_S)
        except OSError as error:
            raise Lost(str(error)) from error
        return line.call(sock, bytes.fromhex(token["token"]), self._rank, _CALL_S)

    def _listen(self, far: Line) -> Told:
        """Pass signals and output on until the rank's end; this process ends where nobody reads it."""
        watch = select.poll()
        watch.register(self._bell, select.POLLIN)
        watch.register(far.sock, select.POLLIN)
        watch.register(_STDOUT, 0)
        while True:
            ready = {handle for handle, _ in watch.poll()}
            if _STDOUT in ready:
                sys.exit(UNREACHED)
            if self._bell in ready:
                os.read(self._bell, 512)
            while self._asked:
                with contextlib.suppress(
                    Lost
                ):  # the rank may have ended meanwhile: then that is still to be read
                    far.send(self._asked.pop(0))
            if far.sock.fileno() not in ready:
                continue
            kind, payload = far.receive()
            if kind == line.EXIT:
                return Told(**json.loads(payload))
            view = memoryview(payload)
            while view:
                view = view[os.write(_STDOUT, view) :]

    def _fault(self, category: str, how: str, code: int) -> int:
        """Note that this end is not by the rank's own doing."""
        path = self._folder / files.fault_name(self._rank)
        files.write_json(path, {"category": category, "reason": f"rank {self._rank} {how}"})
        return code


def main() -> int:
    """Run the program of the command line as a rank."""
    folder, rank = Path(sys.argv[1]), int(sys.argv[2])
    env = {name.removeprefix(WRAP): value for name, value in os.environ.items() if name.startswith(WRAP)}
    return Reach(folder, rank).run(sys.argv[3:], env)


if __name__ == "__main__":
    sys.exit(main())
