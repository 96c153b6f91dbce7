"""Deployments: the service job that serves a model, and what its state says about being ready."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from hutong.core.kernel.errors import Problem, Refused
from hutong.core.work.fold import Attempt, Job
from hutong.core.work.states import AttemptState, JobState

MOUNT = "model"
UPSTREAM_NAME = "model"  # how the served process knows its model: by the folder where it is mounted
_OURS = frozenset({"name", "type", "inputs", "num_nodes", "nodes"})


class DeploymentState(StrEnum):
    """Where a deployment stands, seen from who wants to call it."""

    STARTING = "STARTING"
    READY = "READY"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model being served by a job. Prices are micro-yuan for a million tokens.

    It is written down before its job is: `job` may not exist yet, or never if the platform died between
    the two. `request` is a digest of the request that made it, for repeats.
    """

    project: str
    name: str
    model: str
    job: str
    price_in_micro: int
    price_out_micro: int
    created_ms: int
    by: str
    request: str = ""

    @property
    def id(self) -> str:
        """`<project>/<name>`: also how callers name it."""
        return deployment_id(self.project, self.name)


def deployment_id(project: str, name: str) -> str:
    """Return the id of a deployment."""
    return f"{project}/{name}"


def serve_document(
    name: str,
    digest: str,
    accelerators: Mapping[str, int],
    max_duration: str,
    extra: Mapping[str, object],
) -> dict[str, object]:
    """Return the job file, as a document, of the service that serves a model's manifest.

    `extra` adds keys or replaces them (another `run`, memory, a site), except those that tie the job to its
    model. `resources` and `envs` are merged.
    """
    taken = sorted(set(extra) & _OURS)
    if taken:
        problems = tuple(
            Problem(f"/spec/{key}", f"{key} is set by the deployment", "leave it out") for key in taken
        )
        raise Refused("bad_spec", f"a deployment sets {taken[0]} itself", problems)
    resources: dict[str, object] = {"accelerators": dict(accelerators)} if accelerators else {}
    document: dict[str, object] = {
        "name": f"serve-{name}"[:63].rstrip("-"),
        "type": "service",
        "inputs": [{"mount": MOUNT, "digest": digest, "kind": "manifest"}],
        "run": f'python "$HUTONG_PAYLOADS/serve.py" {MOUNT} --name {UPSTREAM_NAME}',
        "ports": [8000],
        "max_duration": max_duration,
    }
    for key, value in extra.items():
        if key == "resources" and isinstance(value, Mapping):
            resources = {**resources, **{str(each): one for each, one in value.items()}}
        else:
            document[key] = value
    return {**document, "resources": resources} if resources else document


def serving(job: Job) -> Attempt | None:
    """Return the attempt of a service job that can be called now: running, with a port, not being stopped."""
    live = job.live
    if live is None or live.state is not AttemptState.RUNNING or not live.port or live.stop_sent_ms:
        return None
    return None if job.cancel_by else live


def deployment_state(job: Job, *, answers: bool = True) -> DeploymentState:
    """Return where a deployment stands by its job; `answers` says whether its port took a connection."""
    match job.state:
        case JobState.CANCELLED | JobState.SUCCEEDED:
            return DeploymentState.STOPPED
        case JobState.FAILED | JobState.REJECTED:
            return DeploymentState.FAILED
        case JobState.EXPIRED:
            return DeploymentState.STOPPED
    if job.cancel_by:
        return DeploymentState.STOPPING
    if serving(job) is not None and answers:
        return DeploymentState.READY
    return DeploymentState.STARTING
