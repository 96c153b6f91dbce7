"""Quotas in a turn: what is promised comes first, no limit is exceeded, receipts say what was barred."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_queue import MIN, NOW, placed, receipts, scene, site, waiting, why

from hutong.core.accounts.quotas import ANY, Allotment, Quota
from hutong.core.book.snapshot import Holding, JobRow, Outcome, PersonHolding, PoolUse, Running, Snapshot
from hutong.core.capacity.sites import Site
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import ProjectId
from hutong.core.placement.columns import Backfill
from hutong.core.work.spec import Ask, Resources

PEOPLE = ("ada", "bo")
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


def by(person: str, row: JobRow) -> JobRow:
    """Return a job as somebody else submitted it."""
    return replace(row, job=replace(row.job, by=person))


def each_person(project: str, most: int, chip: str = "H100") -> Quota:
    """Return a quota that limits the people of a project."""
    return Quota("project", project, 1000, (Allotment(chip, 0, each_person=most),))


def crowd(
    sites: tuple[Site, ...], queue: list[JobRow], holds: dict[tuple[str, str], int], *quotas: Quota
) -> Snapshot:
    """Return a snapshot in which people of projects hold cards of the first pool of site one."""
    by_project: Counter[str] = Counter()
    for (project, _), cards in holds.items():
        by_project[project] += cards
    limited = {quota.name for quota in quotas if quota.limits_people}
    return scene(
        sites,
        queue,
        institutions=OWNERS,
        quotas=quotas,
        holdings=tuple(Holding(ProjectId(name), "one", "p0", n) for name, n in sorted(by_project.items())),
        person_holdings=tuple(
            PersonHolding(ProjectId(project), person, "one", "p0", cards)
            for (project, person), cards in sorted(holds.items())
            if project in limited
        ),
        use=(PoolUse("one", "p0", sum(holds.values())),),
    )


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
    assert text == "institution uni holds 16 of at most 16 H100, needs 8; wait until 8 of them are given back"


def test_what_is_held_already_counts() -> None:
    queue = [waiting(n, 8, 60, "a") for n in range(4)]
    quota = institution("uni", Allotment("H100", 8, borrow=8))
    done = outcome((site("one", 64),), queue, quota, **held("a", 8))
    assert sorted(placed(done)) == [0]
    assert "uni holds 16 of at most 16 H100" in why(done, 1)[1], "what this turn starts counts too"


def test_a_limit_of_a_project_holds_within_its_institution() -> None:
    queue = [waiting(n, 8, 60, "a") for n in range(3)]
    done = outcome((site("one", 64),), queue, Quota("project", "a", 1000, (Allotment(ANY, 0, borrow=16),)))
    assert sorted(placed(done)) == [0, 1]
    assert "project a holds 16 of at most 16 cards" in why(done, 2)[1]


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


def test_a_limit_on_all_cards_together_knows_what_a_job_takes_of_each_accelerator() -> None:
    row = waiting(0, 8, 60, "a", resources=Resources((Ask("H100", 8), Ask("Ascend910B", 4)), ordered=True))
    sites = (site("one", 64), site("two", 64, chip="Ascend910B"))
    done = outcome(sites, [row], institution("uni", Allotment(ANY, 0, borrow=4)))
    assert placed(done) == {0: "two/p0"}
    assert placed(outcome(sites, [row], institution("uni", Allotment(ANY, 0, borrow=3)))) == {}


quotas = st.builds(
    Allotment,
    st.sampled_from(("H100", "Ascend910B", ANY)),
    st.integers(0, 24),
    st.none() | st.integers(0, 24),
    st.none() | st.integers(0, 24),
)


def test_each_person_of_a_project_has_a_limit_and_the_others_go_past_who_is_at_it() -> None:
    queue = [by("ada", waiting(n, 8, 60)) for n in range(3)] + [by("bo", waiting(3, 8, 60))]
    for backfill in Backfill:
        done = turn(
            crowd((site("one", 64),), queue, {("a", "ada"): 8}, each_person("a", 16)),
            Rules(backfill=backfill),
        )
        assert sorted(placed(done)) == [0, 3]
        assert why(done, 1) == (
            "quota",
            "ada holds 16 of at most 16 H100 that each person of project a may hold, needs 8; "
            "wait until 8 of them are given back",
        )
    assert sorted(placed(outcome((site("one", 64),), queue, each_person("b", 16)))) == [0, 1, 2, 3]


def test_who_is_at_a_limit_has_no_reservation_and_the_next_of_the_project_has_one() -> None:
    wide = by("bo", waiting(1, 8, 600, num_nodes=3))
    queue = [by("ada", waiting(0, 8, 60, num_nodes=3)), wide, by("bo", waiting(2, 8, 600))]
    shot = crowd((site("one", 24),), queue, {("a", "ada"): 8}, each_person("a", 24))
    ends = (Running(ProjectId("other"), "one", "p0", 8, NOW + 60 * MIN),)
    done = turn(replace(shot, running=ends), Rules())
    assert placed(done) == {}
    assert why(done, 0)[0] == "quota"
    assert "expected to start" in why(done, 2)[1], "cards are kept for the job of bo, not for that of ada"


def test_people_of_a_project_have_one_reservation_between_them_as_where_nobody_is_limited() -> None:
    sites = (site("one", 16), site("two", 16))
    use = (PoolUse("one", "p0", 8), PoolUse("two", "p0", 8))
    ends = (
        Running(ProjectId("other"), "one", "p0", 8, NOW + 60 * MIN),
        Running(ProjectId("other"), "two", "p0", 8, NOW + 90 * MIN),
    )
    queue = [by(person, waiting(n, 8, 600, num_nodes=2)) for n, person in enumerate(PEOPLE)]
    queue.append(waiting(2, 8, 600, "b"))
    for some in ((), (each_person("a", 64),)):
        assert placed(outcome(sites, queue, *some, use=use, running=ends)) == {2: "two/p0"}


def test_why_not_names_the_limit_that_bars_and_the_smallest_change() -> None:
    def told(row: JobRow, *some: Quota) -> str:
        return why(turn(crowd((site("one", 64),), [row], {("a", "ada"): 12}, *some), Rules()), 0)[1]

    eight, wide = by("ada", waiting(0, 8, 60)), by("ada", waiting(0, 8, 60, num_nodes=3))
    assert told(eight, each_person("a", 16)).endswith(
        "needs 8; ask for at most 4 now, or wait until 4 of them are given back"
    )
    assert told(wide, each_person("a", 16)).endswith("needs 24; ask for at most 16")
    assert told(eight, each_person("a", 0)).endswith("ask an operator for a higher limit")
    assert told(eight, each_person("a", 16, ANY)).startswith(
        "ada holds 12 of at most 16 cards that each person"
    )
    project = Quota("project", "a", 1000, (Allotment("H100", 0, borrow=16, each_person=24),))
    assert told(eight, project).startswith("project a holds 12 of at most 16 H100, needs 8")
    above = institution("uni", Allotment("H100", 16, borrow=0))
    assert told(eight, each_person("a", 24), above).startswith("institution uni holds 12 of at most 16 H100")


def test_a_limit_below_what_somebody_holds_only_keeps_new_jobs_waiting() -> None:
    done = turn(
        crowd((site("one", 64),), [by("ada", waiting(0, 1, 60))], {("a", "ada"): 24}, each_person("a", 8)),
        Rules(),
    )
    assert placed(done) == {}
    assert "ada holds 24 of at most 8 H100" in why(done, 0)[1]
    assert all(command.kind != "stop" for each in done.jobs for command in each.commands)


def test_a_job_of_a_person_at_a_limit_goes_to_another_accelerator_and_its_receipt_says_so() -> None:
    asks = Resources((Ask("H100", 8), Ask("Ascend910B", 8)), ordered=True)
    row = by("ada", waiting(0, 8, 60, resources=asks))
    sites = (site("one", 64), site("two", 64, chip="Ascend910B"))
    done = turn(crowd(sites, [row], {("a", "ada"): 8}, each_person("a", 8)), Rules())
    assert placed(done) == {0: "two/p0"}
    (opened,) = receipts(done)
    assert not opened.differences
    refused = {each.site: each.why_not for each in opened.now.decision.rows if each.why_not}
    assert refused["one"].code == "quota"


personal = st.builds(
    Allotment,
    st.sampled_from(("H100", "Ascend910B", ANY)),
    st.just(0),
    st.none() | st.integers(8, 24),
    st.none(),
    st.none() | st.integers(0, 16),
)
CHIPS = ("H100", "Ascend910B")
ask = st.builds(Ask, st.sampled_from(CHIPS), st.integers(1, 8))
asked = st.lists(ask, min_size=1, max_size=2, unique_by=lambda each: each.accelerator).map(tuple)
wishes = st.tuples(st.sampled_from("abc"), st.sampled_from(PEOPLE), st.integers(1, 3), asked)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(wishes, min_size=1, max_size=12),
    st.dictionaries(st.sampled_from(("uni", "lab", "firm")), st.lists(quotas, max_size=2)),
    st.dictionaries(st.sampled_from("abc"), st.lists(personal, max_size=2)),
    st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from(PEOPLE)), st.integers(0, 8)),
    st.sampled_from(Backfill),
)
def test_no_quota_is_ever_exceeded_and_every_receipt_replays(
    jobs: list[tuple[str, str, int, tuple[Ask, ...]]],
    promised: dict[str, list[Allotment]],
    limits: dict[str, list[Allotment]],
    holds: dict[tuple[str, str], int],
    backfill: Backfill,
) -> None:
    queue = [
        by(person, waiting(n, 1, 60, project, num_nodes=nodes, resources=Resources(asks)))
        for n, (project, person, nodes, asks) in enumerate(jobs)
    ]
    some = (
        *(institution(name, *once(allotments)) for name, allotments in sorted(promised.items())),
        *(Quota("project", name, 1000, once(allotments)) for name, allotments in sorted(limits.items())),
    )
    sites = (site("one", 48), site("two", 32, chip="Ascend910B"))
    done = turn(crowd(sites, queue, holds, *some), Rules(backfill=backfill))
    now: Counter[tuple[str, str]] = Counter()
    for (project, person), cards in holds.items():
        count(now, ProjectId(project), person, "H100", cards)
    before = Counter(now)
    for each in done.jobs:
        if each.after.live:
            count(now, each.project, each.after.by, each.after.live.accelerator, each.after.live.cards)
    for quota in some:
        for each in quota.allotments:
            for name, most in (
                (quota.id, each.ceiling),
                *((f"{quota.id}/{person}", each.each_person) for person in PEOPLE),
            ):
                chips = CHIPS if each.accelerator == ANY else (each.accelerator,)
                total = sum(now[name, chip] for chip in chips)
                if most is not None and total > sum(before[name, chip] for chip in chips):
                    assert total <= most
    assert all(not opened.differences for opened in receipts(done))


@settings(max_examples=100, deadline=None)
@given(st.lists(wishes, min_size=1, max_size=20), st.integers(0, 40), st.sampled_from(Backfill))
def test_a_limit_that_nobody_reaches_changes_nothing(
    jobs: list[tuple[str, str, int, tuple[Ask, ...]]], used: int, backfill: Backfill
) -> None:
    queue = [
        by(person, waiting(n, 1, 60 + n, project, num_nodes=nodes, resources=Resources(asks)))
        for n, (project, person, nodes, asks) in enumerate(jobs)
    ]
    sites = (site("one", 48), site("two", 32, chip="Ascend910B"))
    served = {f"project/{name}": 3_600_000 * at for at, name in enumerate("abc")}
    shot = scene(sites, queue, institutions=OWNERS, served=served, use=(PoolUse("one", "p0", used),))
    limits = tuple(each_person(name, 1000) for name in "abc")
    plain, limited = (turn(each, Rules(backfill=backfill)) for each in (shot, replace(shot, quotas=limits)))
    assert placed(limited) == placed(plain)
    assert [each.after.waiting_text for each in limited.jobs] == [
        each.after.waiting_text for each in plain.jobs
    ]


def once(allotments: list[Allotment]) -> tuple[Allotment, ...]:
    """Return the last allotment of each accelerator."""
    return tuple({each.accelerator: each for each in allotments}.values())


def count(held_by: Counter[tuple[str, str]], project: ProjectId, person: str, chip: str, cards: int) -> None:
    """Count cards to a person in a project, to the project and to its institution."""
    for name in (f"institution/{OWNERS[project]}", f"project/{project}", f"project/{project}/{person}"):
        held_by[name, chip] += cards
