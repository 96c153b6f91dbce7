"""Real engines that serve all tests of a worker."""

from collections.abc import Iterator

import pytest
from testbeds.ray import RayCluster
from testbeds.slurm import Nodes, SlurmCluster


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[SlurmCluster]:
    """A real Slurm cluster of three nodes with four declared cards each."""
    with SlurmCluster("alpha", nodes=[Nodes(count=3, gres="gpu:h800:4")]) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """A real Ray cluster of three nodes with four cards each."""
    with RayCluster(nodes=3, resources={"h800": 4}) as cluster:
        yield cluster
