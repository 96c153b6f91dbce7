"""Pure: the objects to create for an order: jobs in a shape that the server takes, and what they need."""

import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hutong.adapters.engines.attempt import launch
from hutong.adapters.engines.base import Order
from hutong.adapters.engines.kubernetes.config import SHAPES, KubernetesConfig, KubernetesPool
from hutong.adapters.engines.kubernetes.parse import FENCE, FINALIZER, JOB, KEY, ORIGIN, POOL, PROJECT, RANK
from hutong.core.capacity.accelerators import find_accelerator
from hutong.core.kernel.errors import Problem, Refused

Json = dict[str, Any]

JOBS, PODS = "/apis/batch/v1", "/api/v1"
JOBSETS, JOBSET_API = "/apis/jobset.x-k8s.io/v1alpha2", "jobset.x-k8s.io/v1alpha2"
NETWORK = "/apis/networking.k8s.io/v1"
QUEUE = "kueue.x-k8s.io/queue-name"
CONTAINER = "job"
# What the vendors' runtimes set in a container to name its devices; followers pass it on to their ranks.
_INHERITED = ("NVIDIA_", "CUDA_", "ASCEND_", "NPU_", "MLU_", "CAMBRICON_", "ROCR_", "HIP_", "LD_LIBRARY_PATH")
_PREPARE_S = 1_800
_MARGIN_S = 60
_GRACE_S = 30
_TTL_S = 7 * 86_400
# Commands beside a rank and the like come from the agent; it may run in another namespace.
_AGENT = {
    "namespaceSelector": {},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "hutong-agent"}},
}
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_MIB = 1 << 20


def label(text: str) -> str:
    """Return a text as the value of a label; one that the rules forbid is made to fit, and told apart."""
    if _LABEL.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:48].strip("._-")
    return f"{stem}-{digest}" if stem else digest


def namespace(config: KubernetesConfig, project: str) -> str:
    """Return where a project's objects live."""
    return config.namespace.replace("{project}", project.lower())


def held_kind(config: KubernetesConfig) -> tuple[str, str]:
    """Return the group and the resource of the objects that bear our finalizer."""
    return (JOBSET_API.partition("/")[0], "jobsets") if config.shape == "jobset" else ("batch", "jobs")


def hold(made: list[tuple[str, Json]]) -> list[tuple[str, Json]]:
    """Return objects with our finalizer on the jobs: they stay, whoever deletes them, until we let go."""

    def held(body: Json) -> Json:
        return body | {"metadata": body["metadata"] | {"finalizers": [FINALIZER]}}

    return [(path, held(body) if body["kind"] in {"Job", "JobSet"} else body) for path, body in made]


def launcher(
    order: Order, config: KubernetesConfig, pool: str, programs: Path, folder: Path
) -> dict[str, Any]:
    """Return how the supervisor starts ranks: beside itself, or through the followers of a gang."""
    common = {"judged": True, "image": True, "identity": ("HUTONG_POD", "HUTONG_POD_UID"), "pool": pool}
    wanted = _resources(order, config.pools[pool]).get("requests", {})
    common |= {"programs": str(programs), "requests": wanted}
    if order.spec.num_nodes == 1:
        return {"kind": "pod", "inherited": list(_INHERITED), **common}
    call_s = (order.spec.max_duration_s or 365 * 86_400) + config.meet_s + _PREPARE_S
    # A gang begins once all its pods run: what is left to wait for is small.
    follow = launch.followers(config.python, programs, folder, _INHERITED, 60, call_s)
    return {**follow, **common}


def image(order: Order, pool: KubernetesPool, config: KubernetesConfig) -> str:
    """Return the image of the pool's chip stack that the job brings, or else the pool's. Raises Refused."""
    card = find_accelerator(order.attempt.accelerator)
    brought = dict(order.spec.images).get(card.stack, "") if card else ""
    if brought and not brought.startswith(tuple(config.images_from) or ("\0",)):
        text = f"this site does not run the image {brought!r}"
        fix = (
            f"one that begins with {' or '.join(config.images_from)}"
            if config.images_from
            else "leave it out"
        )
        raise Refused("image_refused", text, (Problem("/images", text, fix),))
    if not (brought or pool.image):
        text = "the pool has no image, and the job brings none for its chip stack"
        raise Refused("no_image", text, (Problem("/images", text, "name an image for the pool's stack"),))
    return brought or pool.image


def objects(
    order: Order, config: KubernetesConfig, origin: str, fence: str, programs: Path, shape: str
) -> list[tuple[str, Json]]:
    """Return what to create, as (path of the collection, body), in order; the first rank's job comes last."""
    pool, spec = config.pools[order.attempt.pool], order.spec
    place, nodes = namespace(config, order.project), order.spec.num_nodes
    labels = {
        ORIGIN: origin,
        KEY: order.key,
        JOB: order.job.lower(),
        PROJECT: label(order.project),
        POOL: order.attempt.pool,
    }
    queue = {QUEUE: pool.queue} if pool.queue else {}
    template = _template(order, config, programs, labels, fence, indexed=shape != "jobs")

    def named(name: str, more: Mapping[str, str] = {}) -> Json:
        return {"name": name, "namespace": place, "labels": {**labels, **more}, "annotations": {FENCE: fence}}

    def job_spec(body: Json, **more: object) -> Json:
        fixed = {"backoffLimit": 0, "ttlSecondsAfterFinished": _TTL_S, "template": body}
        return {**({"suspend": True} if pool.queue and shape != "jobset" else {}), **fixed, **more}

    found: list[tuple[str, Json]] = []
    if config.network_policies:
        body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": named(order.key)}
        policies = f"{NETWORK}/namespaces/{place}/networkpolicies"
        found.append((policies, body | {"spec": _network(order)}))
    many: Json = {"completionMode": "Indexed", "completions": nodes, "parallelism": nodes}
    jobs = f"{JOBS}/namespaces/{place}/jobs"
    if shape == "jobs":
        for rank in reversed(range(nodes)):
            name, ranked = job_name(order.key, rank), _ranked(template, rank)
            work = {"apiVersion": "batch/v1", "kind": "Job", "metadata": named(name, {RANK: str(rank)})}
            found.append((jobs, work | {"spec": job_spec(ranked, completions=1, parallelism=1)}))
        return found
    template["spec"]["subdomain"] = order.key
    if shape == "jobset":
        inner = {
            "metadata": {"labels": labels, "annotations": {FENCE: fence}},
            "spec": job_spec(template, **many),
        }
        body = {"apiVersion": JOBSET_API, "kind": "JobSet", "metadata": named(order.key, queue)}
        body["spec"] = {
            "suspend": bool(pool.queue),
            "failurePolicy": {"maxRestarts": 0},
            "network": {"enableDNSHostnames": True, "subdomain": order.key, "publishNotReadyAddresses": True},
            "replicatedJobs": [{"name": "node", "replicas": 1, "template": inner}],
        }
        found.append((f"{JOBSETS}/namespaces/{place}/jobsets", body))
        return found
    if spec.num_nodes > 1:
        service = {"apiVersion": "v1", "kind": "Service", "metadata": named(order.key)}
        headless = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {KEY: order.key}}
        found.append((f"{PODS}/namespaces/{place}/services", service | {"spec": headless}))
    work = {"apiVersion": "batch/v1", "kind": "Job", "metadata": named(order.key, queue)}
    found.append((jobs, work | {"spec": job_spec(template, **many)}))
    return found


def job_name(key: str, rank: int) -> str:
    """Return the name of the Job of one node."""
    return key if rank == 0 else f"{key}-{rank}"


def _ranked(template: Json, rank: int) -> Json:
    meta = template["metadata"]
    return {**template, "metadata": {**meta, "labels": {**meta["labels"], RANK: str(rank)}}}


def _template(
    order: Order, config: KubernetesConfig, programs: Path, labels: Json, fence: str, *, indexed: bool
) -> Json:
    """Return the pod of any rank; it learns which one it is from its own labels or annotations."""
    spec, root, pool = order.spec, config.folder.root.resolve(), config.pools[order.attempt.pool]
    command = [config.python, "-I", "-S", str(programs / "member.py"), str(root / "attempts" / order.key)]
    words = [word.replace("$", "$$") for word in command]
    pod: Json = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": spec.grace_s + _GRACE_S,
        "securityContext": _user(config),
        "volumes": [
            {"name": "attempts", **_volume(config)},
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
        ],
        "containers": [
            {
                "name": CONTAINER,
                "image": image(order, pool, config),
                "command": [*words, "$(HUTONG_RANK)", "$(HUTONG_POD_IP)"],
                "env": _variables(indexed=indexed),
                "resources": _resources(order, pool),
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [*_mounts(order, config, root), {"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108
            }
        ],
    }
    if spec.max_duration_s:
        pod["activeDeadlineSeconds"] = _deadline_s(order, config)
    optional = {
        "nodeSelector": dict(pool.node_selector),
        "tolerations": [_toleration(each.key, each.value, each.effect) for each in pool.tolerations],
        "priorityClassName": pool.priority_class,
        "runtimeClassName": pool.runtime_class,
        "schedulerName": pool.scheduler,
        "serviceAccountName": config.service_account,
        "imagePullSecrets": [{"name": name} for name in config.pull_secrets],
    }
    pod |= {name: value for name, value in optional.items() if value}
    return {"metadata": {"labels": labels, "annotations": {FENCE: fence}}, "spec": pod}


def _variables(*, indexed: bool) -> list[Json]:
    index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    fields = {
        "HUTONG_RANK": index if indexed else f"metadata.labels['{RANK}']",
        "HUTONG_POD_IP": "status.podIP",
        "HUTONG_POD": "metadata.name",
        "HUTONG_POD_UID": "metadata.uid",
    }
    return [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()]


def _deadline_s(order: Order, config: KubernetesConfig) -> int:
    """Return the pods' own limit. It lies behind ours, so that the supervisor ends the attempt in order."""
    spec = order.spec
    prepare_s = min(spec.max_duration_s, _PREPARE_S) if spec.setup or order.staged else 0
    meet_s = math.ceil(config.meet_s) if spec.num_nodes > 1 else 0
    return spec.max_duration_s + prepare_s + meet_s + spec.grace_s + _MARGIN_S


def _user(config: KubernetesConfig) -> Json:
    user = {"runAsUser": config.user, "runAsGroup": config.group}
    given: Json = {name: value for name, value in user.items() if value is not None}
    return {**given, "runAsNonRoot": config.user != 0, "seccompProfile": {"type": "RuntimeDefault"}}


def _volume(config: KubernetesConfig) -> Json:
    if config.volume.claim:
        return {"persistentVolumeClaim": {"claimName": config.volume.claim}}
    return {"hostPath": {"path": config.volume.host_path, "type": "Directory"}}


def _mounts(order: Order, config: KubernetesConfig, root: Path) -> list[Json]:
    """Return what a pod sees of the volume: its own attempt and checkpoints to write, its inputs to read."""
    mount = config.volume.mount.resolve()
    write = [root / "attempts" / order.key, root / "checkpoints" / order.job.lower()]
    read = [root / "programs", *([root / "tools"] if (root / "tools").is_dir() else [])]
    read += sorted({path.resolve() for _, _, path in order.staged})
    found = []
    for path in (*write, *read):
        if not path.is_relative_to(mount):
            raise Refused("bad_input", "a shared folder of this site does not lie on its pods' volume")
        only = {"readOnly": True} if path in read else {}
        inside = str(path.relative_to(mount))
        found.append({"name": "attempts", "mountPath": str(path), "subPath": inside, **only})
    return found


def _resources(order: Order, pool: KubernetesPool) -> Json:
    """Return requests, which are the limits too: a pod then has what it asked for, and no more."""
    spec, cards = order.spec, order.attempt.cards // max(order.spec.num_nodes, 1)
    memory = math.ceil(spec.resources.memory_bytes / _MIB) or pool.memory_mb_per_card * cards
    amounts = {
        "cpu": str(spec.resources.cpus or pool.cpus_per_card * cards or ""),
        "memory": f"{memory}Mi" if memory else "",
        **({pool.device: str(cards or "")} if pool.device else {}),
        **({name: str(count) for name, count in pool.beside.items()} if cards else {}),
    }
    wanted = {name: amount for name, amount in amounts.items() if amount}
    return {"limits": wanted, "requests": dict(wanted)} if wanted else {}


def _toleration(key: str, value: str, effect: str) -> Json:
    given = {"key": key, "value": value, "effect": effect, "operator": "Equal" if value else "Exists"}
    return {name: text for name, text in given.items() if text}


def _network(order: Order) -> Json:
    """Return who may talk to the pods: each other and the agent, all if the job serves; and out if it may."""
    spec = order.spec
    listens = spec.type.listens or bool(spec.ports)
    each_other = {"podSelector": {"matchLabels": {KEY: order.key}}}
    return {
        "podSelector": {"matchLabels": {KEY: order.key}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{}] if listens else [{"from": [each_other, _AGENT]}],
        "egress": [{}] if spec.network or listens else [{"to": [each_other]}],
    }


def trial(config: KubernetesConfig, pool: str) -> tuple[str, Json]:
    """Return a job of a pool that is there to be refused, or not: it is never kept."""
    settings = config.pools[pool]
    resources = {settings.device: "1"} if settings.device else {"cpu": "1"}
    container = {"name": CONTAINER, "image": settings.image or "none", "resources": {"limits": resources}}
    spec: Json = {"restartPolicy": "Never", "containers": [container]}
    optional = {"priorityClassName": settings.priority_class, "runtimeClassName": settings.runtime_class}
    spec |= {name: value for name, value in optional.items() if value}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "hutong-doctor-"}}
    return f"{JOBS}/namespaces/{namespace(config, '')}/jobs", body | {"spec": {"template": {"spec": spec}}}


def check(config: KubernetesConfig) -> None:
    """Raise Refused for a configuration that cannot work, with all its faults."""
    root, mount, problems = config.folder.root.resolve(), config.volume.mount.resolve(), []
    if bool(config.volume.claim) == bool(config.volume.host_path):
        problems.append(Problem("/volume", "needs either claim or host_path", 'claim = "hutong"'))
    if not root.is_relative_to(mount):
        text = f"root {root} does not lie on the volume, which is at {mount}"
        problems.append(Problem("/root", text, "set root to a folder below [engine.volume] mount"))
    if config.shape not in SHAPES:
        problems.append(Problem("/shape", f"{config.shape!r} is unknown", ", ".join(SHAPES)))
    if config.folder.isolation == "bwrap":
        problems.append(Problem("/isolation", "pods are the sandbox here", "leave it out"))
    for name, pool in config.pools.items():
        if pool.queue and config.shape == "jobs":
            text = "Kueue wants one job for all nodes"
            problems.append(Problem(f"/pools/{name}/queue", text, 'shape = "indexed" or "jobset"'))
        if any(count <= 0 for count in pool.beside.values()):
            problems.append(Problem(f"/pools/{name}/beside", "a count is not above 0", "leave it out"))
    if problems:
        raise Refused("bad_config", problems[0].message, tuple(problems))
