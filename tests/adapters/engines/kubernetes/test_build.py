"""The objects of an order, against the schemas that Kubernetes publishes of itself."""

import dataclasses
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.base import Order
from hutong.adapters.engines.kubernetes import build
from hutong.adapters.engines.kubernetes.config import KubernetesConfig, KubernetesPool, Toleration, Volume
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.ids import JobId, ProjectId, attempt_key
from hutong.core.work.fold import Attempt
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources

ROOT = Path("/srv/hutong/site")
JOB = JobId("01J00000000000000000000000")
POOL = KubernetesPool(
    "huawei.com/Ascend910", beside={"huawei.com/Ascend910-memory": 32}, image="registry.example/cann:8",
    node_selector={"zone": "a"}, tolerations=(Toleration("npu", "", "NoSchedule"), Toleration()),
    queue="research", priority_class="batch", runtime_class="ascend", scheduler="volcano", cpus_per_card=16,
    memory_mb_per_card=65_536,
)  # fmt: skip
CONFIG = KubernetesConfig(
    FolderConfig(ROOT, ROOT / "programs"), Volume("hutong"), {"p": POOL}, user=1000, group=1000,
    service_account="hutong-job", pull_secrets=("registry",), images_from=("registry.example/",),
)  # fmt: skip


def order(project: str = "p", **more: object) -> Order:
    fields: dict[str, object] = {
        "name": "try", "type": JobType.TASK, "num_nodes": 2, "run": "true",
        "resources": Resources((Ask("Ascend910B", 8),)), "max_duration_s": 3600,
    }  # fmt: skip
    spec = JobSpec(**(fields | more))  # type: ignore[arg-type]
    attempt = Attempt(1, "s", "p", "Ascend910B", spec.num_nodes, 8 * spec.num_nodes, 1, 1, 1, 1)
    return Order(attempt_key(JOB, 1), JOB, ProjectId(project), attempt, spec)


def objects(
    shape: str, config: KubernetesConfig = CONFIG, **more: object
) -> list[tuple[str, dict[str, Any]]]:
    made = build.objects(order(**more), config, "origin", "fence", ROOT / "programs/x", shape)  # type: ignore[arg-type]
    return build.hold(made)


@pytest.mark.parametrize("shape", ["jobs", "indexed", "jobset"])
def test_only_jobs_are_held_and_not_their_pods(shape: str) -> None:
    config = dataclasses.replace(CONFIG, pools={"p": dataclasses.replace(POOL, queue="")})
    made = objects(shape, config)
    for _, body in made:
        bears = body["metadata"].pop("finalizers", [])
        assert bears == (["hutong/settle"] if body["kind"] in {"Job", "JobSet"} else [])
    assert made == build.objects(order(), config, "origin", "fence", ROOT / "programs/x", shape)


@pytest.mark.parametrize("version", ["1.25", "1.31", "1.37"])
@pytest.mark.parametrize("shape", ["jobs", "indexed", "jobset"])
@pytest.mark.parametrize("nodes", [1, 3])
def test_objects_are_as_the_published_schemas_want(shape: str, nodes: int, version: str) -> None:
    config = dataclasses.replace(CONFIG, pools={"p": dataclasses.replace(POOL, queue="")})
    bodies = [body for _, body in objects(shape, config if shape == "jobs" else CONFIG, num_nodes=nodes)]
    for body in bodies:
        if body["kind"] == "JobSet":  # has no published schema of this kind; what it makes is a Job
            inner = body["spec"]["replicatedJobs"][0]["template"]
            body = {"apiVersion": "batch/v1", "kind": "Job", **inner}  # noqa: PLW2901
            body["metadata"] = {**inner["metadata"], "name": "node-0"}
        kubernetes_validate.validate(body, version, strict=True)
    kinds = [body["kind"] for body in bodies]
    expected = {"jobs": ["Job"] * nodes, "jobset": ["JobSet"], "indexed": [*["Service"] * (nodes > 1), "Job"]}
    assert kinds == ["NetworkPolicy", *expected[shape]]


def pod(shape: str = "indexed", **more: object) -> dict[str, Any]:
    body: dict[str, Any] = objects(shape, **more)[-1][1]["spec"]["template"]["spec"]  # type: ignore[arg-type]
    return body


def test_a_pod_has_what_its_pool_asks_and_no_more_rights_than_it_needs() -> None:
    made = pod()
    (container,) = made["containers"]
    limits = container["resources"]["limits"]
    assert limits == container["resources"]["requests"] == {
        "cpu": "128", "memory": "524288Mi", "huawei.com/Ascend910": "8", "huawei.com/Ascend910-memory": "32",
    }  # fmt: skip
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert made["securityContext"]["runAsNonRoot"] is True
    assert made["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert made["automountServiceAccountToken"] is False
    assert made["activeDeadlineSeconds"] > 3600 + CONFIG.meet_s


def test_a_pod_sees_its_own_attempt_of_the_volume() -> None:
    mounts = {each["mountPath"]: each for each in pod()["containers"][0]["volumeMounts"]}
    key = attempt_key(JOB, 1)
    assert mounts[f"{ROOT}/attempts/{key}"]["subPath"] == f"site/attempts/{key}"
    assert mounts[f"{ROOT}/programs"]["readOnly"] is True
    assert not {str(ROOT), f"{ROOT}/attempts", f"{ROOT}/checkpoints"} & mounts.keys()


def test_who_may_talk_to_a_job() -> None:
    closed, opened, served = (
        objects(
            "jobs", dataclasses.replace(CONFIG, pools={"p": dataclasses.replace(POOL, queue="")}), **more
        )[0][1]
        for more in ({}, {"network": True}, {"type": JobType.SERVICE, "max_duration_s": 0})
    )
    us = [{"podSelector": {"matchLabels": {"hutong/key": attempt_key(JOB, 1)}}}]
    assert closed["spec"]["ingress"] == opened["spec"]["ingress"]
    (allowed,) = closed["spec"]["ingress"]
    assert allowed["from"][0] == us[0]
    assert allowed["from"][1]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "hutong-agent"}}
    assert (closed["spec"]["egress"], opened["spec"]["egress"]) == ([{"to": us}], [{}])
    assert served["spec"]["ingress"] == [{}]


def test_jobs_of_a_queue_wait_for_it() -> None:
    job = objects("indexed")[-1][1]
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"][build.QUEUE] == "research"
    jobset = objects("jobset")[-1][1]
    assert jobset["spec"]["suspend"] is True
    assert "suspend" not in jobset["spec"]["replicatedJobs"][0]["template"]["spec"]


@pytest.mark.parametrize("name", ["p", "Long." + "x" * 80, "..", "中文", "a/b", ""])
def test_any_project_fits_a_label(name: str) -> None:
    value = build.label(name)
    assert len(value) <= 63
    assert build.label(value) == value
    assert (value == name) == (name == "p")


def test_a_jobs_own_image_counts_where_the_site_allows_it() -> None:
    mine = {"images": (("cann", "registry.example/mine:1"),)}
    assert pod(**mine)["containers"][0]["image"] == "registry.example/mine:1"
    with pytest.raises(Refused) as error:
        pod(images=(("cann", "elsewhere.example/x:1"),))
    assert error.value.problems[0].path == "/images"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"volume": Volume()}, "/volume"),
        ({"volume": Volume("a", mount=Path("/mnt/other"))}, "/root"),
        ({"shape": "jobs"}, "/pools/p/queue"),
        ({"folder": FolderConfig(ROOT, ROOT, isolation="bwrap")}, "/isolation"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(change: dict[str, Any], path: str) -> None:
    with pytest.raises(Refused) as error:
        build.check(dataclasses.replace(CONFIG, **change))
    assert path in [problem.path for problem in error.value.problems]


def test_a_shared_folder_must_lie_on_the_volume() -> None:
    config = dataclasses.replace(CONFIG, volume=dataclasses.replace(CONFIG.volume, mount=ROOT.parent))
    for source in (ROOT.parent / "datasets", Path("/data/sets")):
        given = dataclasses.replace(order(), staged=(("data", "shared", source),))
        if source.is_relative_to(ROOT.parent):
            bodies = build.objects(given, config, "origin", "fence", ROOT / "programs/x", "indexed")
            text = str(bodies)
            assert f"'mountPath': '{source}', 'subPath': 'datasets', 'readOnly': True" in text
        else:
            with pytest.raises(Refused, match="does not lie on its pods' volume"):
                build.objects(given, config, "origin", "fence", ROOT / "programs/x", "indexed")
