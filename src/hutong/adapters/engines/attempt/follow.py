"""A follower: runs one rank on its node for a supervisor elsewhere, where no launcher such as srun does.

It says where it listens, takes one call, and lives as long as that line: a supervisor that is gone, or an
attempt that has its end, leaves nothing running. Standard library only.

    python -I -S follow.py FOLDER RANK [ADDRESS]

ADDRESS is where other nodes reach this one, by default what its own name stands for. It ends with the rank's
code, or 75 if nobody called.
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[4]))

from hutong.adapters.engines.attempt import files, line, tree
from hutong.adapters.engines.attempt.gang import Exit, Gang, Start
from hutong.adapters.engines.attempt.line import Line, Lost
from hutong.adapters.engines.attempt.subreaper import adopt_orphans, go_on_guarded

NOBODY_CALLED = 75
NOT_STARTED = 126
_TICK_S = 0.1
_LOOK_S = 1.0
_MEET_S = 3.0
_READ_BYTES = 4096


class Wire:
    """The output of a rank on its way to the supervisor."""

    def __init__(self, far: Line) -> None:
        self._line = far
        self.lost = ""

    def write(self, chunk: bytes) -> None:
        """Send output; where nobody takes it any more it is dropped, and the rank ended."""
        if not self.lost:
            try:
                self._line.send(line.OUTPUT, chunk)
            except Lost as error:
                self.lost = str(error)

    def close(self) -> None:
        """Nothing is held back."""


class Follower:
    """One rank from the call to its end."""

    def __init__(self, folder: Path, rank: int, order: dict[str, Any], token: bytes) -> None:
        self._folder = folder
        self._rank = rank
        self._order = order
        self._token = token
        self._told = ""
        self._asked: list[bytes] = []
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._heed)

    def run(self, address: str) -> int:
        """Wait for the call and do what it asks; returns the rank's code."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.create_server((address, 0), family=family) as listener:
            where = {"address": address, "port": listener.getsockname()[1], "pid": os.getpid()}
            files.write_json(self._folder / files.follow_name(self._rank), where)
            far = self._wait(listener)
        if far is None:
            return NOBODY_CALLED
        with far.sock:
            return self._serve(far)

    def _wait(self, listener: socket.socket) -> Line | None:
        """Return the line to the one who knows the token; None once nobody will call."""
        until = time.monotonic() + float(self._order["launcher"]["call_s"])
        listener.settimeout(_LOOK_S)
        while time.monotonic() < until and not self._told and not self._over():
            try:
                sock, _ = listener.accept()
            except TimeoutError:
                continue
            try:
                return line.answer(sock, self._token, self._rank, _MEET_S)
            except Lost as error:
                sys.stderr.write(f"a call was refused: {error}\n")
                sock.close()
        return None

    def _over(self) -> bool:
        """Return whether the attempt has ended, or will never begin."""
        began, end, stop = ((self._folder / name).exists() for name in (files.BEGAN, files.END, files.STOP))
        return end or (stop and not began)

    def _serve(self, far: Line) -> int:
        wire = Wire(far)
        ooms = tree.oom_kills()
        gang = Gang(lambda _: wire, lambda _: None)
        try:
            gang.launch(self._start(far))
        except Lost:
            return NOBODY_CALLED
        except OSError as error:
            _answer(far, NOT_STARTED, fault=f"cannot be started on its node: {error}")
            return NOT_STARTED
        gang.listen(far.sock.fileno(), lambda _: self._hear(far, wire, gang))
        ended = self._follow(gang, wire)
        if not gang.end(0):
            sys.stderr.write("a process of the rank does not die: it waits for a device or a file system\n")
        # Also a rank that ends well when told to has most likely not done its work.
        fault = f"was told to end by its node ({self._told})" if self._told else ""
        _answer(far, ended.code, fault=fault, oom=ended.signal == signal.SIGKILL and tree.oom_kills() > ooms)
        return ended.code

    def _start(self, far: Line) -> Start:
        kind, payload = far.receive()
        if kind != line.REQUEST:
            raise Lost("the call asks for nothing")
        asked = json.loads(payload)
        config, work = self._order["config"], self._folder / files.WORK
        inherited = tuple(self._order["launcher"]["inherited"])
        env = {name: value for name, value in os.environ.items() if name.startswith(inherited)} | asked["env"]
        return Start(
            self._rank, asked["argv"], env, work, work, config["limits"], asked["argv"][0] == "bwrap"
        )

    def _follow(self, gang: Gang, wire: Wire) -> Exit:
        """Stay with the rank until it ends, of itself or because it must."""
        deadline = float("inf")
        look = time.monotonic() + _LOOK_S
        while self._rank not in gang.exits:
            now = time.monotonic()
            if line.TERM in self._asked:
                self._asked.clear()
                gang.ask()
            if self._told and deadline == float("inf"):
                gang.ask()
                deadline = now + float(self._order["spec"]["grace_s"])
            if now > look:
                look = now + _LOOK_S
                if (self._folder / files.END).exists():
                    wire.lost = wire.lost or "the attempt has its end"
            if wire.lost or line.KILL in self._asked or now > deadline:
                gang.end(0)
            gang.pump(_TICK_S)
        return gang.exits[self._rank]

    def _hear(self, far: Line, wire: Wire, gang: Gang) -> None:
        try:
            self._asked.append(far.receive()[0])
        except Lost as error:
            wire.lost = wire.lost or str(error)
            gang.ignore(far.sock.fileno())

    def _heed(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self._told = signal.Signals(number).name


def _answer(far: Line, code: int, *, fault: str = "", oom: bool = False) -> None:
    """Tell the supervisor how it ended, if there is one, and let it hang up first: else it might not hear."""
    told = json.dumps({"code": code, "fault": fault, "oom": oom}).encode()
    try:
        far.send(line.EXIT, told)
        far.sock.settimeout(_MEET_S)
        while far.sock.recv(_READ_BYTES):
            pass
    except OSError as error:
        sys.stderr.write(f"the end, code {code}, may not have been heard: {error}\n")


def main() -> int:
    """Follow the attempt whose folder is the first argument, as the rank that is the second."""
    folder, rank = Path(sys.argv[1]), int(sys.argv[2])
    order, token = files.read_json(folder / files.ORDER), files.read_json(folder / files.TOKEN)
    if order is None or token is None:
        sys.stderr.write(f"{folder} holds no order for a follower\n")
        return NOBODY_CALLED
    go_on_guarded()
    adopt_orphans()
    address = sys.argv[3] if len(sys.argv) > 3 else socket.gethostbyname(socket.gethostname())
    return Follower(folder, rank, order, bytes.fromhex(token["token"])).run(address)


if __name__ == "__main__":
    sys.exit(main())
