"""What a Kubernetes cluster has, and whether it would take the platform's jobs; nothing is left in it."""

from collections.abc import Iterator
from pathlib import Path

from hutong.adapters.engines.attempt.checks import check_paths
from hutong.adapters.engines.attempt.origin import read_origin
from hutong.adapters.engines.inspection import (
    Check,
    Count,
    Found,
    FoundPool,
    Setting,
    bad,
    card_name,
    ok,
    pool_ids,
    warn,
)
from hutong.adapters.engines.kubernetes import build
from hutong.adapters.engines.kubernetes import nodes as nodes_of
from hutong.adapters.engines.kubernetes.cluster import Cluster
from hutong.adapters.engines.kubernetes.config import KubernetesConfig
from hutong.adapters.engines.kubernetes.nodes import Node
from hutong.adapters.engines.kubernetes.parse import Work
from hutong.core.capacity.accelerators import find_accelerator
from hutong.core.kernel.errors import Later, Refused

# The devices that are cards, and the labels by which their makers name the model.
_CARDS = (
    "nvidia.com/gpu",
    "huawei.com/Ascend",
    "cambricon.com/mlu",
    "amd.com/gpu",
    "hygon.com/dcu",
    "metax-tech.com/",
)
_MODELS = (
    "nvidia.com/gpu.product",
    "node.kubernetes.io/npu.chip.name",
    "cambricon.com/mlu.model",
    "accelerator",
)
# (group, resource, verbs) in the namespace of jobs; then of the whole cluster, which capacity is read from.
NEEDED = (
    ("batch", "jobs", ("create", "get", "list", "watch", "delete")),
    ("", "pods", ("list", "watch")),
    ("networking.k8s.io", "networkpolicies", ("create", "get", "delete")),
    ("", "services", ("create", "get", "delete")),
    ("", "events", ("list",)),
)
# Without it jobs get no finalizer.
HOLD = ("patch",)
WIDE = (("", "nodes", ("list",)), ("", "pods", ("list",)))
_OLDEST = (1, 20)
_NAMED = 5


class KubernetesInspector:
    """Looks at one cluster through its API server."""

    def __init__(self, config: KubernetesConfig) -> None:
        self._config = config
        self._known: Cluster | None = None
        self._nodes: list[Node] | None = None

    def inspect(self) -> Found:
        """Return the cluster's like nodes as pools. Raises Later or Refused."""
        version, groups = self._cluster().server()
        found: dict[tuple[str, str, int, int, int], list[Node]] = {}
        for node in self._all_nodes():
            device = next((name for name in node.allocatable if name.startswith(_CARDS)), "")
            word = next((node.labels[name] for name in _MODELS if device and name in node.labels), device)
            cpus, memory = int(node.allocatable.get("cpu", 0)), int(node.allocatable.get("memory", 0))
            cards = int(node.allocatable[device]) if device else cpus
            if cards:
                found.setdefault((device, word.rpartition("/")[2], cards, cpus, memory), []).append(node)
        names = pool_ids(card_name(word) if word else "cpu" for _, word, *_ in found)
        pools = [_pool(name, *kind, nodes) for name, (kind, nodes) in zip(names, found.items(), strict=True)]
        facts = {
            "version": ".".join(map(str, version)),
            "nodes": str(len(self._all_nodes())),
            "kueue": "installed" if "kueue.x-k8s.io" in groups else "none",
            "jobset": "installed" if "jobset.x-k8s.io" in groups else "none",
        }
        root = self._config.folder.root
        settings = [Setting("root", str(root), "must lie on a volume that every pod can mount to write")]
        if self._config.kubeconfig:
            settings.append(Setting("kubeconfig", str(self._config.kubeconfig)))
        settings.append(Setting("namespace", self._config.namespace))
        settings.append(Setting("python", "python3", "must be in every image, 3.11 or newer"))
        review = ["add [engine.volume] with claim, or host_path, and mount: see docs/operator/kubernetes.md"]
        return Found("kubernetes", facts, tuple(settings), tuple(pools), tuple(review))

    def check(self, *, quick: bool) -> Iterator[Check]:
        """Yield checks of the server, our rights and each pool; unless `quick`, with a trial submission."""
        yield from check_paths(self._config.folder)
        try:
            build.check(self._config)
            version, _ = self._cluster().server()
        except (Later, Refused) as error:
            mend = "see [engine] kubeconfig, context and volume; `kubectl version` asks the same server"
            yield bad("api server", str(error), mend)
            return
        told = ".".join(map(str, version))
        yield (
            ok("api server", told)
            if version >= _OLDEST
            else warn("api server", told, "1.20 is the oldest tried")
        )
        yield from self._check_rights()
        yield self._check_deleted()
        for name in self._config.pools:
            yield self._check_pool(name, quick=quick)

    def count(self, pool: str, accelerator: str) -> Count | None:  # noqa: ARG002 - the cluster has its own words
        """Return the cards of a pool of the file as the cluster has them. Raises Later or Refused."""
        settings = self._config.pools.get(pool)
        if settings is None:
            return None
        device = settings.device or "cpu"
        mine = [node for node in self._all_nodes() if nodes_of.suits(node, settings)]
        total = sum(int(node.allocatable.get(device, 0)) for node in mine)
        return Count(total, sum(int(node.allocatable.get(device, 0)) for node in mine if not node.up))

    def _cluster(self) -> Cluster:
        if self._known is None:
            self._known = Cluster(self._config, "doctor", keep=False)
        return self._known

    def _all_nodes(self) -> list[Node]:
        if self._nodes is None:
            self._nodes = self._cluster().nodes()
        return self._nodes

    def _check_rights(self) -> Iterator[Check]:
        namespace = build.namespace(self._config, "")
        hold = ((*build.held_kind(self._config), HOLD),) if self._config.finalizers else ()
        for title, place, rights, else_ in (
            ("rights", namespace, NEEDED, ""),
            ("rights on deleted jobs", namespace, hold, "jobs get no finalizer"),
            ("rights on the cluster", "", WIDE, "pools are taken as declared"),
        ):
            try:
                lacking = [
                    f"{verb} {resource}"
                    for group, resource, verbs in rights
                    for verb in verbs
                    if not self._cluster().may(place, group, resource, verb)
                ]
            except (Later, Refused) as error:
                yield warn(title, str(error), "ask an administrator of the cluster")
                continue
            mend = "give the agent's account these: docs/operator/kubernetes.md has the rules"
            if not lacking:
                yield ok(title, "all that the agent needs")
            elif else_:
                yield warn(title, f"may not {', '.join(lacking)}: {else_}", mend)
            else:
                yield bad(title, f"may not {', '.join(lacking)}", mend)

    def held(self) -> list[Work]:
        """Return the jobs of this site that stay until the agent lets go of them. Raises Later, Refused."""
        origin = read_origin(self._config.folder.root)
        return self._cluster().held(origin) if origin else []

    def release(self, work: Work) -> None:
        """Let go of a job. Raises Later, Refused."""
        self._cluster().release(work)

    def _check_deleted(self) -> Check:
        title = "deleted jobs"
        try:
            waiting = [work for work in self.held() if work.leaving]
        except (Later, Refused) as error:
            return warn(title, str(error), "try again")
        if waiting:
            names = ", ".join(f"{work.namespace}/{work.path.rpartition('/')[2]}" for work in waiting[:_NAMED])
            more = f" and {len(waiting) - _NAMED} more" if len(waiting) > _NAMED else ""
            mend = "the agent notes their ends and lets go of them; if it is retired: `hutong agent release`"
            return warn(title, f"waiting for the agent: {names}{more}", mend)
        return ok(title, "none waits for the agent")

    def _check_pool(self, name: str, *, quick: bool) -> Check:
        title, pool = f"pool {name}", self._config.pools[name]
        try:
            shape = self._cluster().shape(pool)
            mine = [node for node in self._all_nodes() if nodes_of.suits(node, pool)]
            refusal = "" if quick else self._cluster().refusal(build.trial(self._config, name))
        except Later as error:
            return warn(title, str(error), "try again")
        except Refused as error:
            return bad(title, str(error), f"correct [engine.pools.{name}]")
        if refusal:
            return bad(
                title, f"the cluster would refuse its jobs: {refusal}", f"correct [engine.pools.{name}]"
            )
        if not mine:
            mend = f"correct device, node_selector or tolerations of [engine.pools.{name}]"
            return bad(title, "no node suits it", mend)
        down = [node.name for node in mine if not node.up]
        if down:
            seen = f"{len(down)} of {len(mine)} nodes take no work, such as {down[0]}"
            return warn(title, seen, "`kubectl describe node` says why")
        return ok(title, f"{len(mine)} nodes suit it; jobs are made as {shape}")


def _pool(
    name: str, device: str, word: str, cards: int, cpus: int, memory: int, nodes: list[Node]
) -> FoundPool:
    model = card_name(word) if word else "CPU"
    card = find_accelerator(model)
    review = [] if card or not word else [f"{word!r} is not in the catalogue: put the model's name there"]
    if card and card.dies > 1:
        review.append(f"a {model} has {card.dies} dies: check that the device plugin counts cards, not dies")
    taints = sorted({f"{key}:{effect}" for node in nodes for key, _, effect in node.taints})
    if taints:
        review.append(f"its nodes have taints: set tolerations for {', '.join(taints)}")
    settings = [
        *([Setting("device", device)] if device else []),
        Setting("image", "", "the image of jobs that bring none"),
        Setting("cpus_per_card", max(1, cpus // cards)),
        Setting("memory_mb_per_card", memory // cards >> 20),
    ]
    return FoundPool(name, model, len(nodes), cards, cpus, memory, tuple(settings), tuple(review))


def default_kubeconfig(environment: str, home: Path) -> Path | None:
    """Return kubectl's file, where there is one."""
    named = [Path(part) for part in environment.split(":") if part] or [home / ".kube/config"]
    return next((path for path in named if path.is_file()), None)
