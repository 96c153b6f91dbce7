"""What an operator sets for a site that runs Kubernetes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hutong.adapters.engines.attempt.config import FolderConfig

SHAPES = ("auto", "jobs", "indexed", "jobset")


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint that a pool's pods may ignore; empty fields match everything, as in Kubernetes."""

    key: str = ""
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class KubernetesPool:
    """What the pods of one pool ask for.

    `device` is the resource of one card, such as `nvidia.com/gpu`, `huawei.com/Ascend910` or
    `cambricon.com/mlu`; a pool without cards has none. `beside` are further resources of a pod that has
    cards, such as HAMi's `nvidia.com/gpumem` and `nvidia.com/gpucores`, as they stand. `cpus_per_card` and
    `memory_mb_per_card` are asked for where the job names none. `image` is used where the job brings none of
    the pool's chip stack, and must have the site's `python`. `queue` is a LocalQueue of Kueue.
    """

    device: str = ""
    beside: Mapping[str, int] = field(default_factory=dict)
    image: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    queue: str = ""
    priority_class: str = ""
    runtime_class: str = ""
    scheduler: str = ""
    cpus_per_card: int = 0
    memory_mb_per_card: int = 0


@dataclass(frozen=True, slots=True)
class Volume:
    """The volume that holds the attempts, in the agent and in every pod: a claim, or a folder of the nodes.

    `mount` is where the agent sees it; the folder of attempts lies there or below.
    """

    claim: str = ""
    host_path: str = ""
    mount: Path = Path("/srv/hutong")


@dataclass(frozen=True, slots=True)
class KubernetesConfig:
    """One cluster.

    `kubeconfig` and its `context` say how to reach it; without them the agent runs in the cluster and uses
    its service account. `namespace` may hold `{project}`. `shape` is `jobs` (a Job for each node), `indexed`
    (one Indexed Job), `jobset`, or `auto`: indexed where the server is 1.24 or newer. Pods run as `user` and
    `group`, by default the agent's own. `images_from` are the first letters of images that jobs may bring;
    with none, jobs run in the pool's. With `finalizers` what somebody deletes stays until its end is noted.

    Times are seconds: `ask_s` for an answer, `lag_s` how long an attempt may have neither job nor pod before
    it counts as deleted, `beat_dead_s` how long a supervisor may be silent, `meet_s` for all pods of a gang
    to run once one does, `stuck_s` how long a pod may fail to start for a reason that waiting does not
    change, `keep_s` how long ended objects stay for people to look at.
    """

    folder: FolderConfig
    volume: Volume
    pools: Mapping[str, KubernetesPool] = field(default_factory=dict)
    kubeconfig: Path | None = None
    context: str = ""
    namespace: str = "default"
    shape: str = "auto"
    python: str = "python3"
    service_account: str = ""
    pull_secrets: tuple[str, ...] = ()
    images_from: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None
    network_policies: bool = True
    finalizers: bool = True
    ask_s: float = 30.0
    lag_s: float = 60.0
    beat_dead_s: float = 60.0
    meet_s: float = 600.0
    stuck_s: float = 600.0
    keep_s: float = 3600.0
