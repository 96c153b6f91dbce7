"""Every engine that the suite runs against, opened for one test and left empty after it."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.base import Engine, Order, Seen
from hutong.adapters.engines.kubernetes.config import KubernetesConfig, KubernetesPool, Volume
from hutong.adapters.engines.kubernetes.engine import KubernetesEngine
from hutong.adapters.engines.local.engine import LocalEngine
from hutong.adapters.engines.memory import MemoryEngine
from hutong.adapters.engines.ray.config import RayConfig, RayPool
from hutong.adapters.engines.ray.engine import RayEngine
from hutong.adapters.engines.slurm.config import RestConfig, SlurmConfig, SlurmPool
from hutong.adapters.engines.slurm.engine import SlurmEngine
from hutong.agent.habits import steady_ms
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId, attempt_key, ulid
from hutong.core.work.fold import Attempt
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources
from hutong.core.work.states import Category

if TYPE_CHECKING:
    from testbeds.kubernetes import KubernetesCluster
    from testbeds.ray import RayCluster
    from testbeds.slurm import SlurmCluster


def now_ms() -> int:
    """Return UTC milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass
class Bench:
    """An engine and a way to let time pass on it."""

    engine: Engine
    passes: Callable[[], None]
    again: Callable[[], Engine]
    within_s: float = field(default=30, kw_only=True)

    def order(self, run: str, **more: object) -> Order:
        secrets = more.pop("secrets", {})
        job = JobId(ulid(1_795_000_000_000, os.urandom(10)))
        fields: dict[str, object] = {
            "name": "try",
            "type": JobType.TASK,
            "num_nodes": 1,
            "resources": Resources((Ask("H800", 2),)),
            "max_duration_s": 60,
            "grace_s": 1,
        }
        spec = JobSpec(run=run, **(fields | more))  # type: ignore[arg-type]
        attempt = Attempt(1, "s", "p", "H800", spec.num_nodes, 2 * spec.num_nodes, 1, 1, 1, 1)
        return Order(attempt_key(job, 1), job, ProjectId("p"), attempt, spec, secrets=secrets)  # type: ignore[arg-type]

    def see(self, key: AttemptKey) -> Seen | None:
        return {each.key: each for each in self.engine.observe()}.get(key)

    def wait(self, key: AttemptKey, good: Callable[[Seen], bool]) -> Seen:
        deadline = time.monotonic() + self.within_s
        while time.monotonic() < deadline:
            seen = self.see(key)
            if seen is not None and good(seen):
                return seen
            self.passes()
        raise AssertionError(f"{key} never came to it; last seen {self.see(key)}")

    def finish(self, key: AttemptKey) -> Seen:
        return self.wait(key, lambda seen: seen.ended is not None)

    def log(self, key: AttemptKey, rank: int = 0) -> str:
        return self.engine.read_log(key, rank, 0, 1 << 20).decode()


@contextmanager
def emptied(again: Callable[[], Engine], pause_s: float = 0.01, within_s: float = 60) -> Iterator[Bench]:
    """Give a bench of a real engine, and end what a test left running."""
    bench = Bench(again(), lambda: time.sleep(pause_s), again, within_s=within_s)
    yield bench
    for seen in bench.engine.observe():
        if seen.ended is None:
            bench.engine.stop(seen.key, 1, Category.CANCELLED, "the test is over", 0)
            bench.finish(seen.key)


@contextmanager
def memory_bench() -> Iterator[Bench]:
    """The twin, whose time passes as it is asked."""
    now = [1_795_000_000_000]
    engine = MemoryEngine(lambda: now[0])

    def jump() -> None:
        now[0] += 50

    yield Bench(engine, jump, lambda: engine)


def folder_config(root: Path, isolation: str) -> FolderConfig:
    """Return folders below `root`; a missing sandbox is an error here, not a reason to go without."""
    if isolation == "bwrap" and not shutil.which("bwrap"):
        pytest.fail("bubblewrap is missing: apt-get install bubblewrap")
    payloads = root / "payloads"
    payloads.mkdir()
    return FolderConfig(root / "site", payloads, isolation=isolation)


@contextmanager
def local_bench(root: Path, isolation: str) -> Iterator[Bench]:
    """Plain processes of this machine."""
    config = folder_config(root, isolation)
    with emptied(lambda: LocalEngine(config, now_ms)) as bench:
        yield bench


def slurm_config(root: Path, cluster: "SlurmCluster", isolation: str) -> SlurmConfig:
    """Return a site on a cluster of the testbed, whose pool `p` is of its first device."""
    folder = folder_config(root, isolation)
    folder.root.mkdir()
    return SlurmConfig(
        folder,
        {"p": SlurmPool(gres="gpu:h800")},
        python=sys.executable,
        conf=cluster.conf,
        poll_s=0.2,
        lag_s=5.0,
        arrays=True,
    )


@contextmanager
def slurm_bench(
    root: Path, cluster: "SlurmCluster", isolation: str, rest: RestConfig | None = None
) -> Iterator[Bench]:
    """A real cluster by its command line, or by slurmrestd."""
    config = replace(slurm_config(root, cluster, isolation), rest=rest)
    with emptied(lambda: SlurmEngine(config, now_ms, steady_ms), 0.05) as bench:
        yield bench


def ray_config(root: Path, cluster: "RayCluster", isolation: str) -> RayConfig:
    """Return a site on a cluster of the testbed, whose pool `p` is of a custom resource."""
    folder = folder_config(root, isolation)
    folder.root.mkdir()
    return RayConfig(
        folder,
        cluster.url,
        {"p": RayPool({"h800": 1}, cpus_per_card=0.1)},
        python=sys.executable,
        poll_s=0.2,
        lag_s=5.0,
        beat_dead_s=5.0,
    )


@contextmanager
def ray_bench(root: Path, cluster: "RayCluster", isolation: str) -> Iterator[Bench]:
    """A real cluster by its Jobs API."""
    config = ray_config(root, cluster, isolation)
    with emptied(lambda: RayEngine(config, now_ms, steady_ms), 0.05, 90) as bench:
        yield bench


def kubernetes_config(root: Path, cluster: "KubernetesCluster", **more: object) -> KubernetesConfig:
    """Return a site on a cluster of the testbed, where a pod is a process and a volume a folder."""
    fields: dict[str, object] = {
        "pools": {"p": KubernetesPool("huawei.com/Ascend910", image="registry.example/train:1")},
        "kubeconfig": cluster.kubeconfig,
        "python": sys.executable,
        "lag_s": 5.0,
        "beat_dead_s": 5.0,
    }
    volume = Volume(host_path=str(root), mount=root)
    return KubernetesConfig(folder_config(root, "none"), volume, **(fields | more))  # type: ignore[arg-type]


@contextmanager
def kubernetes_bench(root: Path, cluster: "KubernetesCluster", **more: object) -> Iterator[Bench]:
    """A real control plane by its API."""
    config = kubernetes_config(root, cluster, **more)
    with ExitStack() as opened:

        def again() -> KubernetesEngine:
            engine = KubernetesEngine(config, now_ms, steady_ms)
            opened.callback(engine.close)
            return engine

        with emptied(again, 0.05, 180) as bench:
            yield bench
