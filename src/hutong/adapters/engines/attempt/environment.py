"""The environment of a rank: ours, SkyPilot's and torch's names for the same things.

Standard library only, and little of it: each job's supervisor pays for what is imported here.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    StrPath = str | os.PathLike[str]

_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
LOOPBACK = "127.0.0.1"
_ON_ONE_MACHINE = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}


def environment(
    order: Mapping[str, Any],
    folder: StrPath,
    rank: int,
    ports: tuple[int, int],
    secrets: Mapping[str, str],
    hosts: Sequence[str] = (),
    base: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the environment of one rank; `ports` are the service's and torch's, `hosts` where ranks are.

    The user's variables win over the defaults, these over the image's, which are `base`, and what identifies
    the attempt wins over the user's.
    """
    spec, config = order["spec"], order["config"]
    nodes = spec["num_nodes"]
    work, base = os.path.join(folder, "work"), base or {}
    where = list(hosts) or [LOOPBACK] * nodes
    addresses = "\n".join(where)
    cards = str(order["cards_per_node"])
    defaults = {
        "PATH": ":".join([*config["path"], *(base.get("PATH", "").split(":") if base else _SYSTEM_PATH)]),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "USER": "job",
        "TMPDIR": "/tmp" if config["boxed"] else os.path.join(folder, "tmp"),  # noqa: S108
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        **(_ON_ONE_MACHINE if not hosts else {}),
        "MASTER_ADDR": where[0],
        "MASTER_PORT": str(ports[1]),
        "NODE_RANK": str(rank),
        "WORLD_SIZE": str(nodes),
        **config["envs"],
    }
    identity = {
        "HOME": work,
        "PWD": work,
        "HUTONG_JOB_ID": order["job"],
        "HUTONG_ATTEMPT": str(order["attempt"]),
        "HUTONG_KEY": order["key"],
        "HUTONG_TASK_ID": order["job"],
        "HUTONG_NODE_RANK": str(rank),
        "HUTONG_NUM_NODES": str(nodes),
        "HUTONG_NODE_IPS": addresses,
        "HUTONG_NUM_GPUS_PER_NODE": cards,
        "HUTONG_ACCELERATOR": order["accelerator"],
        "HUTONG_PAYLOADS": config["payloads"],
        "HUTONG_CHECKPOINTS": order["checkpoints"],
        "HUTONG_OUTPUTS": os.path.normpath(os.path.join(work, spec["outputs"] or "outputs")),
        "HUTONG_HOST": config["service_host"],
        "HUTONG_PORT": str(ports[0]) if ports[0] else "",
        "SKYPILOT_TASK_ID": order["job"],
        "SKYPILOT_NODE_RANK": str(rank),
        "SKYPILOT_NUM_NODES": str(nodes),
        "SKYPILOT_NODE_IPS": addresses,
        "SKYPILOT_NUM_GPUS_PER_NODE": cards,
    }
    return {**base, **defaults, **dict(spec["envs"]), **secrets, **identity}
