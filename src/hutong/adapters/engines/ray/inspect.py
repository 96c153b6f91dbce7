"""What a Ray cluster has, and whether it can run the platform's jobs: asked of its head."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from hutong.adapters.engines.attempt.checks import check_paths
from hutong.adapters.engines.inspection import (
    Check,
    Count,
    Found,
    FoundPool,
    Setting,
    bad,
    card_name,
    is_shared,
    kind_of,
    ok,
    pool_ids,
    warn,
)
from hutong.adapters.engines.ray.client import JobsClient
from hutong.adapters.engines.ray.config import RayConfig
from hutong.core.kernel.errors import Later, Refused

_TRIED = "2.60"
_OWN = ("CPU", "memory", "object_store_memory", "node:", "accelerator_type:")
_KIND = "accelerator_type:"
_HOME = frozenset({"127.0.0.1", "::1", "localhost"})


class RayInspector:
    """Looks at one cluster through its dashboard."""

    def __init__(self, config: RayConfig) -> None:
        self._config = config
        self._client = JobsClient(config)

    def inspect(self) -> Found:
        """Return the cluster's like nodes as pools, and the lines that reach it. Raises Later."""
        version, nodes = self._client.version(), self._client.nodes()
        return Found(
            "ray",
            {"version": version, "nodes": str(len(nodes)), "dashboard": self._config.url},
            tuple(self._lines()),
            pools(nodes),
            ("the dashboard takes jobs from anybody who reaches it",) if self._client.open() else (),
        )

    def _lines(self) -> Iterator[Setting]:
        root, python = self._config.folder.root, str(Path(sys.executable).resolve())
        doubt = "" if is_shared(kind_of(root)) else "every node must see this folder at the same path"
        yield Setting("root", str(root), doubt)
        yield Setting("url", self._config.url)
        yield Setting("ray_python", "python3", "must be the Python on the head that can import ray")
        yield Setting("python", python, "must be there on every node, 3.11 or newer")

    def check(self, *, quick: bool) -> Iterator[Check]:  # noqa: ARG002  (all of them are quick)
        """Yield checks of the head, of who may use it, of each pool and of the folder."""
        yield from check_paths(self._config.folder)
        try:
            version, nodes, anybody = self._client.version(), self._client.nodes(), self._client.open()
        except (Later, Refused) as error:
            mend = "is the head up? [engine] url names its dashboard, port 8265 by default"
            yield bad("ray", str(error), mend)
            return
        seen = f"{version} with {len(nodes)} nodes at {self._config.url}"
        tried = f"{_TRIED} is the version that the engine was tried with"
        yield ok("ray", seen) if version.startswith(f"{_TRIED}.") else warn("ray", seen, tried)
        if anybody and urlsplit(self._config.url).hostname not in _HOME:
            mend = "turn on Ray's token authentication, set token_file, and keep others off its ports"
            yield warn("ray access", "the dashboard runs anybody's programs as the user of Ray", mend)
        for name, pool in self._config.pools.items():
            resource = next(iter(pool.per_card), "CPU")
            having = sum(1 for node in nodes if node.get(resource, 0))
            if having:
                yield ok(f"pool {name}", f"{having} nodes have {resource}")
            else:
                mend = f"correct per_card of [engine.pools.{name}], or start nodes with that resource"
                yield bad(f"pool {name}", f"no node that is alive has {resource}", mend)
        root, kind = self._config.folder.root, kind_of(self._config.folder.root)
        if is_shared(kind):
            yield ok("shared folder", f"{root} lies on {kind}")
        else:
            mend = "set [engine] root to a folder that every node, the head included, mounts at the same path"
            yield warn("shared folder", f"{root} lies on {kind}, which is not known to be shared", mend)

    def count(self, pool: str, accelerator: str) -> Count | None:  # noqa: ARG002 - Ray goes by its resources
        """Return the cards of a pool on nodes that are alive. Raises Later."""
        settings = self._config.pools.get(pool)
        if settings is None or not settings.per_card:
            return None
        resource, share = next(iter(settings.per_card.items()))
        return Count(int(sum(node.get(resource, 0) for node in self._client.nodes()) / share))


def pools(nodes: list[dict[str, float]]) -> tuple[FoundPool, ...]:
    """Return like nodes as pools; nodes without cards make none."""
    like: dict[tuple[str, str, int], list[dict[str, float]]] = {}
    for node in nodes:
        kind = next((name.removeprefix(_KIND) for name in node if name.startswith(_KIND)), "")
        for resource in sorted(name for name in node if not name.startswith(_OWN) and node[name] >= 1):
            like.setdefault((resource, kind or resource, int(node[resource])), []).append(node)
    keys = sorted(like)
    names = pool_ids([word for _, word, _ in keys])
    return tuple(_pool(name, key, like[key]) for name, key in zip(names, keys, strict=True))


def _pool(name: str, key: tuple[str, str, int], nodes: list[dict[str, float]]) -> FoundPool:
    resource, word, cards = key
    share = {resource: 1.0} if word == resource else {resource: 1.0, f"{_KIND}{word}": 0.001}
    doubt = "" if resource in {"GPU", "NPU"} else "Ray hands out no device numbers for this resource"
    pool = FoundPool(
        id=name,
        accelerator=card_name(word),
        nodes=len(nodes),
        cards_per_node=cards,
        cpus_per_node=int(min(node.get("CPU", 0) for node in nodes)),
        memory_bytes_per_node=int(min(node.get("memory", 0) for node in nodes)),
        settings=(Setting("per_card", share, doubt),),
    )
    unknown = f"{pool.accelerator!r} is not in the catalogue of accelerators"
    return pool if pool.known else replace(pool, review=(unknown,))


def default_url() -> str:
    """Return where Ray's own programs look for the dashboard."""
    told = os.environ.get("RAY_API_SERVER_ADDRESS") or os.environ.get("RAY_ADDRESS", "")
    return told if told.startswith("http") else "http://127.0.0.1:8265"
