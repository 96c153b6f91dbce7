"""Quotas, bookings and limits of power in a simulated run: what must hold of any, seen from the outside."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.accounts.quotas import INSTITUTION, PROJECT, Allotment, Quota
from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.energy.account import card_milliwatts
from hutong.core.kernel.ids import PoolId, SiteId
from hutong.core.placement.columns import Backfill
from hutong.sim import fused, world
from hutong.sim.compare import ground_of_sites
from hutong.sim.rules import Queueing
from hutong.sim.runs import Run
from hutong.sim.settled import Agreed, Booking, PowerLimit, settle
from hutong.sim.trace import Trace, make_trace
from hutong.sim.world import World, prepare

CARD_KW = card_milliwatts("H100", 1000) / 10**6
HOUR = 3600


def site(name: str, *nodes: int) -> Site:
    pools = tuple(
        Pool(PoolId(f"p{at}"), "H100", count, 4, 10**7, 1000, "cuda") for at, count in enumerate(nodes)
    )
    return Site(SiteId(name), name, name, "north", 10, "local", pools, Supply((0,) * 24, (0,) * 24, "a test"))


GROUND = ground_of_sites([site("bj", 2, 1), site("tj", 2)])
NAMES = GROUND.cluster.names

jobs = st.lists(
    st.tuples(
        st.integers(0, 40), st.integers(0, 30), st.integers(-10, 10), st.sampled_from([1, 2, 3, 4, 8]),
        st.sampled_from(["a", "b", "c"]), st.sampled_from(["ada", "bo"]),
    ),
    min_size=1, max_size=30,
)  # fmt: skip
spans = st.tuples(st.integers(0, 60), st.integers(1, 40)).map(lambda span: (span[0], sum(span)))
SIZES = {
    name: nodes * cards
    for name, nodes, cards in zip(NAMES, GROUND.cluster.nodes, GROUND.cluster.cards_per_node, strict=True)
}


def fit(found: list[Booking]) -> bool:
    """True if no pool has more booked than it has cards, or cards for uni and for its projects."""
    owners = {(each.pool, each.holder.partition("/")[0]) for each in found}
    return len({pool for pool, _ in owners}) == len(owners) and all(
        sum(each.cards for each in found if each.pool == name) <= SIZES[name] for name in NAMES
    )


bookings = st.lists(
    st.builds(
        lambda pool, cards, span, holder: Booking(pool, cards, span[0], span[1], holder),
        st.sampled_from(NAMES), st.integers(1, 8), spans,
        st.sampled_from(["project/a", "project/b", "institution/uni"]),
    ),
    max_size=4,
).filter(fit)  # fmt: skip
limits = st.lists(
    st.builds(
        lambda kw, span: PowerLimit("bj", kw, span[0], span[1]),
        st.integers(0, 12).map(lambda cards: int(cards * CARD_KW) + 1), spans,
    ),
    max_size=2,
)  # fmt: skip
quotas = st.builds(
    lambda uni, alone, person: (
        Quota(INSTITUTION, "uni", 1000, (Allotment("H100", uni, borrow=3, lend=uni // 2),)),
        Quota(PROJECT, "c", 2000, (Allotment("*", alone, borrow=0),)),
        Quota(PROJECT, "a", 1000, (Allotment("H100", 0, each_person=person),)),
    ),
    st.integers(5, 8), st.integers(8, 10), st.integers(8, 9),
)  # fmt: skip
agreements = st.builds(
    lambda some, held, power: Agreed((("uni", ("a", "b")),), tuple(some), tuple(held), tuple(power)),
    st.one_of(st.just(()), quotas), bookings, limits,
)  # fmt: skip
# LEAST goes with GREEDY alone, and stops jobs: see `test_rest`.
orders = st.sampled_from([Queueing.FIFO, Queueing.SJF, Queueing.FAIR])
rules = st.tuples(orders, st.sampled_from(Backfill), st.booleans())


def traced(
    rows: list[tuple[int, int, int, int, str, str]], *, known: bool = False
) -> tuple[Trace, np.ndarray]:
    """Return a trace, one job of each group at its end, and what is believed of each job's length."""
    rows = sorted(rows, key=lambda row: row[0]) + [(50, 5, 0, 1, group, "ada") for group in "abc"]
    trace = make_trace(
        "generated", "a test",
        submit_s=[row[0] for row in rows], run_s=[row[1] for row in rows],
        nodes=[max(1, row[3] // 4) for row in rows], cards_per_node=[min(4, row[3]) for row in rows],
        group=[row[4] for row in rows], user=[row[5] for row in rows],
    )  # fmt: skip
    expected = [row[1] if known else max(0, row[1] + row[2]) for row in rows]
    first = trace.submit_s.min()
    assert first == 0
    return trace, np.array(expected, np.int64)


def scene(
    trace: Trace, expected: np.ndarray, agreed: Agreed, chosen: tuple[Queueing, Backfill, bool]
) -> World:
    queueing, backfill, by_node = chosen
    return prepare(
        trace, GROUND.cluster, queueing, backfill, isolated=False, expected_s=expected, by_node=by_node,
        settled=settle(agreed, trace, GROUND.views, NAMES),
    )  # fmt: skip


def held_at(trace: Trace, found: Run, at_s: int, which: np.ndarray) -> int:
    """Return the cards of those jobs that run at a moment."""
    runs = (found.start_s >= 0) & (found.start_s <= at_s) & (at_s < found.finish_s)
    return int(trace.cards[runs & which].sum())


@settings(max_examples=100, deadline=None)
@given(jobs, agreements, rules)
def test_quotas_and_cards_are_never_exceeded_and_both_loops_agree(
    rows: list[tuple[int, int, int, int, str, str]], agreed: Agreed, chosen: tuple[Queueing, Backfill, bool]
) -> None:
    """Whatever the scheduler believes of lengths."""
    trace, expected = traced(rows)
    found = world.run(scene(trace, expected, agreed, chosen))
    assert fused.run(scene(trace, expected, agreed, chosen)).digest == found.digest
    assert world.run(scene(trace, expected, agreed, chosen)).digest == found.digest
    group, user = np.array(trace.groups)[trace.group], np.array(trace.users)[trace.user]
    for at_s in sorted(set(found.start_s[found.start_s >= 0].tolist())):
        for pool, name in enumerate(NAMES):
            assert held_at(trace, found, at_s, found.pool == pool) <= SIZES[name]
        for quota in agreed.quotas:
            most = quota.allotments[0].ceiling
            if most is not None:
                mine = (group != "c") if quota.kind == INSTITUTION else (group == quota.name)
                assert held_at(trace, found, at_s, mine) <= most
            for person in ("ada", "bo") if quota.limits_people else ():
                held = held_at(trace, found, at_s, (group == quota.name) & (user == person))
                assert held <= (quota.allotments[0].each_person or 0)


@settings(max_examples=100, deadline=None)
@given(jobs, agreements, rules)
def test_with_known_lengths_booked_cards_are_there_and_power_holds_at_every_moment(
    rows: list[tuple[int, int, int, int, str, str]], agreed: Agreed, chosen: tuple[Queueing, Backfill, bool]
) -> None:
    trace, expected = traced(rows, known=True)
    found = world.run(scene(trace, expected, agreed, chosen))
    group = np.array(trace.groups)[trace.group]
    holds = {"project/a": ["a"], "project/b": ["b"], "institution/uni": ["a", "b"]}
    at_bj = np.array([name.startswith("bj/") for name in NAMES])[found.pool]
    begins = {each.from_s for each in agreed.bookings}
    for at_s in sorted(begins | set(found.start_s[found.start_s >= 0].tolist())):
        for limit in agreed.power_limits:
            if limit.from_s <= at_s < limit.until_s:
                assert held_at(trace, found, at_s, at_bj) * CARD_KW <= limit.limit_kw
        for (name, holder), cards in booked_at(agreed, at_s).items():
            others = (found.pool == NAMES.index(name)) & ~np.isin(group, holds[holder])
            assert held_at(trace, found, at_s, others) <= SIZES[name] - cards


@settings(max_examples=60, deadline=None)
@given(jobs, agreements, rules, st.integers(1, 6), spans)
def test_two_bookings_of_one_holder_are_one_of_their_sum_while_both_last(
    rows: list[tuple[int, int, int, int, str, str]],
    agreed: Agreed,
    chosen: tuple[Queueing, Backfill, bool],
    cards: int,
    span: tuple[int, int],
) -> None:
    trace, expected = traced(rows)
    some = [Booking("bj/p0", cards, *span, "project/a"), Booking("bj/p0", 8 - cards, 5, 30, "project/a")]
    edges = sorted({0, 5, 30, *span})
    one_by_one = [
        Booking("bj/p0", booked, begins, ends, "project/a")
        for begins, ends in pairwise(edges)
        if (booked := sum(each.cards for each in some if each.from_s <= begins < each.until_s))
    ]
    others = tuple(each for each in agreed.bookings if each.pool != "bj/p0")
    both = [
        world.run(scene(trace, expected, replace(agreed, bookings=(*others, *each)), chosen))
        for each in (some, one_by_one)
    ]
    assert both[0].digest == both[1].digest


def test_what_waits_for_an_overdue_job_under_a_limit_of_power_waits_for_its_end() -> None:
    """What is overdue counts as about to end, so the cards are there now, and still it cannot start."""
    trace = make_trace("overdue", "a test", submit_s=[0, 20], run_s=[60, 5], cards_per_node=[4, 4])
    ground = ground_of_sites([site("bj", 1)])
    limit = Agreed(power_limits=(PowerLimit("bj", int(4 * CARD_KW) + 1, 100, 200),))
    settled = settle(limit, trace, ground.views, ground.cluster.names)
    ready = prepare(
        trace, ground.cluster, Queueing.FIFO, Backfill.CONSERVATIVE, isolated=False,
        expected_s=np.array([10, 5]), settled=settled,
    )  # fmt: skip
    assert world.run(ready).start_s.tolist() == [0, 60]


def booked_at(agreed: Agreed, at_s: int) -> Counter[tuple[str, str]]:
    """Return the cards that are booked at a moment, by pool and holder."""
    found: Counter[tuple[str, str]] = Counter()
    for each in agreed.bookings:
        if each.from_s <= at_s < each.until_s:
            found[each.pool, each.holder] += each.cards
    return found
