"""Failure domains: a retry avoids what may fail with what broke it, where its job file asks for that."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.core.control.test_queue import NOW, placed, receipts, scene, site, waiting

from hutong.core.book.snapshot import JobRow
from hutong.core.capacity.sites import Site
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.work import facts as f
from hutong.core.work.fold import apply
from hutong.core.work.spec import Retry
from hutong.core.work.states import AttemptState, Category


def tried(
    *where: str, kinds: tuple[str, ...] = (), category: Category = Category.INFRA, number: int = 1
) -> JobRow:
    """Return a queued job whose attempts, one at each place, ended so; `kinds` are to be avoided."""
    row = waiting(number, 8, 60, retry=Retry(avoid_domains=kinds))
    job, shape = row.job, ("H100", 1, 8, 10**7, 1200, 700, 60_000)
    for at, place in enumerate(where, 1):
        for event in (
            f.Placed(at, *place.split("/"), *shape),
            f.Dispatched(at),
            f.Accepted(at, "1", adopted=False),
            f.Started(at, NOW),
            f.Ended(at, AttemptState.FAILED, category, "why", NOW, NOW, 1000),
            f.Metered(at, NOW, 0, 0, final=True),
            f.Queued("why", category),
        ):
            job = apply(job, f.Fact(job.id, job.seq + 1, NOW, "test", event))
    return replace(row, job=job)


def city() -> tuple[Site, ...]:
    """Return three sites alike; two of them hang on one feed, and the first pool of hu, too."""
    sites = (site("bj", 64), site("hu", 64, 64), site("tj", 64))
    feed = ("building/b1", "power/feed-2")
    bj, hu, tj = sites
    hu = replace(hu, pools=(replace(hu.pools[0], domains=("power/feed-2",)), hu.pools[1]), region="far")
    return replace(bj, domains=feed), hu, replace(tj, domains=("power/feed-2",), region="far")


def goes(row: JobRow, sites: tuple[Site, ...] | None = None) -> str:
    """Return where a job goes next."""
    return placed(turn(scene(sites or city(), [row]), Rules()))[1]


def test_a_retry_avoids_the_domain_that_broke_it_where_it_asks_for_that() -> None:
    assert goes(tried("bj/p0")) == "hu/p0", "only the site, as ever"
    assert goes(tried("bj/p0", kinds=("building",))) == "hu/p0"
    assert goes(tried("bj/p0", kinds=("power",))) == "hu/p1", "the one pool that is on another feed"
    assert goes(tried("tj/p0", kinds=("region",))) == "bj/p0", "a region is a domain without a word"


def test_what_the_job_did_itself_is_no_reason() -> None:
    assert goes(tried("bj/p0", kinds=("power",), category=Category.PREEMPTED)) == "bj/p0"


def test_it_is_a_last_resort_and_the_site_itself_the_very_last() -> None:
    bj, _, tj = city()
    assert goes(tried("bj/p0", kinds=("power",)), (bj, tj)) == "tj/p0"
    assert goes(tried("bj/p0", kinds=("power",)), (bj,)) == "bj/p0"


def test_a_place_that_is_gone_is_not_avoided() -> None:
    _, hu, tj = city()
    assert goes(tried("bj/p0", kinds=("power",)), (hu, tj)) == "hu/p0"


kinds = st.lists(st.sampled_from(["power", "building", "region"]), unique=True).map(tuple)
places = st.lists(st.sampled_from(["bj/p0", "hu/p0", "hu/p1", "tj/p0"]), max_size=3)


@given(st.lists(st.tuples(places, kinds), min_size=1, max_size=4))
def test_receipts_replay_bit_by_bit(jobs: list[tuple[list[str], tuple[str, ...]]]) -> None:
    queue = [tried(*where, kinds=asked, number=at) for at, (where, asked) in enumerate(jobs, 1)]
    outcome = turn(scene(city(), queue), Rules())
    assert len(placed(outcome)) == len(queue)
    for opened in receipts(outcome):
        assert opened.differences == ()
        assert opened.digest == opened.now_digest
