"""Node placement never sells a card twice, says the same every time, and loses what its formulas say."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.kernel.errors import Broken, Refused
from hutong.core.placement import node_scores, nodes
from hutong.core.placement.arrays import Ints
from hutong.core.placement.fragmentation import (
    CARD,
    S_WEIGHT,
    demand_on,
    filled_loss,
    merge_types,
    next_pod_loss,
    scarce_weights,
    sigmoid_steps,
    stepped,
)
from hutong.core.placement.node_scores import NodePolicy
from hutong.core.placement.nodes import NOWHERE, NodePlacer, Nodes, PodTypes

A, B = 1, 2  # two models


def ints(*values: int) -> Ints:
    return np.array(values, dtype=np.int64)


def nodes_of(*rows: tuple[int, int, int, int]) -> Nodes:
    return Nodes(*(ints(*column) for column in zip(*rows, strict=True)))


def types_of(*rows: tuple[int, int, int, int, int, int]) -> PodTypes:
    return PodTypes(*(ints(*column) for column in zip(*rows, strict=True)))


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return cast("Callable[..., Any]", function.py_func)  # type: ignore[attr-defined]


# cores milli, MiB, cards, model / cores milli, MiB, cards, milli a card, models, weight
CLUSTER = nodes_of(
    (96_000, 400_000, 8, A), (32_000, 100_000, 4, A), (16_000, 100_000, 2, B), (8_000, 50_000, 1, B),
    (64_000, 200_000, 0, 0),
)  # fmt: skip
TYPES = types_of(
    (3_000, 1_000, 1, 810, 0, 5), (11_000, 8_000, 1, 1000, 0, 6), (8_000, 4_000, 1, 470, A, 2),
    (4_000, 4_000, 1, 230, 0, 1), (12_000, 9_000, 0, 0, 0, 3), (40_000, 90_000, 8, 1000, 0, 1),
    (8_000, 8_000, 2, 1000, B, 1),
)  # fmt: skip
ONE_CARD = ints(*([1000] + [0] * 7))


def random_stream(seed: int, pods: int = 60) -> tuple[Ints, Ints]:
    random = np.random.default_rng(seed)
    return random.integers(len(TYPES), size=pods), random.integers(1 << 62, size=pods)


def replay(placed: Ints, stream: Ints) -> Ints:
    """Take every pod off a full cluster by hand; return what is free (N, 10)."""
    free = np.zeros((len(CLUSTER), CARD + 8), np.int64)
    free[:, 0], free[:, 1] = CLUSTER.cpu_milli, CLUSTER.memory_mib
    for card in range(8):
        free[:, CARD + card] = np.where(CLUSTER.cards > card, 1000, 0)
    for kind, (node, mask) in zip(stream, placed, strict=True):
        if node < 0:
            continue
        free[node, 0] -= TYPES.cpu_milli[kind]
        free[node, 1] -= TYPES.memory_mib[kind]
        cards = [card for card in range(8) if mask >> card & 1]
        assert len(cards) == TYPES.cards[kind]
        assert not TYPES.models[kind] or TYPES.models[kind] & CLUSTER.model[node]
        for card in cards:
            free[node, CARD + card] -= TYPES.milli[kind]
    return free


@pytest.mark.parametrize("policy", list(NodePolicy))
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_nothing_is_taken_twice_and_all_that_fits_is_placed(policy: NodePolicy, seed: int) -> None:
    stream, draws = random_stream(seed)
    placer = NodePlacer(CLUSTER, TYPES, policy, np.random.default_rng(seed).permutation(len(CLUSTER)))
    placed = placer.place(stream, draws)
    free = replay(placed, stream)
    assert free.min() >= 0
    assert np.array_equal(free, placer.free)
    # What was refused last does not fit anywhere now either, for what is free only shrank.
    fixed = np.stack((CLUSTER.cards, CLUSTER.model), axis=1)
    for kind in set(stream[placed[:, 0] == NOWHERE].tolist()):
        row = TYPES.table()[kind]
        assert not any(node_scores.fits(free[n], fixed[n], row) for n in range(len(CLUSTER)))


@pytest.mark.parametrize("policy", list(NodePolicy))
def test_kept_scores_are_those_computed_anew(policy: NodePolicy) -> None:
    stream, draws = random_stream(7, 50)
    kept = NodePlacer(CLUSTER, TYPES, policy)
    for at in range(len(stream)):
        anew = NodePlacer(CLUSTER, TYPES, policy)
        anew._free, anew._tags = kept._free.copy(), kept._tags.copy()
        one, number = stream[at : at + 1], draws[at : at + 1]
        assert np.array_equal(kept.place(one, number), anew.place(one, number)), at


@pytest.mark.parametrize("policy", [NodePolicy.GPU_CLUSTERING, NodePolicy.FGD, NodePolicy.HUTONG])
def test_a_released_pod_leaves_the_cluster_as_it_was(policy: NodePolicy) -> None:
    stream, _ = random_stream(3)
    placer = NodePlacer(CLUSTER, TYPES, policy)
    first = placer.place(stream)
    for kind, (node, mask) in zip(stream, first, strict=True):
        if node >= 0:
            placer.release(int(kind), int(node), int(mask))
    assert np.array_equal(placer.free, replay(first[:0], stream[:0]))
    assert np.array_equal(placer.place(stream), first)


def test_one_call_or_many_and_the_plain_program_or_the_compiled_place_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, draws = random_stream(11, 40)
    compiled = {p: NodePlacer(CLUSTER, TYPES, p).place(stream, draws) for p in NodePolicy}
    for policy, placed in compiled.items():
        placer = NodePlacer(CLUSTER, TYPES, policy)
        parts = [placer.place(stream[:13], draws[:13]), placer.place(stream[13:], draws[13:])]
        assert np.array_equal(np.concatenate(parts), placed), policy
    for module in (node_scores, nodes):
        for name, value in list(vars(module).items()):
            if hasattr(value, "py_func"):
                monkeypatch.setattr(module, name, plain(value))
    for policy, placed in compiled.items():
        assert np.array_equal(NodePlacer(CLUSTER, TYPES, policy).place(stream, draws), placed), policy


def demand(*rows: tuple[int, int, int, int, int, int], model: int = A) -> Ints:
    table = types_of(*rows).table()
    return demand_on(model, table, table[:, S_WEIGHT], ints(*[1] * len(table)))


def test_the_next_pods_loss_by_hand() -> None:
    # 500 free on a card: a pod of 470 fits and loses nothing, one of 600 all, one without a card all too.
    mix = demand((1_000, 0, 1, 470, 0, 3), (1_000, 0, 1, 600, 0, 2), (1_000, 0, 0, 0, 0, 1))
    assert next_pod_loss(2_000, ints(500, 0, 0, 0, 0, 0, 0, 0), mix) == 3 * 0 + 2 * 500 + 1 * 500
    # A second card of 1000 lets both in: to the one of 600 the first card is still lost.
    assert next_pod_loss(2_000, ints(500, 1000, 0, 0, 0, 0, 0, 0), mix) == 2 * 500 + 1_500
    # Without the cores, or the model, all is lost to all.
    assert next_pod_loss(999, ints(500, 0, 0, 0, 0, 0, 0, 0), mix) == 6 * 500
    assert next_pod_loss(9_999, ONE_CARD, demand((1, 0, 1, 500, B, 4))) == 4 * 1000


def test_the_filled_loss_by_hand() -> None:
    # Two cards, cores for one pod of 400 only: 1600 of 2000 are lost to that type (weight 3); to the type of
    # 1000 with few cores nothing is (weight 1), so nothing is lost at best.
    mix = demand((5_000, 0, 1, 400, 0, 3), (2_000, 0, 1, 1000, 0, 1))
    two = ints(1000, 1000, 0, 0, 0, 0, 0, 0)
    assert filled_loss(6_000, two, mix, 4) == 3 * 1_600 + 1 * 0 + 4 * 0
    # With cores for two of 400 on one card, and nobody else: 200 is lost at best too.
    assert filled_loss(10_000, ONE_CARD, demand((5_000, 0, 1, 400, 0, 3)), 4) == 3 * 200 + 4 * 200
    assert filled_loss(10_000, ints(0, 0, 0, 0, 0, 0, 0, 0), mix, 4) == 0


def test_types_are_merged_without_memory_and_the_commonest_make_up_95_percent() -> None:
    table = types_of(
        (1_000, 7, 1, 500, 0, 60), (1_000, 9, 1, 500, 0, 30), (2_000, 7, 0, 0, 0, 4),
        (3_000, 7, 1, 1000, 0, 4), (9_000, 7, 1, 1000, A, 2),
    ).table()  # fmt: skip
    merged, common = merge_types(table)
    assert merged[:, [0, 5]].tolist() == [[1_000, 90], [2_000, 4], [3_000, 4], [9_000, 2]]
    # 90 % is not enough, nor is 94 % with the larger of the two types of four pods; 98 % is.
    assert common.tolist() == [1, 1, 1, 0]


def test_a_type_weighs_more_the_less_of_the_cluster_could_be_filled_with_it() -> None:
    table = types_of(
        (1_000, 0, 1, 1000, 0, 3), (1_000, 0, 1, 1000, B, 3), (96_000, 0, 8, 1000, 0, 1),
        (1, 0, 8, 1000, B, 1), (1, 0, 0, 0, 0, 5),
    ).table()  # fmt: skip
    weights = scarce_weights(table, CLUSTER.cpu_milli, CLUSTER.cards, CLUSTER.model)
    # Of 15 cards all, the 3 of model B, the 8 of the large node, and none; the last asks for no card.
    assert weights.tolist() == [64 * 3, 64 * 3 * 5, 64 * 15 // 8, 0, 0]


def test_the_steps_are_those_of_the_sigmoid() -> None:
    weight = 37
    steps = sigmoid_steps(weight)
    assert len(steps) == 99
    for change in range(-8 * 1000 * weight, 8 * 1000 * weight, 997):
        exact = 100 / (1 + float(np.exp(-change / weight / 1000)))
        if abs(exact - round(exact)) > 1e-6:
            assert stepped(change, steps) == int(exact), change
    assert stepped(0, steps) == 50


def test_the_known_policies_by_hand() -> None:
    free = ints(64_000, 9_999, 1000, 400, 0, 0, 0, 0, 0, 0)
    fixed, tags = ints(4, A), ints(1, 0, 0, 0, 0, 0, 0, 0, 0)
    shared, whole = ints(2_000, 1, 1, 300, 0, 1), ints(2_000, 1, 1, 1000, 0, 1)

    def score(policy: NodePolicy, spec: Ints) -> int:
        return node_scores.plain_score(int(policy), free, fixed, tags, spec)

    # 100 (1 - 62/128/2 - 1.1/8/2) = 68.9; 100 (1 - (64*2/128^2 + 1.4*0.3/8^2)/2) = 99.28
    assert score(NodePolicy.BEST_FIT, shared) == 68
    assert score(NodePolicy.DOT_PRODUCT, shared) == 99
    # The shared card with 40 % left: 100 - 4. A whole card must be broken into: 50 - 1.
    assert score(NodePolicy.GPU_PACKING, shared) == 96
    assert score(NodePolicy.GPU_PACKING, whole) == 49
    # 25 (8 - 1.4)/8 = 20, on 75 where only the like runs, on 0 among strangers.
    assert score(NodePolicy.GPU_CLUSTERING, shared) == 95
    assert score(NodePolicy.GPU_CLUSTERING, whole) == 20


def test_ties_go_to_the_first_in_the_order_given() -> None:
    same = nodes_of(*[(8_000, 8_000, 1, A)] * 3)
    one = types_of((1_000, 1, 1, 1000, 0, 1))
    for policy in (NodePolicy.BEST_FIT, NodePolicy.FGD, NodePolicy.HUTONG):
        placed = NodePlacer(same, one, policy, ints(2, 0, 1)).place(ints(0, 0, 0, 0))
        assert placed.tolist() == [[2, 1], [0, 1], [1, 1], [NOWHERE, 0]], policy


def test_our_policy_keeps_scarce_cards_for_those_who_need_them() -> None:
    # The small pod fits the rare model more tightly, but one pod in two can use no other model.
    pair = nodes_of((8_000, 9_000, 1, A), (16_000, 9_000, 2, B), (16_000, 9_000, 2, B))
    mix = types_of((4_000, 1, 1, 1000, 0, 1), (4_000, 1, 1, 1000, A, 1))
    placed = NodePlacer(pair, mix, NodePolicy.HUTONG).place(ints(0, 0, 0, 0, 1))
    assert placed[-1].tolist() == [0, 1]


def test_our_policy_keeps_cores_beside_cards_that_still_need_them() -> None:
    # A pod without cards would strand the free card of the first node; the second node's cards are all taken.
    pair = nodes_of((8_000, 9_000, 1, A), (8_000, 9_000, 0, 0))
    mix = types_of((8_000, 1, 0, 0, 0, 1), (4_000, 1, 1, 1000, 0, 1))
    placed = NodePlacer(pair, mix, NodePolicy.HUTONG).place(ints(0, 1))
    assert placed.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("cluster", "pods", "code"),
    [
        (nodes_of((1, 1, 9, 0)), types_of((1, 1, 1, 1000, 0, 1)), "bad_cards"),
        (nodes_of((1, 1, 1, 0)), types_of((1, 1, 2, 500, 0, 1)), "bad_pod"),
        (nodes_of((1, 1, 1, 0)), types_of((1, 1, 0, 500, 0, 1)), "bad_pod"),
    ],
)
def test_what_cannot_be_is_refused(cluster: Nodes, pods: PodTypes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        NodePlacer(cluster, pods, NodePolicy.FGD)
    assert caught.value.code == code


def test_a_pod_or_a_draw_that_there_is_not_is_refused() -> None:
    placer = NodePlacer(CLUSTER, TYPES, NodePolicy.RANDOM)
    for stream, draws in ((ints(len(TYPES)), None), (ints(-1), None), (ints(0, 1), ints(5))):
        with pytest.raises(Refused):
            placer.place(stream, draws)
    assert len(placer.place(ints())) == 0


def test_cards_are_not_given_back_twice() -> None:
    placer = NodePlacer(CLUSTER, TYPES, NodePolicy.HUTONG)
    node, mask = placer.place(ints(1))[0].tolist()
    placer.release(1, node, mask)
    for wrong in (mask, 0, 3):
        with pytest.raises(Broken):
            placer.release(1, node, wrong)


def test_an_order_that_is_no_permutation_is_refused() -> None:
    with pytest.raises(Refused, match="once"):
        NodePlacer(CLUSTER, TYPES, NodePolicy.FGD, ints(0, 0, 1, 2, 3))
