"""What nodes and queues say of pools: read from real answers' shapes, and on a real cluster."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from testbeds.slurm import Nodes, SlurmCluster
from tests.conformance.benches import now_ms, slurm_bench, slurm_config

from hutong.adapters.engines.slurm.config import SlurmPool
from hutong.adapters.engines.slurm.engine import SlurmEngine
from hutong.adapters.engines.slurm.nodes import (
    median_waits,
    pool_states,
    read_devices,
    read_nodes,
    read_waits,
)
from hutong.adapters.engines.slurm.parse import Record
from hutong.agent.habits import steady_ms
from hutong.core.capacity.sites import PoolState
from hutong.core.capacity.spread import Spread
from hutong.core.work.states import AttemptState

NODES = """\
NodeName=a1 State=MIXED Partitions=main,ai Gres=gpu:h100:8(S:0-1),npu:910c:16 GresUsed={USED}
NodeName=a2 State=IDLE+DRAIN Partitions=main Gres=gpu:h100:8 GresUsed=gpu:h100:0(IDX:N/A) Reason=bad fan
NodeName=a3 State=IDLE+CLOUD+POWERED_DOWN Partitions=main Gres=gpu:h100:8
NodeName=a4 State=DOWN*+SOMETHING_NEW Partitions=main Gres=gpu:h100:8
NodeName=a5 State=IDLE Partitions=other Gres=gpu:h100:8
what is this line
""".replace("{USED}", "gpu:h100:3(IDX:0-2),npu:910c:0(IDX:N/A)")


def test_counts_by_device() -> None:
    assert read_devices("gpu:h100:8(S:0-1),npu:910c:16") == {"gpu:h100": 8, "npu:910c": 16}
    assert read_devices("gpu:4") == {"gpu": 4}
    assert read_devices("gpu:a100_1g.5gb:7(IDX:0-6)") == {"gpu:a100_1g.5gb": 7}
    assert read_devices("(null)") == read_devices("") == read_devices("nonsense") == {}


def test_a_pool_is_what_is_up_in_its_partition_less_what_others_hold() -> None:
    pools = {
        "h": SlurmPool(gres="gpu:h100"),
        "n": SlurmPool(gres="npu:910c", partition="ai"),
        "cpu": SlurmPool(),
        "any": SlurmPool(gres="gpu"),  # jobs that name no type get a device of any
    }
    ours = {"h": [(1, 2)], "any": [(1, 3)]}
    states = pool_states(pools, read_nodes(NODES), {"main": 90}, ours, "main")
    assert [replace(each, spread=None) for each in states] == [
        PoolState("h", 16, 1, 90), PoolState("n", 16, 0, 0), PoolState("any", 16, 0, 90),
    ]  # fmt: skip
    spreads = {each.pool: each.spread for each in states}
    assert spreads["h"] == Spread((0, 0, 0, 0, 0, 1, 0, 0, 1), ((1, 2, 1),)), (
        "of a1 and a3: the others are down"
    )
    assert spreads["n"] == Spread((0,) * 16 + (1,))
    assert spreads["any"] == Spread((0, 0, 0, 0, 0, 1, 0, 0, 1), ((1, 3, 1),))


def test_a_node_without_a_processor_left_has_no_card_to_give() -> None:
    told = """\
NodeName=b1 State=ALLOCATED Partitions=p Gres=gpu:8 GresUsed=gpu:2(IDX:0-1) CPUAlloc=64 CPUEfctv=64 CPUTot=64
NodeName=b2 State=MIXED Partitions=p Gres=gpu:8 GresUsed=gpu:2(IDX:0-1) CPUAlloc=16 CPUEfctv=64 CPUTot=64
"""
    (state,) = pool_states({"p": SlurmPool(gres="gpu")}, read_nodes(told), {}, {"p": [(2, 4)]}, "p")
    assert state == PoolState("p", 16, 0, 0, Spread((1, 0, 0, 0, 0, 0, 1), ((2, 2, 1),)))


def test_only_jobs_that_wait_for_nodes_make_a_wait() -> None:
    rows = [
        ("main", "100", "Resources"),
        ("main,ai", "400", "Priority"),
        ("main", "0", "JobHeldUser"),
        ("x", "", ""),
    ]
    text = "\n".join("\x1f".join([*row, "name"]) for row in rows)
    assert median_waits(read_waits(text), 500) == {"main": 250, "ai": 100}


@pytest.mark.slow
def test_a_real_cluster_tells_what_is_down_held_by_others_and_waited_for(tmp_path: Path) -> None:
    with SlurmCluster("gamma", nodes=[Nodes(count=2, gres="gpu:h800:4")]) as cluster:
        config = slurm_config(tmp_path, cluster, "none")

        def states() -> tuple[PoolState, ...]:
            return SlurmEngine(config, now_ms, steady_ms).capacity()

        assert states() == (PoolState("p", 8, 0, 0, Spread((0, 0, 0, 0, 2))),)
        job = cluster.run("sbatch", "--parsable", "--gres=gpu:h800:3", "--wrap=sleep 600").strip()
        cluster.wait_for_job(job, "RUNNING")
        assert states() == (PoolState("p", 8, 3, 0, Spread((0, 1, 0, 0, 1))),)
        busy = cluster.job(job)["NodeList"]
        idle = next(name for name in cluster.node_names if name != busy)
        cluster.drain(idle, "a test")
        assert states() == (PoolState("p", 4, 3, 0, Spread((0, 1))),)
        cluster.run("sbatch", "--gres=gpu:h800:4", "--wrap=true")
        deadline = time.monotonic() + 60
        while not states()[0].wait_s:
            assert time.monotonic() < deadline, "the queue's wait was never seen"
            time.sleep(0.2)


@pytest.mark.slow
def test_own_jobs_are_not_counted_as_others(tmp_path: Path, slurm_cluster: SlurmCluster) -> None:
    slurm_cluster.wait_idle()  # what an earlier test started is another platform's, and may be ending yet
    with slurm_bench(tmp_path, slurm_cluster, "none") as bench:
        order = bench.order("sleep 600")
        bench.engine.submit(order)
        bench.wait(order.key, lambda seen: seen.state is AttemptState.RUNNING)
        (state,) = bench.engine.capacity()
        assert state.cards_elsewhere == 0


def test_nodes_that_start_up_for_a_job_are_its_own() -> None:
    held = [Record("1", "n", state).holding for state in ("RUNNING", "COMPLETING", "CONFIGURING")]
    assert held == [True] * 3
    assert not any(
        Record("1", "n", state).holding for state in ("PENDING", "REQUEUED", "COMPLETED", "TIMEOUT")
    )
