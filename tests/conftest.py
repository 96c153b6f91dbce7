"""Real engines and databases that serve all tests of a worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from testbeds.kubernetes import KubernetesCluster, Node
from testbeds.ray import RayCluster
from testbeds.slurm import Nodes, SlurmCluster
from tests.postgres import Postgres

from hutong.adapters.engines.slurm.config import RestConfig
from hutong.adapters.store.open import migrate


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """A running PostgreSQL."""
    with Postgres() as running:
        yield running


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a SQLite store of this release, to be copied: migrations take long."""
    path = tmp_path_factory.mktemp("store") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[SlurmCluster]:
    """A real Slurm cluster of three nodes with four declared cards each."""
    with SlurmCluster("alpha", nodes=[Nodes(count=3, gres="gpu:h800:4")]) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """A real Ray cluster of three nodes with four cards of two kinds each."""
    with RayCluster(nodes=3, resources={"h800": 4, "NPU": 4}) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm_rest() -> Iterator[tuple[SlurmCluster, RestConfig]]:
    """Another such cluster and its slurmrestd, with tokens of the user who runs the tests."""
    with SlurmCluster("beta", nodes=[Nodes(count=3, gres="gpu:h800:4")]) as cluster:
        token = ("env", f"SLURM_CONF={cluster.conf}", "scontrol", "token", "lifespan=600")
        yield cluster, RestConfig(cluster.start_rest(), token_command=token)


@pytest.fixture(scope="session")
def kubernetes_cluster() -> Iterator[KubernetesCluster]:
    """A real Kubernetes of three nodes with eight cards each."""
    nodes = [Node(f"npu-{number}", {"huawei.com/Ascend910": 8}) for number in range(3)]
    with KubernetesCluster(nodes) as cluster:
        yield cluster
