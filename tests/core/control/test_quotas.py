"""Quotas in a turn: what is promised comes first, no limit is exceeded, receipts say what was barred."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_queue import placed, receipts, scene, site, waiting, why

from hutong.core.accounts.quotas import ANY, Allotment, Quota
from hutong.core.book.snapshot import Holding, JobRow, Outcome, PoolUse
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import ProjectId
from hutong.core.placement.columns import Backfill
from hutong.core.work.spec import Ask, Resources

OWNERS = {ProjectId("a"): "uni", ProjectId("b"): "lab", ProjectId("c"): "firm"}


def institution(name: str, *allotments: Allotment, share_milli: int = 1000) -> Quota:
    """Return the quota of an institution."""
    return Quota("institution", name, share_milli, allotments)


def held(project: str, cards: int, place: str = "one") -> dict[str, object]:
    """Return the parts of a snapshot in which a project holds cards of a site's first pool."""
    return {
        "holdings": (Holding(ProjectId(project), place, "p0", cards),),
        "use": (PoolUse(place, "p0", cards),),
    }


def outcome(sites: tuple[object, ...], queue: list[JobRow], *quotas: Quota, **changes: object) -> Outcome:
    """Return what a turn decides."""
    shot = scene(sites, queue, institutions=OWNERS, quotas=quotas, **changes)  # type: ignore[arg-type]
    return turn(shot, Rules())


def test_nobody_holds_more_than_nominal_and_what_may_be_borrowed() -> None:
    queue = [waiting(n, 8, 60, "a") for n in range(4)]
    done = outcome((site("one", 64),), queue, institution("uni", Allotment("H100", 8, borrow=8)))
    assert sorted(placed(done)) == [0, 1]
    code, text = why(done, 2)
    assert code == "quota"
    assert "institution uni holds 0 of at most 16 H100" in text


def test_what_is_held_already_counts() -> None:
    queue = [waiting(n, 8, 60, "a") for n in range(4)]
    quota = institution("uni", Allotment("H100", 8, borrow=8))
    done = outcome((site("one", 64),), queue, quota, **held("a", 8))
    assert sorted(placed(done)) == [0]
    assert "uni holds 8 of at most 16 H100" in why(done, 1)[1]


def test_a_limit_of_a_project_holds_within_its_institution() -> None:
    queue = [waiting(n, 8, 60, "a") for n in range(3)]
    done = outcome((site("one", 64),), queue, Quota("project", "a", 1000, (Allotment(ANY, 0, borrow=16),)))
    assert sorted(placed(done)) == [0, 1]
    assert "project a holds 0 of at most 16 cards" in why(done, 2)[1]


def test_who_is_within_its_promise_is_served_before_who_borrows() -> None:
    queue = [waiting(0, 8, 60, "b"), waiting(1, 8, 60, "a")]
    assert sorted(placed(outcome((site("one", 8),), queue))) == [0]
    done = outcome((site("one", 8),), queue, institution("uni", Allotment("H100", 8)))
    assert sorted(placed(done)) == [1]


def test_what_is_not_lent_stays_free_for_its_owner() -> None:
    queue = [waiting(n, 8, 60, "b") for n in range(4)]
    done = outcome((site("one", 32),), queue, institution("uni", Allotment("H100", 24, lend=8)))
    assert sorted(placed(done)) == [0, 1]
    assert why(done, 2) == ("quota", "free H100 are promised to others; wait until more are free")
    wide = waiting(9, 8, 60, "a", num_nodes=3)
    back = outcome((site("one", 32),), [wide], institution("uni", Allotment("H100", 24, lend=8)))
    assert placed(back) == {9: "one/p0"}


def test_a_share_weighs_what_was_used() -> None:
    queue = [waiting(0, 8, 60, "a"), waiting(1, 8, 60, "b")]
    served = {"institution/uni": 3_000_000, "institution/lab": 2_000_000}
    assert sorted(placed(outcome((site("one", 8),), queue, served=served))) == [1]
    done = outcome((site("one", 8),), queue, institution("uni", share_milli=2000), served=served)
    assert sorted(placed(done)) == [0]


def test_a_job_goes_where_its_quota_lets_it_and_the_receipt_says_so() -> None:
    asks = Resources((Ask("H100", 8), Ask("Ascend910B", 8)), ordered=True)
    row = waiting(0, 8, 60, "a", resources=asks)
    sites = (site("one", 64), site("two", 64, chip="Ascend910B"))
    assert placed(outcome(sites, [row])) == {0: "one/p0"}
    done = outcome(sites, [row], institution("uni", Allotment("H100", 0, borrow=0)))
    assert placed(done) == {0: "two/p0"}
    (opened,) = receipts(done)
    assert not opened.differences
    refused = {each.site: each.why_not for each in opened.now.decision.rows if each.why_not}
    assert refused["one"].code == "quota"


quotas = st.builds(
    Allotment,
    st.sampled_from(("H100", "Ascend910B", ANY)),
    st.integers(0, 24),
    st.none() | st.integers(0, 24),
    st.none() | st.integers(0, 24),
)
wishes = st.tuples(
    st.sampled_from("abc"),
    st.integers(1, 8),
    st.integers(1, 3),
    st.sampled_from((("H100",), ("Ascend910B",), ("H100", "Ascend910B"))),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(wishes, min_size=1, max_size=12),
    st.dictionaries(st.sampled_from(("uni", "lab", "firm")), st.lists(quotas, max_size=2), min_size=1),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 16)),
    st.sampled_from(Backfill),
)
def test_no_quota_is_ever_exceeded_and_every_receipt_replays(
    jobs: list[tuple[str, int, int, tuple[str, ...]]],
    promised: dict[str, list[Allotment]],
    holds: dict[str, int],
    backfill: Backfill,
) -> None:
    queue = [
        waiting(
            n, 1, 60, project, num_nodes=nodes, resources=Resources(tuple(Ask(chip, cards) for chip in chips))
        )
        for n, (project, cards, nodes, chips) in enumerate(jobs)
    ]
    some = tuple(
        institution(name, *{each.accelerator: each for each in allotments}.values())
        for name, allotments in sorted(promised.items())
    )
    sites = (site("one", 48), site("two", 32, chip="Ascend910B"))
    holdings = tuple(Holding(ProjectId(name), "one", "p0", cards) for name, cards in sorted(holds.items()))
    use = (PoolUse("one", "p0", sum(holds.values())),)
    shot = scene(sites, queue, institutions=OWNERS, quotas=some, holdings=holdings, use=use)
    done = turn(shot, Rules(backfill=backfill))
    now: Counter[tuple[str, str]] = Counter()
    for name, cards in holds.items():
        now[OWNERS[ProjectId(name)], "H100"] += cards
    before = Counter(now)
    for each in done.jobs:
        if each.after.live:
            now[OWNERS[each.project], each.after.live.accelerator] += each.after.live.cards
    for quota in some:
        for each in quota.allotments:
            chips = ("H100", "Ascend910B") if each.accelerator == ANY else (each.accelerator,)
            total = sum(now[quota.name, chip] for chip in chips)
            had = sum(before[quota.name, chip] for chip in chips)
            if each.ceiling is not None and total > had:
                assert total <= each.ceiling
    assert all(not opened.differences for opened in receipts(done))
