"""Gangs and nodes: a job starts in a pool only where its nodes are known to have the cards."""

from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_queue import MIN, NOW, OTHER, placed, receipts, scene, site, waiting, why

from hutong.core.book.snapshot import GangUse, Outcome, Running, Snapshot, use_of
from hutong.core.capacity.sites import PoolState, Site, SiteStatus
from hutong.core.capacity.spread import Spread, has_room, spread_of, taken
from hutong.core.control.forecast import plan
from hutong.core.control.preview import preview
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.placement.columns import Backfill
from hutong.core.placement.page import Page, unseal
from hutong.core.work.spec import Ask, Resources

HALVES = Spread((0, 0, 0, 0, 4, 0, 0, 0, 0))
"""Four nodes of eight cards, half of each free."""


def told(sites: tuple[Site, ...], spreads: dict[str, Spread | None]) -> dict[str, SiteStatus]:
    """Return what each centre says of its pool: of all cards that are not free, others hold them."""
    return {
        each.id: SiteStatus(each.id, NOW, NOW, pools=(state(each, spreads.get(each.id)),)) for each in sites
    }


def state(site: Site, spread: Spread | None) -> PoolState:
    cards = site.pools[0].cards
    if spread is None:
        return PoolState("p0", cards, 0)
    free = sum(level * count for level, count in enumerate(spread.levels))
    ours = sum(wide * cards * count for wide, cards, count in spread.ours)
    return PoolState("p0", cards, cards - free - ours, 0, spread)


def page_of(outcome: Outcome) -> Page:
    """Return what the placements of a turn rest on."""
    (_, (name, body)) = outcome.pages
    return unseal(Page, name, body)


def one_pool(spread: Spread | None, *jobs: tuple[int, int], nodes: int = 4, **changes: object) -> Snapshot:
    """Return a pool of nodes with eight cards, and jobs that ask for nodes and cards a node."""
    sites = (site("bj", 8 * nodes),)
    queue = [waiting(at, cards, 60, num_nodes=wide) for at, (wide, cards) in enumerate(jobs)]
    return scene(sites, queue, statuses=told(sites, {"bj": spread}), **changes)


def test_a_gang_waits_while_free_cards_are_scattered_and_is_told_so() -> None:
    shot = one_pool(HALVES, (2, 8))
    outcome = turn(shot, Rules())
    assert placed(outcome) == {}
    assert why(outcome, 0) == (
        "scattered",
        "nearest is bj/p0: 16 cards free, but scattered: 0 nodes have 8 free, 2 needed; ask for at most 4 "
        "cards a node now, or wait until 2 nodes have 8 free",
    )


def test_where_a_centre_says_nothing_of_nodes_all_is_as_it_was() -> None:
    shot = one_pool(HALVES, (2, 8))
    silent = {"bj": replace(shot.statuses["bj"], pools=(PoolState("p0", 32, 16),))}
    outcome = turn(replace(shot, statuses=silent), Rules())
    assert placed(outcome) == {0: "bj/p0"}
    assert page_of(outcome).levels == ()
    (opened,) = receipts(outcome)
    assert opened.now.pools[0].levels == ()


def test_it_goes_where_whole_nodes_are_free_though_that_costs_more() -> None:
    near, far = site("bj", 32), site("tj", 32)
    dear = replace(far.pools[0], price_micro_per_card_hour=20 * 10**6)
    sites = (near, replace(far, pools=(dear,)))
    statuses = told(sites, {"bj": HALVES, "tj": Spread((2, 0, 0, 0, 0, 0, 0, 0, 2))})
    shot = scene(sites, [waiting(0, 8, 60, num_nodes=2), waiting(1, 4, 60, num_nodes=2)], statuses=statuses)
    outcome = turn(shot, Rules())
    assert placed(outcome) == {0: "tj/p0", 1: "bj/p0"}
    first = receipts(outcome)[0]
    (row,) = [each for each in first.now.decision.rows if each.site == "bj"]
    assert row.why_not is not None
    assert row.why_not.code == "scattered"


def test_what_a_turn_gives_away_leaves_whole_nodes_to_who_needs_them() -> None:
    spread = Spread((0, 0, 0, 0, 2, 0, 0, 0, 2))
    shot = one_pool(spread, (1, 4), (1, 4), (2, 8), (1, 1))
    outcome = turn(shot, Rules(backfill=Backfill.GREEDY))
    assert placed(outcome) == dict.fromkeys(range(3), "bj/p0")
    assert why(outcome, 3)[0] == "busy"
    shot = one_pool(spread, (1, 6), (2, 8))
    outcome = turn(shot, Rules(backfill=Backfill.GREEDY))
    assert placed(outcome) == {0: "bj/p0"}
    assert why(outcome, 1)[0] == "scattered"


def test_what_was_placed_since_the_report_counts_too() -> None:
    spread = Spread((0, 0, 0, 0, 0, 0, 0, 0, 4))
    held = (GangUse("bj", "p0", 1, 3, 3),)
    shot = one_pool(spread, (4, 5), gangs=held, use=use_of(held))
    assert placed(turn(shot, Rules())) == {}, "the three are on one node, or on two"
    shot = one_pool(spread, (3, 7), gangs=held, use=use_of(held))
    assert placed(turn(shot, Rules())) == {}
    shot = one_pool(spread, (2, 8), gangs=held, use=use_of(held))
    assert placed(turn(shot, Rules())) == {0: "bj/p0"}
    reported = replace(spread, levels=(0, 0, 0, 0, 0, 3, 0, 0, 1), ours=((1, 3, 3),))
    shot = one_pool(reported, (4, 5), gangs=held, use=use_of(held))
    assert placed(turn(shot, Rules())) == {0: "bj/p0"}, "they have spread over three nodes"


def test_what_ended_since_the_report_is_free_again() -> None:
    spread = Spread((4,), ((2, 8, 2),))
    held = (GangUse("bj", "p0", 2, 16, 1),)
    shot = one_pool(spread, (2, 8), gangs=held, use=use_of(held))
    assert placed(turn(shot, Rules())) == {0: "bj/p0"}


def test_what_an_older_server_wrote_down_has_as_many_nodes_as_it_must() -> None:
    spread = Spread((0, 0, 0, 0, 0, 0, 0, 0, 4))
    held = (GangUse("bj", "p0", 0, 16, 1),)
    assert placed(turn(one_pool(spread, (2, 8), gangs=held, use=use_of(held)), Rules())) == {0: "bj/p0"}
    assert placed(turn(one_pool(spread, (3, 5), gangs=held, use=use_of(held)), Rules())) == {}


def test_a_look_ahead_says_the_same() -> None:
    shot = one_pool(HALVES, (2, 8))
    spec = replace(shot.queue[0].spec, num_nodes=2)
    found = preview(shot, spec, shot.queue[0].project, Rules())
    assert (found.code, found.never, found.likely) == ("scattered", False, 0)
    assert found.worst_case_micro is not None
    half = replace(spec, resources=Resources((Ask("H100", 4),)))
    assert preview(shot, half, shot.queue[0].project, Rules()).code == ""


def test_when_it_will_start_is_told_by_the_nodes_that_come_free() -> None:
    spread = Spread((2, 0, 0, 0, 2), ((2, 8, 1),))
    held = (GangUse("bj", "p0", 2, 16, 1),)
    run = Running(OTHER, "bj", "p0", 16, NOW + 30 * MIN, nodes=2)
    shot = one_pool(spread, (1, 8), gangs=held, use=use_of(held), running=(run,))
    for backfill in Backfill:
        (found,) = plan(shot, Rules(backfill=backfill))
        assert found.wait_ms == 30 * MIN
        (now,) = plan(replace(shot, queue=one_pool(spread, (2, 4)).queue), Rules(backfill=backfill))
        assert now.wait_ms == 0


spreads = st.lists(st.integers(0, 8), min_size=1, max_size=6)
asks = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 8), st.sampled_from([1, 30, 600])), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | spreads, min_size=1, max_size=3), asks, st.integers(0, 8), st.data())
def test_every_receipt_replays_and_every_gang_has_its_nodes(
    frees: list[list[int] | None], asked: list[tuple[int, int, int]], ends: int, data: st.DataObject
) -> None:
    sites = tuple(site(name, 8 * len(free or [0] * 4)) for name, free in zip("abc", frees, strict=False))
    known = [(each.id, free) for each, free in zip(sites, frees, strict=True) if free is not None]
    said = {str(name): spread_of(free, []) for name, free in known}
    queue = [
        waiting(at, cards, minutes, data.draw(st.sampled_from("ab")), num_nodes=wide)
        for at, (wide, cards, minutes) in enumerate(asked)
    ]
    running = tuple(Running(OTHER, each.id, "p0", 1, NOW + ends * MIN) for each in sites)
    shot = scene(sites, queue, statuses=told(sites, said), running=running)
    for backfill in (Backfill.EASY, Backfill.GREEDY, Backfill.CONSERVATIVE):
        outcome = turn(shot, Rules(backfill=backfill))
        assert outcome.broken == ()
        for opened in receipts(outcome):
            assert opened.differences == ()
        if not outcome.pages:
            continue
        page = page_of(outcome)
        left = list(page.levels)
        for where, cards, question in page.takes if left else ():
            nodes = page.questions[question].request.nodes
            assert not left[where] or has_room(left[where], nodes, cards // nodes)
            left[where] = taken(left[where], nodes, cards // nodes)


def test_a_refusal_for_nodes_is_the_same_in_the_pass_and_in_the_decision() -> None:
    """Whatever is free on nodes: a lone job starts exactly where so many of them have its cards."""
    for free, wide, cards in product(([8], [4, 4], [8, 3], [5, 5, 5], [8, 8]), (1, 2, 3), (1, 3, 4, 5, 8)):
        spread = spread_of(free, [])
        outcome = turn(one_pool(spread, (wide, cards), nodes=3), Rules())
        assert bool(placed(outcome)) == (sum(each >= cards for each in free) >= wide), (free, wide, cards)
