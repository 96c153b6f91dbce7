"""Nodes as Slurm 22.05 and 23.11 print them, grouped into the pools that an operator is shown."""

from hutong.adapters.engines.slurm import survey
from hutong.adapters.engines.slurm.nodes import read_nodes

# Lines as `scontrol --all --oneliner show node` prints them, cut to what matters and with what misleads.
NODE = (
    "NodeName={name} Arch=x86_64 CoresPerSocket=48  CPUAlloc=0 {cpus} CPULoad=0.01 "
    "AvailableFeatures={features} ActiveFeatures=(null) Gres={gres} NodeAddr=10.0.0.1 Port=6818 "
    "OS=Linux 5.14.0 #1 SMP RealMemory=1031000 AllocMem=0 Sockets=2 {more}State={state} ThreadsPerCore=2 "
    "Partitions={partitions}  BootTime=2026-01-01T00:00:00 CfgTRES=cpu=96 "
    "Reason=replacing Gres=gpu:old:1 State=FAIL [root@2026-01-01T00:00:00]"
)
PARTITIONS = (
    "PartitionName=gpu AllowGroups=ALL Default=YES QoS=N/A MaxTime=2-00:00:00 Nodes=g[1-3] State=UP\n"
    "PartitionName=old AllowGroups=ALL Default=NO QoS=N/A MaxTime=UNLIMITED Nodes=g[1-3] State=DOWN\n"
)


def node(name: str, gres: str, **more: str) -> str:
    given = {"cpus": "CPUEfctv=94 CPUTot=96", "features": "(null)", "state": "IDLE", "more": ""}
    given["partitions"] = "gpu"
    return NODE.format(name=name, gres=gres, **{**given, **more})


def pools(*lines: str, memory_counts: bool = True) -> dict[str, survey.FoundPool]:
    groups = survey.groups(read_nodes("\n".join(lines)))
    known = survey.partitions(PARTITIONS)
    return {pool.id: pool for pool in survey.pools(groups, known, memory_counts=memory_counts)}


def settings(pool: survey.FoundPool) -> dict[str, object]:
    return {each.name: each.value for each in pool.settings}


def test_like_nodes_are_one_pool_with_the_lines_that_reach_it() -> None:
    found = pools(
        node("g1", "gpu:nvidia_h100_80gb_hbm3:8(S:0-1)", more="MemSpecLimit=31000 "),
        node("g2", "gpu:nvidia_h100_80gb_hbm3:8(S:0,1)", state="MIXED+PLANNED", more="MemSpecLimit=31000 "),
    )
    pool = found["h100"]
    assert (pool.accelerator, pool.nodes, pool.cards_per_node, pool.cpus_per_node) == ("H100", 2, 8, 94)
    assert pool.memory_bytes_per_node == 1_000_000 << 20, "what the node keeps for itself is no job's"
    assert settings(pool) == {
        "partition": "gpu", "gres": "gpu:nvidia_h100_80gb_hbm3", "cpus_per_card": 11,
        "memory_mb_per_card": 125_000,
    }  # fmt: skip
    assert pool.review == ()
    assert "longer than 2-00:00:00" in pool.settings[0].review


def test_an_unknown_chip_is_kept_and_flagged() -> None:
    pool = pools(node("g1", "npu:zz9:16"))["zz9"]
    assert (pool.accelerator, pool.known) == ("zz9", False)
    assert "not in the catalogue" in " ".join(pool.review)


def test_devices_that_are_no_cards_make_no_pool_and_plain_nodes_offer_cores() -> None:
    found = pools(node("g1", "nic:ib:2,mps:100"))
    assert list(found) == ["cpu"]
    assert (found["cpu"].accelerator, found["cpu"].cards_per_node) == ("CPU", 94)
    assert "gres" not in settings(found["cpu"])


def test_nodes_that_are_down_are_counted_and_named() -> None:
    lines = [
        node("g1", "gpu:h20:8"),
        node("g2", "gpu:h20:8", state="DOWN*+DRAIN"),
    ]
    pool = pools(*lines)["h20"]
    assert pool.nodes == 2
    assert "1 of its 2 nodes" in pool.review[0]
    assert "g2" in pool.review[0]


def test_the_partition_that_is_up_is_proposed_and_the_others_are_named() -> None:
    setting = pools(node("g1", "gpu:a100:4", partitions="old,gpu"))["a100"].settings[0]
    assert setting.value == "gpu"
    assert "gpu, old" in setting.review


def test_pools_that_the_device_does_not_tell_apart_get_a_feature_that_does() -> None:
    found = pools(
        node("g1", "gpu:h100:8", features="nvlink,rack1"),
        node("g2", "gpu:h100:8", features="nvlink,rack2"),
        node("g3", "gpu:h100:4", features="pcie,rack1"),
    )
    assert settings(found["h100"])["constraint"] == "nvlink"
    assert settings(found["h100-2"])["constraint"] == "pcie"


def test_without_such_a_feature_the_operator_is_told() -> None:
    found = pools(node("g1", "gpu:h100:8"), node("g2", "gpu:h100:4"))
    for pool in found.values():
        doubt = next(each for each in pool.settings if each.name == "constraint")
        assert doubt.value == ""
        assert "no feature tells them apart" in doubt.review


def test_memory_is_asked_for_only_where_slurm_gives_it_out() -> None:
    assert "memory_mb_per_card" not in settings(pools(node("g1", "gpu:h20:8"), memory_counts=False)["h20"])


def test_a_chip_whose_devices_slurm_does_not_announce_gets_its_variable_and_its_doubt() -> None:
    pool = pools(node("g1", "npu:910b:8"))["ascend910b"]
    assert settings(pool)["visible"] == "ASCEND_RT_VISIBLE_DEVICES"


def test_two_kinds_of_card_in_one_node_are_two_pools() -> None:
    found = pools(node("g1", "gpu:h100:4,gpu:a100:2"))
    assert {name: pool.cards_per_node for name, pool in found.items()} == {"h100": 4, "a100": 2}
    assert "another kind" in " ".join(found["h100"].review)


def test_nodes_outside_of_every_partition_take_no_jobs() -> None:
    assert pools(node("g1", "gpu:h100:4", partitions="(null)")) == {}
