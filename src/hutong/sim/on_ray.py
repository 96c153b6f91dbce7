"""Simulated runs spread over a Ray cluster, for whoever has one: Ray is no dependency of the platform."""

from collections.abc import Iterator, Sequence
from importlib import import_module

from hutong.core.kernel.errors import Refused
from hutong.sim.sweep import Answer, Plan, answer


def on_ray(plan: Plan, places: Sequence[int]) -> Iterator[tuple[int, Answer]]:
    """Yield each place with its answer, in the order in which the cluster comes to them.

    The cluster is that of RAY_ADDRESS, or one that Ray starts here. Its nodes need Hutong, of this version.
    Raises Refused where Ray is not installed.
    """
    try:
        ray = import_module("ray")
    except ImportError as error:
        raise Refused(
            "simulation",
            "--on ray needs the package ray, here and on the cluster, beside hutong; it is missing",
        ) from error
    ray.init(log_to_driver=False, configure_logging=False)
    try:
        task, held = ray.remote(answer), ray.put(plan)
        waiting = {task.remote(held, place): place for place in places}
        while waiting:
            for done in ray.wait(list(waiting))[0]:
                yield waiting.pop(done), ray.get(done)
    finally:
        ray.shutdown()
