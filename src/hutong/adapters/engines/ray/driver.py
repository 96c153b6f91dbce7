"""The driver of one attempt, as Ray starts it: takes the nodes, then runs followers and the supervisor there.

It runs under Ray's own Python (3.9 or newer) and imports nothing of the platform. However it ends, Ray takes
back its placement group and its tasks, and the programs that they run end with them.

    python driver.py FOLDER
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import ray  # type: ignore[import-not-found]
from ray.util.placement_group import (  # type: ignore[import-not-found]
    placement_group,
    remove_placement_group,
)
from ray.util.scheduling_strategies import (  # type: ignore[import-not-found]
    PlacementGroupSchedulingStrategy,
)

FAILED = 70
_LOOK_S = 1.0
_LEAVE_S = 15.0


@ray.remote(max_retries=0)  # type: ignore[untyped-decorator]
def carry(programs: list[list[str]]) -> int:
    """Run programs on this node, each in a session that Ray does not clear away; returns the last one's code.

    `{address}` in an argument stands for where other nodes reach this one.
    """
    address = ray.util.get_node_ip_address()
    lines = [[part.replace("{address}", address) for part in argv] for argv in programs]
    nothing = subprocess.DEVNULL
    children = [subprocess.Popen(argv, stdin=nothing, start_new_session=True) for argv in lines]
    return [child.wait() for child in children][-1]


def options(bundle: dict[str, float]) -> dict[str, Any]:
    """Return how a task asks for the whole of a bundle."""
    rest = {name: count for name, count in bundle.items() if name not in {"CPU", "GPU", "memory"}}
    return {
        "num_cpus": bundle.get("CPU", 0),
        "num_gpus": bundle.get("GPU", 0),
        "memory": bundle.get("memory"),
        "resources": rest,
    }


def over(folder: Path) -> bool:
    """Return whether the attempt has ended, or was stopped before it began."""
    began, end, stop = ((folder / f"{name}.json").exists() for name in ("began", "end", "stop"))
    return end or (stop and not began)


def run(folder: Path, plan: dict[str, Any]) -> int:
    """Carry the attempt out; returns the supervisor's code, 0 where there is nothing to do."""
    group = placement_group(plan["bundles"], strategy=plan["strategy"], name=plan["key"])
    try:
        while not group.wait(timeout_seconds=_LOOK_S):
            if over(folder):
                return 0
        print(f"{len(plan['bundles'])} nodes are ours", flush=True)
        tasks = []
        for rank, bundle in enumerate(plan["bundles"]):
            place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank)
            task = carry.options(**options(bundle), scheduling_strategy=place, name=f"rank {rank}")
            follow = [*plan["follow"], str(rank), "{address}"]
            tasks.append(task.remote([follow] if rank else [follow, plan["supervise"]]))
        return watch(folder, tasks)
    finally:
        remove_placement_group(group)


def watch(folder: Path, tasks: list[object]) -> int:
    """Wait for the first node, where the supervisor is, then a while for the others, which end as it does."""
    while not ray.wait(tasks[:1], timeout=_LOOK_S)[0]:
        if over(folder):
            break
    ended, _ = ray.wait(tasks, num_returns=len(tasks), timeout=_LEAVE_S)
    code: int = ray.get(tasks[0]) if tasks[0] in ended else FAILED
    print(f"the supervisor ended with code {code}", flush=True)
    return code


def main() -> int:
    """Drive the attempt whose folder is the first argument."""
    folder = Path(sys.argv[1])
    if over(folder):
        return 0
    plan = json.loads((folder / "order.json").read_bytes())["launcher"]["ray"]
    ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
    return run(folder, plan)


if __name__ == "__main__":
    sys.exit(main())
