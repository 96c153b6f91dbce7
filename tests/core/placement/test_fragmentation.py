"""The part fragmentation: how many whole nodes a job breaks in a pool, in receipts, turns and simulations."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_queue import placed, receipts, scene, site, waiting
from tests.core.control.test_scattered import told
from tests.core.placement.test_decide import POOL, REQUEST
from tests.core.placement.test_reliability import OLD, fetch_old

from hutong.core.capacity.spread import Spread, begun, has_room, spread_of, taken
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.documents import encode
from hutong.core.placement import columns as c
from hutong.core.placement import kernel
from hutong.core.placement.board import Account, Class, make_board, shelves_of
from hutong.core.placement.board import Rules as Pass
from hutong.core.placement.columns import PPM, UNTOLD, Backfill
from hutong.core.placement.counterfactual import what_if
from hutong.core.placement.decide import decide
from hutong.core.placement.judge import unbroken_ppm
from hutong.core.placement.receipt import open_receipt
from hutong.core.placement.request import Policy, PoolView, Request
from hutong.core.work.spec import Ask
from hutong.server.api.shapes.receipts import alternatives

WHOLEST = Policy("wholest", fit=0, price=0, wait=0, distance=0, green=0, fragmentation=1)
RULES = Rules(policies={"balanced": WHOLEST})
MIXED = replace(POOL, levels=(0, 0, 1, 0, 1, 0, 0, 0, 2), cards_free=22)
"""Four nodes of eight cards: two whole, one with four free, one with two."""


def ask(nodes: int, cards: int) -> Request:
    return replace(REQUEST, nodes=nodes, asks=(Ask("H100", cards),))


def said(request: Request, *views: PoolView) -> list[tuple[int, str]]:
    """Return value and words of the part for each pool, in the order of their scores."""
    rows = alternatives(decide(request, views, WHOLEST), views, request, WHOLEST)
    return [(part.value_ppm, part.raw) for row in rows for part in row.parts]


@pytest.mark.parametrize(
    ("nodes", "cards", "told"),
    [
        (1, 2, (PPM, "breaks 0 whole nodes of 1")),
        (2, 2, (PPM, "breaks 0 whole nodes of 2")),
        (3, 2, (666_666, "breaks 1 whole node of 3")),
        (4, 1, (500_000, "breaks 2 whole nodes of 4")),
        (2, 4, (500_000, "breaks 1 whole node of 2")),
        (2, 5, (0, "breaks 2 whole nodes of 2")),
        (1, 7, (0, "breaks 1 whole node of 1")),
        (2, 8, (PPM, "takes whole nodes")),
    ],
)
def test_by_hand(nodes: int, cards: int, told: tuple[int, str]) -> None:
    assert said(ask(nodes, cards), MIXED) == [told]


def test_where_nodes_are_not_told_it_is_half_unless_the_total_says_more() -> None:
    silent = replace(POOL, levels=())
    assert said(ask(1, 4), silent) == [(UNTOLD, "its nodes are not told")]
    assert said(ask(1, 8), silent) == [(PPM, "takes whole nodes")]
    assert said(ask(1, 4), replace(silent, cards_free=7)) == [(PPM, "no node is whole")]
    whole = replace(MIXED, levels=(0,) * 8 + (2,), cards_free=16)
    assert [value for value, _ in said(ask(1, 4), whole, silent, MIXED)] == [PPM, UNTOLD, 0]


def test_what_is_not_eligible_tells_none_and_a_policy_without_it_shows_none() -> None:
    assert said(ask(3, 4), replace(MIXED, levels=(0, 0, 0, 0, 0, 3, 0, 0, 0), reachable=False)) == []
    decision = decide(ask(1, 4), (MIXED,), replace(WHOLEST, fragmentation=0, price=1))
    assert len(decision.rows[0].parts) == 5


@given(st.lists(st.integers(0, 8), min_size=1, max_size=9), st.integers(1, 9), st.integers(1, 8))
def test_as_many_whole_nodes_are_gone_as_it_says(free: list[int], nodes: int, cards: int) -> None:
    spread = spread_of([*free, 8], [])
    assert spread is not None
    levels = spread.levels
    if not has_room(levels, nodes, cards):
        return
    gone = levels[8] - taken(levels, nodes, cards)[8]
    assert begun(levels, nodes, cards, 8) == nodes - (gone if cards < 8 else 0)


def test_receipts_from_before_replay_bit_for_bit_and_can_be_asked_by_a_new_policy() -> None:
    opened = open_receipt(OLD, fetch_old)
    assert opened.differences == ()
    assert b"fragmentation" not in encode(opened.now)
    assert what_if(OLD, fetch_old, None, WHOLEST).instead.policy == "wholest"


def test_a_turn_fills_nodes_that_were_begun_and_sees_what_it_gave_away_itself() -> None:
    """In one there are two whole nodes; in two one has four cards free, until the first job takes them."""
    sites = (site("one", 16), site("two", 16))
    spreads: dict[str, Spread | None] = {
        "one": Spread((0,) * 8 + (2,)),
        "two": Spread((0, 0, 0, 0, 1, 0, 0, 0, 1)),
    }
    queue = [waiting(0, 4, 60), waiting(1, 4, 60), waiting(2, 4, 60), waiting(3, 8, 60)]
    outcome = turn(scene(sites, queue, statuses=told(sites, spreads)), RULES)
    assert placed(outcome) == {0: "two/p0", 1: "one/p0", 2: "one/p0", 3: "one/p0"}
    values = [opened.now.decision.choice for opened in receipts(outcome)]
    assert [each.score_ppm for each in values if each] == [PPM, 0, PPM, PPM]


shares = st.lists(st.integers(0, 8), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.none() | shares, min_size=2, max_size=4),
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 8)), min_size=1, max_size=10),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_every_receipt_replays(
    frees: list[list[int] | None], asked: list[tuple[int, int]], fit: int, weight: int
) -> None:
    """The pass and the decision come to the same choice and the same score, at every step of a turn."""
    sites = tuple(site(name, 8 * len(free or [0] * 2)) for name, free in zip("abcd", frees, strict=False))
    spreads = {
        str(each.id): None if free is None else spread_of(free, [])
        for each, free in zip(sites, frees, strict=True)
    }
    queue = [waiting(at, cards, 60, num_nodes=wide) for at, (wide, cards) in enumerate(asked)]
    policy = Policy("balanced", fit=fit, price=1, wait=0, distance=1, green=0, fragmentation=weight)
    rules = Rules(policies={"balanced": policy}, backfill=Backfill.GREEDY)
    outcome = turn(scene(sites, queue, statuses=told(sites, spreads)), rules)
    assert outcome.broken == ()
    assert all(opened.differences == () for opened in receipts(outcome))


def test_the_simulators_pass_has_the_same_part() -> None:
    """Pools of known nodes of unlike width, by the arrays alone: a whole node is as wide as its pool's."""
    nodes = [np.array([8, 8]), np.array([4, 4]), np.array([3, 8])]
    classes = [Class(1, np.full(3, 4), np.zeros(3, np.int64), fit_weight=0, whole_weight=1)]
    arrays = make_board(
        Pass(backfill=Backfill.GREEDY), shelves_of(nodes), classes, [(0, 0)], [Account()], jobs=5, running=5
    )
    arrays.jobs[:, [c.CLASS, c.LANE]] = 0
    arrays.jobs[:, c.EXPECTED], arrays.jobs[:, c.KEY] = 1000, np.arange(5)
    kernel.enqueue_all(arrays, 5)
    kernel.begin(arrays, 0)
    found = []
    while (job := kernel.next_start(arrays, 0)) >= 0:
        found.append((arrays.jobs.item(job, c.POOL), arrays.state.item(c.UNBROKEN)))
    # Nodes of four are taken whole; then one of eight is broken, and its other half comes next.
    assert found == [(1, PPM), (1, PPM), (0, 0), (0, PPM), (0, 0)]


def test_the_part_of_a_pool_is_that_of_its_view() -> None:
    assert unbroken_ppm(MIXED, 3, 2) == 666_666
    assert unbroken_ppm(replace(MIXED, levels=()), 3, 2) == UNTOLD
