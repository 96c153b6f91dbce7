"""Failures, outages and days that a seed draws: as often as asked for, the same by seed, and paired."""

import numpy as np
import pytest

from hutong.core.kernel.errors import Refused
from hutong.sim.chance import DAY_S, node_failures, resampled, scattered, site_outages
from hutong.sim.conditions import Conditions, Often, parse_outage
from hutong.sim.faults import Outage
from hutong.sim.trace import make_trace
from hutong.sim.world import Cluster

CLUSTER = Cluster(("bj/a", "bj/b", "tj/a", "zjk/a"), (200, 10, 100, 1), (8, 8, 4, 8))
REGIONS = {"Beijing": (0, 1), "Tianjin": (2,), "Zhangjiakou, Hebei": (3,)}


def test_nodes_fail_and_are_repaired_as_often_as_asked_for() -> None:
    found = node_failures([300, 100], 100 * DAY_S, 10 * DAY_S, DAY_S, seed=1)
    each = 100 / 11  # up for ten days in the mean, and away for one
    assert abs(len(found) / 400 / each - 1) < 0.05
    assert abs(np.mean([outage.to_s - outage.from_s for outage in found]) / DAY_S - 1) < 0.05
    assert abs(sum(outage.pool == 1 for outage in found) / len(found) - 0.25) < 0.03
    by_node: dict[tuple[int, int], int] = {}
    for outage in found:
        where = (outage.pool, outage.first)
        assert by_node.get(where, 0) <= outage.from_s < outage.to_s, "a node fails when it is there"
        by_node[where] = outage.to_s


def test_another_node_changes_nothing_for_the_others_and_another_seed_everything() -> None:
    few, more = (set(node_failures([count, 5], 10**7, 10**6, 1000, seed=7)) for count in (10, 11))
    assert few < more
    assert {each.first for each in more - few} == {10}
    assert not few & set(node_failures([10, 5], 10**7, 10**6, 1000, seed=8))


def test_a_whole_site_goes_at_once() -> None:
    found = site_outages(CLUSTER.names, CLUSTER.nodes, 10**7, 10**6, 10_000, seed=2)
    spells = {pool: {(each.from_s, each.to_s) for each in found if each.pool == pool} for pool in range(4)}
    assert spells[0] == spells[1] != spells[2]
    assert all(each.nodes == CLUSTER.nodes[each.pool] for each in found)
    assert all(spells.values())


def test_times_that_make_no_sense_are_refused() -> None:
    with pytest.raises(Refused, match="at least a second"):
        node_failures([1], 10, 0, 5, seed=1)
    with pytest.raises(Refused, match="at least a second"):
        site_outages(["a"], [1], 10, 5, 0, seed=1)


def test_days_are_drawn_whole_and_keep_their_times_of_day() -> None:
    submit = [0, 20, DAY_S + 30, 3 * DAY_S + 40, 3 * DAY_S + 50, 3 * DAY_S + 60]
    trace = make_trace("days", "a test", submit_s=submit, run_s=range(1, 7), cards_per_node=[1] * 6)
    days = {0: [0, 20], 1: [30], 2: [], 3: [40, 50, 60]}
    seen = set()
    for seed in range(20):
        found = resampled(trace, seed)
        assert (np.diff(found.submit_s) >= 0).all()
        assert found.submit_s.max() < 4 * DAY_S
        of_day = [
            sorted((found.submit_s[found.submit_s // DAY_S == day] % DAY_S).tolist()) for day in range(4)
        ]
        assert all(each in days.values() for each in of_day)
        times = dict(zip((trace.submit_s % DAY_S).tolist(), trace.run_s.tolist(), strict=True))
        assert [times[int(at)] for at in found.submit_s % DAY_S] == found.run_s.tolist()
        seen.add(tuple(found.submit_s.tolist()))
        assert resampled(trace, seed).submit_s.tolist() == found.submit_s.tolist()
    assert len(seen) > 10
    with pytest.raises(Refused, match="has one day"):
        resampled(trace.take(np.arange(2)), 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tj@36h..60h", [Outage(2, 129_600, 216_000, 100)]),
        ("tj@36h..60h=0.9", [Outage(2, 129_600, 216_000, 10)]),
        ("tj/a@0s..2d=90%", [Outage(2, 0, 172_800, 10)]),
        ("bj@10..20", [Outage(0, 10, 20, 200), Outage(1, 10, 20, 10)]),
        ("bj/b@10..20=0.33", [Outage(1, 10, 20, 7)]),
        ("zhangjiakou@1m..1h", [Outage(3, 60, 3600, 1)]),
        ("Zhangjiakou, Hebei@1m..1h", [Outage(3, 60, 3600, 1)]),
        ("Beijing@1..2=0.96", [Outage(0, 1, 2, 8)]),
    ],
)
def test_an_outage_as_people_write_it(text: str, expected: list[Outage]) -> None:
    assert parse_outage(text, CLUSTER, REGIONS) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tj", "is not SITE"),
        ("tj@1h", "is not SITE"),
        ("tj@2h..1h", "TO is the later one"),
        ("tj@soon..1h", "FROM and TO are times"),
        ("tj@1h..2h=1.5", "below 1 or 100%"),
        ("tj@1h..2h=100%", "below 1 or 100%"),
        ("zjk@1h..2h=0.9", "takes no node away"),
        ("paris@1h..2h", "there are bj, tj, zjk; Beijing; Tianjin; Zhangjiakou, Hebei"),
    ],
)
def test_an_outage_that_says_nothing_useful_is_refused_with_what_would_be(text: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        parse_outage(text, CLUSTER, REGIONS)


def test_conditions_draw_the_same_by_seed_whatever_else_they_have() -> None:
    trace = make_trace("one", "a test", submit_s=[0, 100], run_s=[10**6] * 2, cards_per_node=[1] * 2)
    part = (Outage(0, 5, 10, 20),)
    both = Conditions(part, node=Often(10**7, 1000), site=Often(10**6, 1000))
    alone = Conditions(node=Often(10**7, 1000))
    assert not Conditions(part).by_chance
    assert both.by_chance
    assert alone.by_chance
    found = both.drawn(trace, CLUSTER, 5)
    assert set(alone.drawn(trace, CLUSTER, 5)) < set(found)
    assert max(each.from_s for each in found) < 2 * (10**6 + 100)
    places = {scattered(part, CLUSTER.nodes, seed)[0].first for seed in range(30)}
    assert len(places) > 10
    assert places <= set(range(200))
