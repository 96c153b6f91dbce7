"""Where the payloads and their Python are, and a way to run ranks as a center's engine would."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from testbeds.ports import Ports

ROOT = Path(__file__).resolve().parents[2]
PAYLOADS = ROOT / "src" / "hutong" / "payloads"


class Center:
    """A stand-in for a center's engine: it knows the payloads and their Python, and starts ranks."""

    root, payloads = ROOT, PAYLOADS

    def __init__(self, python: Path) -> None:
        self.python = python
        self._started: list[subprocess.Popen[str]] = []
        self._ports = Ports()

    def port(self) -> int:
        """Return a port that is nobody else's until the test ends."""
        return self._ports.take()

    def env(self, folder: Path, *, rank: int = 0, nodes: int = 1, port: int = 0) -> dict[str, str]:
        """Return the environment of a rank as a center gives it: nothing is inherited."""
        return {
            "PATH": f"{self.python.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "NODE_RANK": str(rank),
            "WORLD_SIZE": str(nodes),
            "HUTONG_JOB_ID": "01JOB",
            "HUTONG_ATTEMPT": "2",
            "HUTONG_NODE_RANK": str(rank),
            "HUTONG_NUM_NODES": str(nodes),
            "HUTONG_NUM_GPUS_PER_NODE": "1",
            "HUTONG_ACCELERATOR": "H100",
            "HUTONG_PAYLOADS": str(PAYLOADS),
            "HUTONG_OUTPUTS": str(folder / "outputs"),
            "SKYPILOT_TASK_ID": "01JOB",
            "SKYPILOT_NODE_RANK": str(rank),
            "SKYPILOT_NUM_NODES": str(nodes),
            "SKYPILOT_NODE_IPS": "\n".join(["127.0.0.1"] * nodes),
            "SKYPILOT_NUM_GPUS_PER_NODE": "1",
            "TORCH_CPP_LOG_LEVEL": "ERROR",
        }

    def start(
        self, command: Sequence[str | Path], folder: Path, env: Mapping[str, str], log: str = "log"
    ) -> subprocess.Popen[str]:
        """Start a process in a session of its own; what it prints goes to the file `log` of the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / log).open("w") as file:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=folder,
                env=dict(env),
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def family(self, root: int) -> set[int]:
        """Return a process and all its descendants; torchrun puts its workers in sessions of their own."""
        parents: dict[int, int] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                state, parent = stat.read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(stat.parent.name)] = int(parent)
        found: set[int] = set()
        fresh = {root} & parents.keys()
        while fresh:
            found |= fresh
            fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
        return found

    def kill(self, root: int) -> None:
        """Kill a process and all its descendants at once, as the loss of a node does."""
        for pid in self.family(root):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill what is left."""
        for process in self._started:
            self.kill(process.pid)
            process.wait(60)
        self._ports.release()


@pytest.fixture(scope="session")
def payload_python() -> Path:
    """The Python that jobs run with, which has PyTorch and transformers; the platform's own has not."""
    python = Path(os.environ.get("HUTONG_PAYLOAD_PYTHON") or ROOT / ".venv-payload" / "bin" / "python")
    if not python.exists():
        pytest.fail(f"no payload Python at {python}: run `make payload`, or set HUTONG_PAYLOAD_PYTHON")
    return python


@pytest.fixture
def center(payload_python: Path) -> Iterator[Center]:
    """A center whose processes are gone when the test ends."""
    center = Center(payload_python)
    yield center
    center.close()
