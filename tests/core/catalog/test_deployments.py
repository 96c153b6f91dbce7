"""What a deployment asks for, and what its state says."""

from dataclasses import replace

import pytest

from hutong.core.capacity.accelerators import ACCELERATORS, find_accelerator
from hutong.core.catalog.deployments import DeploymentState, deployment_state, serve_document, serving
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.ids import JobId
from hutong.core.work.check import Catalogue, check_spec
from hutong.core.work.facts import Accepted, Dispatched, Fact, Placed, Queued, Started, Submitted
from hutong.core.work.fold import Job, fold
from hutong.core.work.spec import Ask, Input, JobType
from hutong.core.work.states import JobState

DIGEST = f"sha256:{'a' * 64}"
JOB = JobId("0" * 26)
KNOWN = Catalogue(lambda name: card.model if (card := find_accelerator(name)) else None, tuple(ACCELERATORS))


def running(port: int = 8000) -> Job:
    events = (
        Submitted("li", "d"), Queued(), Placed(1, "haidian", "a100", "A100", 1, 1, 1, 1200, 300),
        Dispatched(1), Accepted(1, "x", adopted=False), Started(1, 5, port),
    )  # fmt: skip
    return fold(Fact(JOB, number, number, "x", event) for number, event in enumerate(events, 1))


def test_the_service_job_is_one_that_users_could_write() -> None:
    spec = check_spec(serve_document("chat", DIGEST, {"A100": 2}, "0", {}), KNOWN)
    assert spec.type is JobType.SERVICE
    assert spec.inputs == (Input("model", DIGEST, "manifest"),)
    assert spec.resources.asks == (Ask("A100", 2),)
    assert "serve.py" in spec.run
    assert spec.max_duration_s == 0
    assert len(spec.ports) == 1


def test_a_user_may_add_to_it_and_not_untie_it_from_its_model() -> None:
    extra = {
        "resources": {"memory": "8GB"},
        "run": "vllm serve model",
        "placement": {"objective": "greenest"},
    }
    spec = check_spec(serve_document("chat", DIGEST, {"A100": 2}, "2h", extra), KNOWN)
    assert (spec.run, spec.max_duration_s, spec.wish.objective) == ("vllm serve model", 7200, "greenest")
    assert spec.resources.asks == (Ask("A100", 2),)
    assert spec.resources.memory_bytes == 8 * 10**9
    for key in ("inputs", "type", "name"):
        with pytest.raises(Refused) as refusal:
            serve_document("chat", DIGEST, {}, "0", {key: "x"})
        assert refusal.value.problems[0].path == f"/spec/{key}"


def test_it_is_ready_only_while_it_runs_and_answers() -> None:
    job = running()
    assert serving(job) == job.attempts[0]
    assert deployment_state(job) is DeploymentState.READY
    assert deployment_state(job, answers=False) is DeploymentState.STARTING
    assert deployment_state(running(port=0)) is DeploymentState.STARTING
    queued = replace(job, state=JobState.QUEUED, attempts=())
    assert deployment_state(queued) is DeploymentState.STARTING
    stopping = replace(job, cancel_by="li")
    assert deployment_state(stopping) is DeploymentState.STOPPING
    assert serving(stopping) is None
    for state, shown in (
        (JobState.CANCELLED, "STOPPED"), (JobState.SUCCEEDED, "STOPPED"), (JobState.FAILED, "FAILED"),
        (JobState.REJECTED, "FAILED"), (JobState.EXPIRED, "STOPPED"),
    ):  # fmt: skip
        assert deployment_state(replace(stopping, state=state)).value == shown
