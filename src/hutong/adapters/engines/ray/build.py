"""Pure: what is asked of Ray for an order: what each node must have, how it is started, the job itself."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hutong.adapters.engines.attempt import launch
from hutong.adapters.engines.base import Order
from hutong.adapters.engines.ray.config import RayConfig, RayPool
from hutong.core.kernel.errors import Problem, Refused

STRATEGIES = ("STRICT_SPREAD", "SPREAD", "PACK", "STRICT_PACK")
# How a program learns its devices: Ray sets these in a task that holds GPU or NPU.
_INHERITED = ("CUDA_VISIBLE_", "ASCEND_RT_VISIBLE_", "ROCR_VISIBLE_", "HIP_VISIBLE_", "NVIDIA_VISIBLE_")
_CALL_S = 86_400
_BEHIND_S = 30
_FIELDS = {"CPU": "entrypoint_num_cpus", "GPU": "entrypoint_num_gpus", "memory": "entrypoint_memory"}


class Files(NamedTuple):
    """Programs of this engine, where nodes can read them."""

    driver: Path
    where: Path


def bundles(order: Order, pool: RayPool) -> list[dict[str, float]]:
    """Return what each node of the gang must have free; memory is in bytes."""
    spec, cards = order.spec, order.attempt.cards // max(order.spec.num_nodes, 1)
    bundle = {name: count * cards for name, count in pool.per_card.items()} | dict(pool.per_node)
    bundle.setdefault("CPU", spec.resources.cpus or pool.cpus_per_card * cards or 1)
    if spec.resources.memory_bytes:
        bundle["memory"] = spec.resources.memory_bytes
    return [{name: count for name, count in bundle.items() if count}] * spec.num_nodes


def launcher(order: Order, config: RayConfig, programs: Path, files: Files, folder: Path) -> dict[str, Any]:
    """Return how ranks are started, and under `ray` how Ray starts the attempt (`entry`, `ask`).

    On one node Ray reserves what the job needs for its entrypoint, the supervisor. For several nodes the
    entrypoint is the driver, which finds its plan here.
    """
    pool, start = config.pools[order.attempt.pool], [config.python, "-I", "-S"]
    supervise = [*start, str(programs / "batch.py"), str(folder)]
    asked = bundles(order, pool)
    if len(asked) == 1:
        return {
            "kind": "ray",
            "inherited": list(_INHERITED),
            "held": True,
            "apart": True,
            "asker": [*start, str(files.where), "{RAY_ADDRESS}"],
            "pattern": r"(\S+)",
            "pool": order.attempt.pool,
            "ray": {"entry": supervise, "ask": entrypoint(asked[0])},
        }
    return {
        **launch.followers(config.python, programs, folder, _INHERITED, config.meet_s, _CALL_S),
        "identity": ("RAY_JOB_ID",),
        "pool": order.attempt.pool,
        "ray": {
            "key": order.key,
            "entry": [config.ray_python, str(files.driver), str(folder)],
            "ask": {},
            "bundles": asked,
            "strategy": pool.strategy,
            "follow": [*start, str(programs / "follow.py"), str(folder)],
            "supervise": supervise,
        },
    }


def entrypoint(bundle: Mapping[str, float]) -> dict[str, Any]:
    """Return how a job asks for a bundle for its entrypoint: Ray starts it where that is free."""
    asked: dict[str, Any] = {_FIELDS[name]: count for name, count in bundle.items() if name in _FIELDS}
    rest = {name: count for name, count in bundle.items() if name not in _FIELDS}
    return {**asked, "entrypoint_resources": rest} if rest else asked


def submission(document: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return the body of the request for a written order: the key is its name, `origin` marks it as ours.

    Whoever stops it in Ray leaves it its grace, and us the time to write its end: Ray's own is 3 s.
    """
    ray, stop_s = document["launcher"]["ray"], document["spec"]["grace_s"] + _BEHIND_S
    return {
        "submission_id": document["key"],
        "entrypoint": f"exec {shlex.join(ray['entry'])}",
        "metadata": {"hutong": origin, "project": document["project"]},
        "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(stop_s)}},
        **ray.get("ask", {}),
    }


def check_pool(name: str, pool: RayPool) -> None:
    """Raise Refused for a pool that Ray would misunderstand."""
    problems = []
    if pool.strategy not in STRATEGIES:
        text = f"{pool.strategy!r} is not a strategy of placement groups"
        problems.append(Problem(f"/pools/{name}/strategy", text, ", ".join(STRATEGIES)))
    counts = [*pool.per_card.items(), *pool.per_node.items()]
    if any(count <= 0 for _, count in counts):
        problems.append(Problem(f"/pools/{name}/per_card", "a count is not above 0", "leave it out"))
    if problems:
        raise Refused("bad_config", f"pool {name!r}: {problems[0].message}", tuple(problems))
