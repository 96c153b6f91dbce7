"""The openb reader says what is wrong in a file; the experiment inflates as FGD does and can be repeated."""

from pathlib import Path

import numpy as np
import pytest

from hutong.core.kernel.errors import Refused
from hutong.core.placement.defragmentation import Effort
from hutong.core.placement.node_scores import NodePolicy
from hutong.sim.openb import Outcome, defragmented, experiment, inflate, read_workload

NODES = "sn,cpu_milli,memory_mib,gpu,model\n" + "".join(
    f"n{i},32000,131072,{cards},{model}\n"
    for i, (cards, model) in enumerate([(4, "T4")] * 6 + [(2, "P100")] * 4)
)
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n" + "".join(
    f"p{i},{row}\n"
    for i, row in enumerate(
        ["3000,1000,1,810,"] * 4
        + ["11000,2000,1,1000,"] * 4
        + ["4000,2000,1,470,T4|P100"] * 2
        + ["9000,1000,0,0,"] * 2
        + ["8000,4000,2,1000,T4"]
        + ["8000,4000,1,1000,A10"]
    )
)


def write(folder: Path, nodes: str = NODES, pods: str = PODS) -> tuple[Path, Path]:
    (folder / "nodes.csv").write_text(nodes, "utf-8")
    (folder / "pods.csv").write_text(pods, "utf-8")
    return folder / "nodes.csv", folder / "pods.csv"


def test_a_workload_is_read_with_its_types_and_models(tmp_path: Path) -> None:
    workload = read_workload(*write(tmp_path))
    assert workload.capacity_milli == 32_000
    assert len(workload.types) == 6
    assert len(workload.kinds) == 14
    masks = {int(m): int(w) for m, w in zip(workload.types.models, workload.types.weight, strict=True) if m}
    p100, t4 = 1, 2  # bits by name
    assert masks.pop(p100 | t4) == 2
    assert masks.pop(t4) == 1
    # A model that no node has is asked for by a bit that none has.
    assert [mask & (p100 | t4) for mask in masks] == [0]
    assert sorted(workload.types.weight.tolist()) == [1, 1, 2, 2, 4, 4]


@pytest.mark.parametrize("seed", [42, 43])
def test_the_stream_is_the_list_in_another_order_and_then_more_of_it(tmp_path: Path, seed: int) -> None:
    workload = read_workload(*write(tmp_path))
    asked = workload.types.cards * workload.types.milli
    stream = inflate(workload, 130, seed)
    assert sorted(stream[:14].tolist()) == sorted(workload.kinds.tolist())
    # FGD stops before the first pod whose share of one card would pass the target.
    assert 130 * 320 - 1000 < asked[stream].sum() <= 130 * 320 + 1000
    assert np.array_equal(stream, inflate(workload, 130, seed))
    # A list that asks for too much loses pods instead.
    assert asked[inflate(workload, 20, seed)].sum() <= 20 * 320


def test_runs_can_be_repeated_and_ours_allocates_at_least_as_much_as_chance(tmp_path: Path) -> None:
    workload = read_workload(*write(tmp_path))
    end = {}
    for policy in NodePolicy:
        one, other = (experiment(workload, policy, 42) for _ in range(2))
        assert np.array_equal(one.placed, other.placed)
        assert one.allocated_milli[-1] <= workload.capacity_milli
        assert np.all(np.diff(one.allocated_milli) >= 0)
        assert len(one.curve()) in {129, 130, 131}
        end[policy] = one.allocated_milli[-1]
    assert end[NodePolicy.HUTONG] >= end[NodePolicy.RANDOM]


def test_a_curve_is_the_mean_over_the_pods_that_round_to_a_percent() -> None:
    arrived = np.array([4, 6, 14, 34], dtype=np.int64)
    allocated = np.array([4, 6, 10, 20], dtype=np.int64)
    curve = Outcome(arrived, allocated, np.empty((0, 2), np.int64), 1000).curve()
    # 0.4 rounds to 0; 0.6 and 1.4 to 1; nobody to 2, so those beside it (1 and 3); 3.4 to 3.
    assert curve == pytest.approx([0.4, 0.8, (0.6 + 1.0 + 2.0) / 3, 2.0])


@pytest.mark.parametrize(
    ("nodes", "pods", "words"),
    [
        ("sn,cpu_milli\nn,1\n", PODS, "no column memory_mib"),
        ("", PODS, "no column cpu_milli, or no rows"),
        (NODES, PODS.replace("p5,11000", "p5,many"), "line 7: cpu_milli is 'many'"),
        (NODES, PODS.replace("p5,11000,2000,1,1000,", "p5,11000"), "line 7: memory_mib is None"),
        (NODES, PODS.replace("p0,3000,1000,1,810", "p0,3000,1000,2,810"), None),
    ],
)
def test_a_bad_file_is_refused_with_the_place(
    tmp_path: Path, nodes: str, pods: str, words: str | None
) -> None:
    paths = write(tmp_path, nodes, pods)
    with pytest.raises(Refused, match=words):
        experiment(read_workload(*paths), NodePolicy.FGD, 42)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        read_workload(tmp_path / "none.csv", tmp_path / "none.csv")


@pytest.mark.parametrize("may_wait", [False, True])
def test_room_is_made_and_nobody_is_lost_unless_tasks_may_wait(tmp_path: Path, *, may_wait: bool) -> None:
    workload = read_workload(*write(tmp_path))
    asked = workload.types.cards * workload.types.milli
    for seed in (42, 43, 44):
        plain = experiment(workload, NodePolicy.HUTONG, seed)
        run = defragmented(workload, NodePolicy.HUTONG, seed, Effort(2, 8, may_wait))
        stream, placed = inflate(workload, 130, seed), run.outcome.placed
        ran = placed[:, 0] >= 0
        assert run.outcome.allocated_milli[-1] == asked[stream[ran]].sum() <= workload.capacity_milli
        assert run.found <= run.searches
        # Until the first pod that fits nowhere nothing differs; whoever ran then still does.
        first = int(np.argmax(plain.placed[:, 0] < 0))
        assert np.array_equal(plain.allocated_milli[:first], run.outcome.allocated_milli[:first])
        if not may_wait:
            assert run.stopped == 0
            assert ran[:first].all()
            assert np.all(np.diff(run.outcome.allocated_milli) >= 0)
        nobody = defragmented(workload, NodePolicy.HUTONG, seed, Effort(0, 1))
        assert np.array_equal(nobody.outcome.placed, plain.placed)
        assert nobody.found == nobody.moves == 0 < nobody.searches
