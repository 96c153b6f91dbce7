"""The beds under test, one of each kind for the whole run."""

from collections.abc import Iterator

import pytest
from testbeds.kubernetes import KubernetesCluster, Node

DEVICE = "huawei.com/Ascend910"


@pytest.fixture(scope="session")
def cluster() -> Iterator[KubernetesCluster]:
    """Two nodes of eight devices; the second can be chosen by its label, and may be hurt."""
    nodes = [
        Node("npu-0", {DEVICE: 8}, labels={"zone": "a"}),
        Node("npu-1", {DEVICE: 8}, labels={"zone": "b"}),
    ]
    with KubernetesCluster(nodes=nodes, eviction_s=1) as running:
        yield running
