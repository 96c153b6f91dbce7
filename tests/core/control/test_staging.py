"""Large inputs: a job goes where they are, or where they come soon, and its receipt says so."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_queue import NOW, placed, receipts, scene, site, waiting

from hutong.core.book.snapshot import JobRow, Snapshot
from hutong.core.capacity.links import PLATFORM, Link
from hutong.core.capacity.sites import Transfer
from hutong.core.control.preview import preview
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.documents import encode
from hutong.core.placement.receipt import open_receipt
from hutong.core.placement.request import Policy
from hutong.core.placement.staging import MATTERS_BYTES, cargo_of, say_move, staging_s
from hutong.core.work import facts as f
from hutong.core.work.fold import Job, apply
from hutong.core.work.spec import Input
from hutong.core.work.states import AttemptState, Category
from hutong.server.api.shapes.receipts import alternatives

GB = 10**9
SETS = tuple(f"sha256:{at:064x}" for at in range(3))
BIG = Input("data/wiki", SETS[0], "manifest", size_bytes=42 * GB)
SMALL = Input(".", SETS[1], "bundle", size_bytes=MATTERS_BYTES - 1)
RULES = Rules(policies={"balanced": Policy("balanced", fit=0, price=0, wait=1, distance=0, green=0)})


def link(name: str, gbit_s: int) -> Link:
    """Return a link of a site with the platform."""
    return Link(PLATFORM, f"site/{name}", gbit_s * GB, 0, "a test")


def moment(queue: list[JobRow], links: tuple[Link, ...] = (), **stock: tuple[str, ...]) -> Snapshot:
    """Return a snapshot of sites that have this."""
    shot = scene(tuple(site(name, 64) for name in sorted(stock)), queue, links=links)
    statuses = {name: replace(shot.statuses[name], stock=told) for name, told in stock.items()}
    return replace(shot, statuses=statuses)


def test_a_job_goes_where_its_data_is_and_where_it_comes_sooner() -> None:
    queue = [waiting(1, 8, 60, inputs=(BIG, SMALL))]
    assert placed(turn(moment(queue, bj=(), hu=(), tj=(SETS[0],)), RULES)) == {1: "tj/p0"}
    links = (link("bj", 1), link("hu", 10))
    assert placed(turn(moment(queue, links, bj=(), hu=(), tj=()), RULES)) == {1: "hu/p0"}
    assert placed(turn(moment(queue, links, bj=(SETS[1],), hu=(), tj=()), RULES)) == {1: "hu/p0"}


def test_small_inputs_and_those_of_unknown_size_move_nothing() -> None:
    queue = [waiting(1, 8, 60, inputs=(SMALL, replace(BIG, size_bytes=0)))]
    assert placed(turn(moment(queue, (link("bj", 1), link("tj", 10)), bj=(), tj=(SETS[0],)), RULES)) == {
        1: "bj/p0"
    }


def test_its_receipt_replays_and_shows_no_digest_that_it_did_not_name() -> None:
    other = replace(BIG, digest=SETS[2])
    queue = [waiting(1, 8, 60, inputs=(BIG,)), waiting(2, 8, 60, project="b", inputs=(other,))]
    outcome = turn(moment(queue, (link("bj", 10),), bj=SETS, tj=(SETS[2],)), RULES)
    for opened, mine in zip(receipts(outcome), (SETS[0], SETS[2]), strict=True):
        assert opened.differences == ()
        assert opened.digest == opened.now_digest
        assert {each for pool in opened.now.pools for each in pool.stock} == {mine}
        assert opened.now.pools[0].bits_per_s == 10 * GB


def arrived(shot: Snapshot, **mbit_s: int) -> Snapshot:
    """Return a snapshot of sites to which five transfers of a second came at such rates."""
    rows = {name: (Transfer(NOW, rate * 125_000, 1000),) * 5 for name, rate in mbit_s.items()}
    statuses = {name: replace(shot.statuses[name], transfers=some) for name, some in rows.items()}
    return replace(shot, statuses={**shot.statuses, **statuses})


def test_how_fast_bytes_came_counts_in_place_of_what_was_declared_and_the_receipt_says_so() -> None:
    queue = [waiting(1, 8, 60, inputs=(BIG,))]
    shot = moment(queue, (link("bj", 10), link("hu", 10)), bj=(), hu=(), tj=())
    assert placed(turn(shot, RULES)) == {1: "bj/p0"}
    outcome = turn(arrived(shot, bj=2000, tj=4000), RULES)
    assert placed(outcome) == {1: "hu/p0"}
    (opened,) = receipts(outcome)
    assert opened.differences == ()
    views = opened.now.pools
    assert [(view.bits_per_s, view.learnt) for view in views] == [(2 * GB, 5), (10 * GB, 0), (4 * GB, 5)]
    policy = RULES.policies["balanced"]
    shown = alternatives(opened.now.decision, views, opened.now.request, policy)
    assert {each.site: each.parts[0].raw.partition("; ")[2] for each in shown} == {
        "bj": "42 GB to move over 2 Gbit/s (by 5 transfers): about 3 min",
        "hu": "42 GB to move over 10 Gbit/s: about 34 s",
        "tj": "42 GB to move over 4 Gbit/s (by 5 transfers): about 84 s",
    }
    assert placed(turn(arrived(shot, bj=2000, hu=1000), RULES)) == {1: "bj/p0"}


def test_a_page_says_nothing_of_what_is_learnt_where_nobody_asks() -> None:
    plain = moment([waiting(1, 8, 60)], bj=())
    assert turn(arrived(plain, bj=2000), RULES).pages == turn(plain, RULES).pages


def test_a_page_keeps_stock_and_widths_only_where_somebody_has_cargo() -> None:
    def pages(**stock: tuple[str, ...]) -> set[str]:
        return {name for name, _ in turn(moment([waiting(1, 8, 60)], **stock), RULES).pages}

    assert pages(bj=SETS) == pages(bj=())


def test_a_look_ahead_goes_by_it_too() -> None:
    queue = [waiting(1, 8, 60, inputs=(BIG,))]
    shot = moment(queue, (link("bj", 10), link("tj", 1)), bj=(), tj=())
    found = preview(shot, queue[0].spec, queue[0].project, RULES)
    assert [row.parts[2] for row in found.decision.rows] == [
        60 * 10**6 // (60 + 34),
        60 * 10**6 // (60 + 336),
    ]


def begun(site_of: str, number: int = 1) -> tuple[f.Event, ...]:
    """Return the facts of an attempt that ran there."""
    shape = ("p0", "H100", 1, 8, 10**7, 1200, 700, 60_000)
    return (
        f.Placed(number, site_of, *shape),
        f.Dispatched(number),
        f.Accepted(number, "1", adopted=False),
        f.Started(number, NOW),
    )


def tried(*, site_of: str, size_bytes: int) -> Job:
    """Return a queued job whose one attempt left a checkpoint."""
    job = waiting(1, 8, 60).job
    ended = f.Ended(1, AttemptState.PREEMPTED, Category.PREEMPTED, "room", NOW, NOW, 1000, checkpoint=True)
    left = f.Collected(1, checkpoint=SETS[2], checkpoint_bytes=size_bytes)
    events = (
        *begun(site_of),
        ended,
        f.Metered(1, NOW, 0, 0, final=True),
        left,
        f.Queued("room", Category.PREEMPTED),
    )
    for event in events:
        job = apply(job, f.Fact(job.id, job.seq + 1, NOW, "test", event))
    return job


def test_a_checkpoint_weighs_everywhere_but_where_it_was_made() -> None:
    row = waiting(1, 8, 60)
    queue = [replace(row, job=tried(site_of="tj", size_bytes=42 * GB))]
    assert placed(turn(moment(queue, bj=(), tj=()), RULES)) == {1: "tj/p0"}
    assert placed(turn(moment(queue, bj=(SETS[2],), tj=()), RULES)) == {1: "bj/p0"}, "a tie goes by name"
    light = [replace(row, job=tried(site_of="tj", size_bytes=1))]
    assert placed(turn(moment(light, bj=(), tj=()), RULES)) == {1: "bj/p0"}


def test_a_checkpoint_needs_no_move_to_any_site_that_ran_since() -> None:
    job = tried(site_of="tj", size_bytes=42 * GB)
    for event in begun("bj", 2):
        job = apply(job, f.Fact(job.id, job.seq + 1, NOW, "test", event))
    (left,) = cargo_of(waiting(1, 8, 60).spec, job)
    assert left.held == ("bj", "tj")


def test_a_spec_from_before_keeps_its_digest() -> None:
    spec = waiting(1, 8, 60, inputs=(replace(BIG, size_bytes=0),)).spec
    assert b"size_bytes" not in encode(spec)


@pytest.mark.parametrize(
    ("size_bytes", "bits_per_s", "said"),
    [
        (42 * GB, 10 * GB, "42 GB to move over 10 Gbit/s: about 34 s"),
        (42 * GB, 0, "42 GB to move over 1 Gbit/s (assumed): about 6 min"),
        (10**15, 100 * 10**6, "1 PB to move over 100 Mbit/s: about 22222.2 h"),
        (70_500_000, 9_999, "70.5 MB to move over 10 kbit/s: about 15.7 h"),
        (999_999_999, GB, "1 GB to move over 1 Gbit/s: about 8 s"),
    ],
)
def test_a_move_in_words(size_bytes: int, bits_per_s: int, said: str) -> None:
    assert say_move(size_bytes, bits_per_s) == said


@given(st.integers(0, 10**15), st.integers(0, 10**12), st.integers(0, 10**12))
def test_more_bytes_and_narrower_ways_never_take_less(size_bytes: int, more: int, bits_per_s: int) -> None:
    took = staging_s(size_bytes, bits_per_s)
    assert staging_s(size_bytes + more, bits_per_s) >= took
    if bits_per_s:
        assert staging_s(size_bytes, bits_per_s + more) <= took
        assert (took - 1) * bits_per_s < 8 * size_bytes <= took * bits_per_s or size_bytes == took == 0


inputs = st.lists(
    st.builds(
        Input, st.just("x"), st.sampled_from(SETS), st.just("manifest"), size_bytes=st.integers(0, 10**12)
    ),
    max_size=3,
    unique_by=lambda each: each.digest,
).map(tuple)
stocks = st.lists(st.sampled_from(SETS), unique=True).map(lambda found: tuple(sorted(found)))


@settings(max_examples=60)
@given(
    st.lists(inputs, min_size=1, max_size=6),
    st.tuples(stocks, stocks, stocks),
    st.lists(st.integers(1, 100), max_size=3),
)
def test_every_receipt_replays_bit_by_bit(
    wanted: list[tuple[Input, ...]], has: tuple[tuple[str, ...], ...], gbit_s: list[int]
) -> None:
    queue = [waiting(at, 8, 60, inputs=each) for at, each in enumerate(wanted, 1)]
    links = tuple(link(name, each) for name, each in zip(("bj", "hu", "tj"), gbit_s, strict=False))
    shot = moment(queue, links, **dict(zip(("bj", "hu", "tj"), has, strict=True)))
    outcome = turn(shot, Rules())
    assert len(placed(outcome)) == len(queue)
    pages = dict(outcome.pages)
    for each in outcome.jobs:
        for _, data in each.receipts:
            opened = open_receipt(data, pages.get)
            assert opened.differences == ()
            assert opened.digest == opened.now_digest
            assert each.after.live is not None
            assert opened.now.decision.choice is not None
            assert opened.now.decision.choice.site == each.after.live.site
