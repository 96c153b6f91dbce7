"""Letting go of what a retired agent holds: jobs in a cluster that nobody could delete any more."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.kubernetes.config import KubernetesConfig
from hutong.adapters.engines.kubernetes.inspect import KubernetesInspector
from hutong.agent.config import AgentConfig
from hutong.core.kernel.errors import Problem, Refused


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job that the agent holds: `deleted` if somebody waits for it to go, `noted` if its end is known."""

    namespace: str
    name: str
    attempt: str
    deleted: bool
    noted: bool


def release(config: AgentConfig, *, only_list: bool = False) -> Iterator[HeldJob]:
    """Let go of every job of the site, yielding each once it is done. May be repeated.

    Raises Refused where an agent works in the folder or the engine holds nothing, Later without an answer.
    """
    if not isinstance(config.engine, KubernetesConfig):
        text = "only agents of Kubernetes hold jobs"
        raise Refused("nothing_held", text, (Problem("/engine/kind", text, 'kind = "kubernetes"'),))
    inspector = KubernetesInspector(config.engine)
    attempts = config.engine.folder.root.resolve() / "attempts"
    with nullcontext() if only_list else _alone(config.root / "agent.lock"):
        for work in inspector.held():
            if not only_list:
                inspector.release(work)
            noted = files.read_json(attempts / work.key / files.END) is not None
            yield HeldJob(work.namespace, work.path.rpartition("/")[2], work.key, work.leaving, noted)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keep agents from the folder meanwhile; one that works there would hold new jobs."""
    lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = "an agent works in this folder, and lets go of jobs itself"
            fix = "stop it first; --list only looks"
            raise Refused("agent_works", text, (Problem("/root", text, fix),)) from None
        yield
