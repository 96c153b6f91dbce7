"""A Slurm engine on a real cluster, whose clock tests can put forward, and ways to do it harm."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from testbeds.slurm import Nodes, SlurmCluster, SlurmDatabase
from tests.conformance.benches import Bench, now_ms, slurm_config

from hutong.adapters.engines.attempt import files, tree
from hutong.adapters.engines.base import Order, Seen
from hutong.adapters.engines.slurm.commands import user_name
from hutong.adapters.engines.slurm.config import SlurmConfig, SlurmPool
from hutong.adapters.engines.slurm.engine import SlurmEngine
from hutong.agent.habits import steady_ms
from hutong.core.kernel.errors import Later
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.states import Category

GPU = "gpu:h800"
POOLS = {
    "p": SlurmPool(gres=GPU),
    "held": SlurmPool(gres=GPU, options=("--hold",)),
    "low": SlurmPool(gres=GPU, partition="low"),
    "graceful": SlurmPool(gres=GPU, partition="graceful"),
    "requeue": SlurmPool(gres=GPU, partition="requeue"),
    "short": SlurmPool(gres=GPU, partition="short"),
    "feature": SlurmPool(partition="main", constraint="roce"),
    "licence": SlurmPool(licenses="matlab:2"),
    "reserved": SlurmPool(reservation="ours"),
    "npu": SlurmPool(gres="npu:910c", visible="ASCEND_RT_VISIBLE_DEVICES"),
}
BEAT_DEAD_S = 20.0
LAG_S = 30.0


class Ticks:
    """Milliseconds that go on by themselves and jump ahead on demand."""

    def __init__(self) -> None:
        self._ahead_ms = 0

    def __call__(self) -> int:
        return steady_ms() + self._ahead_ms

    def jump(self, seconds: float) -> None:
        self._ahead_ms += int(seconds * 1000)


@dataclasses.dataclass
class Site(Bench):
    """One engine on a cluster."""

    cluster: SlurmCluster
    config: SlurmConfig
    ticks: Ticks

    def order(self, run: str, **more: object) -> Order:
        pool = str(more.pop("pool", "p"))
        order = super().order(run, **more)
        return dataclasses.replace(order, attempt=dataclasses.replace(order.attempt, pool=pool))

    def folder(self, key: AttemptKey) -> Path:
        return self.config.folder.root / "attempts" / key

    def work(self, key: AttemptKey) -> Path:
        return self.folder(key) / "work"

    def said(self, key: AttemptKey, name: str) -> dict[str, Any]:
        """Return a file of the attempt's folder."""
        told = files.read_json(self.folder(key) / name)
        assert told is not None, name
        return told

    def job_id(self, key: AttemptKey) -> str:
        """Return the number of the Slurm job that the attempt was submitted as."""
        return str(self.said(key, "submitted.json")["external"]).rpartition(":")[2]

    def jobs(self, key: AttemptKey) -> dict[str, str]:
        """Return number and state of each Slurm job of an attempt's name."""
        lines = self.cluster.run("squeue", "-h", "-t", "all", f"--name={key}", "-o", "%i %T").splitlines()
        return {line.split()[0]: line.split()[1] for line in lines}

    def until(self, good: Callable[[], object], within_s: float = 150.0) -> None:
        deadline = time.monotonic() + within_s
        while not good():
            assert time.monotonic() < deadline, "it never came to pass"
            time.sleep(0.05)

    def running(self, run: str = "echo up; sleep 600", **more: object) -> Order:
        """Return an order whose ranks are known to run: each has said `up`, and an agent has seen it."""
        order = self.order(run, **more)
        self.engine.submit(order)
        self.until(lambda: all("up" in self.log(order.key, rank) for rank in range(order.spec.num_nodes)))
        self.see(order.key)
        return order

    def ended(self, key: AttemptKey) -> Seen:
        """Return the end of an attempt; Slurm may be silent now and then on the way."""
        found: list[Seen] = []

        def over() -> bool:
            try:
                seen = self.see(key)
            except Later:
                return False
            if seen is not None and seen.ended is not None:
                found.append(seen)
            return bool(found)

        self.until(over)
        return found[0]

    def fails(self, key: AttemptKey, category: Category, words: str) -> Seen:
        """Return the end of an attempt, which is of this category and tells of this."""
        seen = self.ended(key)
        assert seen.ended is not None
        assert (seen.ended.category, words in seen.ended.reason) == (category, True), seen
        assert not (self.folder(key) / files.SECRETS).exists()
        assert tree.carrying(key) == []
        return seen

    def with_(self, **changes: object) -> "Site":
        """Return another agent's view of the same folder, which remembers nothing."""
        config = dataclasses.replace(self.config, **changes)  # type: ignore[arg-type]
        return _site(self.cluster, config, self.ticks)


def _site(cluster: SlurmCluster, config: SlurmConfig, ticks: Ticks) -> Site:
    def again() -> SlurmEngine:
        return SlurmEngine(config, now_ms, ticks)

    return Site(again(), lambda: time.sleep(0.05), again, cluster, config, ticks)


@contextmanager
def open_site(root: Path, cluster: SlurmCluster, *, stays: bool = False) -> Iterator[Site]:
    """Give a site without isolation below `root`; its jobs are ended where the cluster `stays`."""
    config = dataclasses.replace(
        slurm_config(root, cluster, "none"),
        pools=POOLS,
        poll_s=0.1,
        lag_s=LAG_S,
        beat_dead_s=BEAT_DEAD_S,
    )
    site = _site(cluster, config, Ticks())
    yield site
    if stays:
        cluster.run("scancel", f"--user={user_name()}")
        site.until(lambda: not cluster.run("squeue", "-h").strip())


@pytest.fixture(scope="session")
def cluster() -> Iterator[SlurmCluster]:
    """A cluster with two kinds of devices and partitions for every kind of preemption."""
    low = "Nodes=ALL PriorityTier=1"
    with SlurmCluster(
        "site",
        nodes=[Nodes(count=2, gres="gpu:h800:4"), Nodes(gres="npu:910c:8", features=["roce"], prefix="m")],
        partitions={
            "main": "Nodes=ALL Default=YES PriorityTier=5 PreemptMode=OFF",
            "low": f"{low} PreemptMode=CANCEL",
            "graceful": f"{low} PreemptMode=CANCEL GraceTime=60",
            "requeue": f"{low} PreemptMode=REQUEUE",
            "short": f"{low} PreemptMode=OFF MaxTime=1",
            "high": "Nodes=ALL PriorityTier=10 PreemptMode=OFF",
        },
        settings={
            "PreemptType": "preempt/partition_prio",
            "PreemptMode": "REQUEUE",
            "Licenses": "matlab:2",
        },
    ) as started:
        yield started


@pytest.fixture
def site(tmp_path: Path, cluster: SlurmCluster) -> Iterator[Site]:
    with open_site(tmp_path, cluster, stays=True) as opened:
        yield opened


@pytest.fixture
def frail(tmp_path: Path) -> Iterator[Site]:
    """A site on a cluster of its own, whose daemons a test may kill; a silent node is given up soon."""
    with (
        SlurmCluster(
            "frail",
            nodes=[Nodes(count=2, gres="gpu:h800:4")],
            slurmd_timeout_s=6,
            min_job_age_s=2,
            settings={"MessageTimeout": "3"},
        ) as cluster,
        open_site(tmp_path, cluster) as opened,
    ):
        yield opened


@pytest.fixture(scope="session")
def database() -> Iterator[SlurmDatabase]:
    with SlurmDatabase() as started:
        yield started


@pytest.fixture
def accounted(tmp_path: Path, database: SlurmDatabase) -> Iterator[Site]:
    """A site on a cluster with accounting, which forgets ended jobs soon."""
    with (
        SlurmCluster(
            "accounted",
            nodes=[Nodes(count=2, gres="gpu:h800:4")],
            database=database,
            min_job_age_s=2,
            settings={"AccountingStoreFlags": "job_comment"},
        ) as cluster,
        open_site(tmp_path, cluster) as opened,
    ):
        yield opened
