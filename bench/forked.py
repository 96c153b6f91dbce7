"""Agents forked from a process that has their modules: kills then meet an agent at work and not its imports.

`python -m bench.forked` is that process: for each line of its input, a JSON list of an agent's file and of its
log, it forks an agent and answers with its process id. When its input ends, so do it and all of them.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from hutong.server.parent import PARENT

_ENGINES = ("kubernetes", "local", "ray", "slurm")
_MODULES = (
    "hutong.adapters.telemetry.logs",
    "hutong.agent.run",
    "hutong.server.parent",
    *(f"hutong.adapters.engines.{name}.engine" for name in _ENGINES),
)


@dataclass(frozen=True, slots=True)
class Forked:
    """One agent, with what `subprocess.Popen` has that is needed here."""

    pid: int

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Send it a signal; it is no error if it has gone."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def wait(self, timeout: float) -> None:
        """Wait until it has gone. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while Path(f"/proc/{self.pid}").exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"agent {self.pid} does not end")
            time.sleep(0.01)


class Nursery:
    """The process that agents are forked from."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "bench.forked"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, config: Path, log: Path) -> Forked:
        """Start an agent."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([str(config), str(log)]), file=self._process.stdin, flush=True)
        return Forked(int(self._process.stdout.readline()))

    def close(self) -> None:
        """End it, and with it all agents."""
        self._process.communicate(timeout=60)


def be_agent(config: str, log: str) -> None:
    """Be an agent, as `hutong agent run` is, until it ends."""
    from hutong.main import run_an_agent

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing, told = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for ours, theirs in ((nothing, 0), (told, 1), (told, 2)):
        os.dup2(ours, theirs)
    run_an_agent(Path(config))


def main() -> None:
    """Fork agents until the input ends."""
    for name in _MODULES:
        importlib.import_module(name)
    os.environ[PARENT] = str(os.getpid())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel then keeps none of the dead
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                be_agent(*json.loads(line))
            finally:
                os._exit(1)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
