"""Pure: what is asked of Ray for an order: the gang's bundles, the driver's plan, the job itself."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hutong.adapters.engines.attempt import launch
from hutong.adapters.engines.base import Order
from hutong.adapters.engines.ray.config import RayConfig, RayPool
from hutong.core.kernel.errors import Problem, Refused

STRATEGIES = ("STRICT_SPREAD", "SPREAD", "PACK", "STRICT_PACK")
# How a program learns its devices: Ray sets these in a task that holds GPU or NPU.
_INHERITED = ("CUDA_VISIBLE_", "ASCEND_RT_VISIBLE_", "ROCR_VISIBLE_", "HIP_VISIBLE_", "NVIDIA_VISIBLE_")
_CALL_S = 86_400


def bundles(order: Order, pool: RayPool) -> list[dict[str, float]]:
    """Return what each node of the gang must have free; memory is in bytes."""
    spec, cards = order.spec, order.attempt.cards // max(order.spec.num_nodes, 1)
    bundle = {name: count * cards for name, count in pool.per_card.items()} | dict(pool.per_node)
    bundle.setdefault("CPU", spec.resources.cpus or pool.cpus_per_card * cards or 1)
    if spec.resources.memory_bytes:
        bundle["memory"] = spec.resources.memory_bytes
    return [{name: count for name, count in bundle.items() if count}] * spec.num_nodes


def launcher(order: Order, config: RayConfig, programs: Path, driver: Path, folder: Path) -> dict[str, Any]:
    """Return how ranks are started, and the driver's plan; `entry` is how Ray starts the driver."""
    pool, start = config.pools[order.attempt.pool], [config.python, "-I", "-S"]
    return {
        **launch.followers(config.python, programs, folder, _INHERITED, config.meet_s, _CALL_S),
        "identity": ("RAY_JOB_ID",),
        "pool": order.attempt.pool,
        "ray": {
            "key": order.key,
            "entry": [config.ray_python, str(driver), str(folder)],
            "bundles": bundles(order, pool),
            "strategy": pool.strategy if order.spec.num_nodes > 1 else "PACK",
            "follow": [*start, str(programs / "follow.py"), str(folder)],
            "supervise": [*start, str(programs / "batch.py"), str(folder)],
        },
    }


def submission(order: Order, origin: str, entry: Sequence[str]) -> dict[str, Any]:
    """Return the body of the request: the key is its name, and `origin` marks it as ours."""
    return {
        "submission_id": order.key,
        "entrypoint": f"exec {shlex.join(entry)}",
        "metadata": {"hutong": origin, "project": order.project},
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
