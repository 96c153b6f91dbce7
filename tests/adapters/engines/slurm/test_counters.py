"""What Slurm's energy counters say of a job: each node once, and nothing where they cannot be its own."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.adapters.engines.slurm import accounting, build
from hutong.adapters.engines.slurm.accounting import Counters, arguments, read_text, uses_of
from hutong.adapters.engines.slurm.commands import _plugins
from hutong.adapters.engines.slurm.energy import NODE_MOST_W, Step, count
from hutong.adapters.engines.slurm.nodes import shared_partitions

RECORDED = Path(__file__).parent / "recorded" / "22.05"
CPUS = {"n1": 8, "n2": 8}
# As our agent runs two nodes: the batch step on the first, a rank's step on each, a command beside one.
STEPS = (
    Step("7.batch", "n1", 1, 5_000),
    Step("7.0", "n1", 1, 4_900),
    Step("7.1", "n2", 1, 6_000),
    Step("7.2", "n2", 1, 30),
)
SUBMITTED_S = 1_795_889_000
KEY = "ht-01jd0000000000000000000000-a1"


def told(steps: tuple[Step, ...] = STEPS, **more: object) -> tuple[int | None, str]:
    given: dict[str, object] = {"nodes": 2, "cpus": 16, "elapsed_s": 60, "plugin": "ipmi", "node_cpus": CPUS}
    found = count(steps, **(given | more))  # type: ignore[arg-type]
    return found.energy_j, found.basis


def test_each_node_counts_once_though_its_steps_overlap() -> None:
    assert told() == (11_000, "slurm/ipmi: whole nodes")
    assert told((STEPS[0],), nodes=1, cpus=8)[0] == 5_000
    assert told(plugin="gpu")[1] == "slurm/gpu: the cards of whole nodes"


def test_the_external_step_of_all_nodes_has_what_came_before_the_ranks() -> None:
    assert told((*STEPS, Step("7.extern", "n[1-2]", 2, 12_500)))[0] == 12_500
    assert told((*STEPS, Step("7.3", "n[1-2]", 2, 12_500)))[0] == 11_000


@pytest.mark.parametrize("nothing", [0, 2**32 - 2, 2**32 - 1])
def test_a_node_without_a_count_leaves_the_job_uncounted(nothing: int) -> None:
    steps = (STEPS[0], replace(STEPS[2], energy_j=nothing))
    assert told(steps) == (None, "not counted: 1 of 2 nodes have counters")
    assert told(()) == (None, "not counted: 0 of 2 nodes have counters")
    assert told((), nodes=0)[0] is None


def test_a_job_that_shares_nodes_is_not_counted_and_says_so() -> None:
    assert told(cpus=15) == (None, "not counted: it may have shared its nodes")
    assert told(node_cpus={"n1": 8}) == (None, "not counted: a node is gone, or its partition shares it")


@pytest.mark.parametrize("plugin", ["rapl", "gpu,ipmi", "new"])
def test_counters_of_something_else_are_not_taken(plugin: str) -> None:
    assert told(plugin=plugin) == (None, f"not counted: slurm/{plugin} does not cover cards")


def test_partitions_whose_jobs_may_share_cpus() -> None:
    told = (RECORDED / "scontrol_partition.txt").read_text()
    assert shared_partitions(told) == frozenset()
    for word, shared in (("FORCE:4", True), ("YES:2", True), ("FORCE:1", False), ("EXCLUSIVE", False)):
        line = told.splitlines()[0]
        assert "OverSubscribe=NO" in line
        assert bool(shared_partitions(line.replace("OverSubscribe=NO", f"OverSubscribe={word}"))) == shared


def test_what_cannot_be_is_not_counted() -> None:
    most = NODE_MOST_W * 60
    steps = (Step("7.batch", "n1", 1, most), Step("7.1", "n2", 1, most))
    assert told(steps)[0] == 2 * most
    assert told((replace(steps[0], energy_j=most + 1), steps[1]))[0] is None
    assert told(elapsed_s=0)[0] is None


steps = st.lists(
    st.builds(
        Step,
        st.just("7.0"),
        st.sampled_from(["n1", "n2", "n[1-2]"]),
        st.integers(0, 3),
        st.integers(0, 2**63),
    ),
    max_size=6,
)


@settings(max_examples=60)
@given(steps, st.integers(0, 3), st.integers(0, 20), st.integers(0, 10**6))
def test_whatever_slurm_says_a_count_is_possible_and_never_a_sum_of_steps_of_a_node(
    some: list[Step], nodes: int, cpus: int, elapsed_s: int
) -> None:
    energy_j, basis = told(tuple(some), nodes=nodes, cpus=cpus, elapsed_s=elapsed_s)
    assert basis
    if energy_j is not None:
        assert 0 < energy_j <= nodes * elapsed_s * NODE_MOST_W
        assert energy_j <= sum(
            max((each.energy_j for each in some if each.nodes == node), default=0) for node in CPUS
        )


def lines(*rows: dict[str, str]) -> str:
    names = (*accounting.FIELDS, *accounting.STEP_FIELDS)
    return "\n".join(build.SEPARATOR.join(row.get(name, "") for name in names) for row in rows)


def test_steps_stand_with_the_start_that_they_are_of_also_of_a_requeued_job() -> None:
    job = {
        "JobIDRaw": "7", "JobName": KEY, "Submit": str(SUBMITTED_S), "Start": str(SUBMITTED_S),
        "End": str(SUBMITTED_S + 60), "ElapsedRaw": "60", "AllocTRES": "cpu=8,gres/gpu=4,node=1",
        "Cluster": "bj", "NNodes": "1", "NodeList": "n1",
    }  # fmt: skip
    again = job | {
        "Submit": str(SUBMITTED_S + 70),
        "Start": str(SUBMITTED_S + 80),
        "End": str(SUBMITTED_S + 90),
    }
    step = {"JobIDRaw": "7.batch", "NNodes": "1", "NodeList": "n1", "ConsumedEnergyRaw": "5000"}
    stray = step | {"JobIDRaw": "71.batch", "ConsumedEnergyRaw": "9"}
    text = lines(
        step, job, step, stray, again, step | {"ConsumedEnergyRaw": "700"}, again | {"JobIDRaw": "8"}
    )
    rows = read_text(text)
    assert [[each.energy_j for each in row.steps] for row in rows] == [[5000], [700], []]
    span = (SUBMITTED_S, SUBMITTED_S + 3600)
    found = uses_of(rows, span, "", ["gpu"], lambda _: 0, Counters("ipmi", CPUS))
    assert [(each.energy_j, each.energy_basis) for each in found] == [
        (5000, "slurm/ipmi: whole nodes"),
        (700, "slurm/ipmi: whole nodes"),
        (None, "not counted: 0 of 1 nodes have counters"),
    ]
    silent = uses_of(rows, span, "", ["gpu"], lambda _: 0)
    assert {(each.energy_j, each.energy_basis) for each in silent} == {(None, "")}


def test_the_steps_of_a_real_cluster_are_read() -> None:
    command = json.loads((RECORDED / "commands.json").read_text())["commands"]["sacct.txt"]
    have = command[command.index("-o") + 1].split(",")
    text = (RECORDED / "sacct.txt").read_text().split("\n")[1:]
    rows = [dict(zip(have, line.split(build.SEPARATOR), strict=False)) for line in text]
    found = {each.id: each for each in read_text(lines(*rows))}
    assert [(each.id, each.nodes, each.count) for each in found["3"].steps] == [
        ("3.batch", "rec-n1", 1), ("3.0", "rec-n[1-2]", 2), ("3.1", "rec-n[1-2]", 2),
    ]  # fmt: skip
    assert found["3"].nodes == 2
    counted = Counters("ipmi", {"rec-n1": 4, "rec-n2": 4}).of(found["3"])
    assert counted.energy_j is None  # no plugin ran there: all steps say 0


def test_steps_are_asked_for_only_where_something_counts() -> None:
    plain, steps_too = arguments("li", 0, 60), arguments("li", 0, 60, steps=True)
    assert "--allocations" in plain
    assert "--allocations" not in steps_too
    assert steps_too[-1].endswith("NNodes,NodeList,ConsumedEnergyRaw")


@pytest.mark.parametrize(
    ("told_of", "names"),
    [
        ("acct_gather_energy/ipmi", "ipmi"), ("acct_gather_energy/none", ""), ("(null)", ""), ("", ""),
        ("acct_gather_energy/gpu,acct_gather_energy/ipmi", "gpu,ipmi"),
    ],
)  # fmt: skip
def test_the_plugins_of_a_cluster(told_of: str, names: str) -> None:
    assert _plugins(told_of) == names
