"""Forecasts: the plan is what would happen by walltimes, and corrected waits cover what they say."""

import random
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_queue import MIN, NOW, placed, scene, site, waiting

from hutong.core.accounts.quotas import ANY, Allotment, Quota
from hutong.core.book.snapshot import Holding, JobRow, PersonHolding, PoolUse, Running, Snapshot
from hutong.core.capacity.sites import Site, Supply
from hutong.core.control.forecast import LEAST_RATIOS, MOST_RATIOS, Record, plan, quantiles, record_of
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import ProjectId
from hutong.core.placement.columns import Backfill

OTHER = ProjectId("other")


def even(name: str, *cards: int) -> Site:
    """Return a site on which no hour matters."""
    return replace(site(name, *cards), supply=Supply((500_000,) * 24, (500,) * 24, "a test"))


def at(shot: Snapshot, now_ms: int, queue: list[JobRow], runs: list[Running]) -> Snapshot:
    """Return the snapshot as it is at a later moment."""
    use: dict[tuple[str, str], int] = {}
    held: Counter[tuple[ProjectId, str, str, str]] = Counter()
    for each in runs:
        use[each.site, each.pool] = use.get((each.site, each.pool), 0) + each.cards
        held[each.project, each.person, each.site, each.pool] += each.cards
    by_project: Counter[tuple[ProjectId, str, str]] = Counter()
    for (project, _, place, pool), cards in held.items():
        by_project[project, place, pool] += cards
    statuses = {name: replace(status, seen_ms=now_ms) for name, status in shot.statuses.items()}
    return replace(
        shot, now_ms=now_ms, queue=tuple(queue), running=tuple(runs), statuses=statuses,
        use=tuple(PoolUse(*name, cards) for name, cards in use.items()),
        holdings=tuple(Holding(*name, cards) for name, cards in by_project.items()),
        person_holdings=tuple(PersonHolding(*name, cards) for name, cards in held.items()),
    )  # fmt: skip


def lived(shot: Snapshot, rules: Rules) -> dict[str, int]:
    """Return when each job starts if turn follows turn and every job runs until its walltime."""
    queue, runs, found = list(shot.queue), list(shot.running), {}
    now_ms = shot.now_ms
    while queue:
        done = turn(at(shot, now_ms, queue, runs), rules)
        for each in done.jobs:
            live = each.after.live
            if live is not None:
                found[each.job] = now_ms - shot.now_ms
                until_ms = now_ms + live.run_ms
                runs.append(Running(each.project, live.site, live.pool, live.cards, until_ms, "ada"))
        queue = [row for row in queue if row.job.id not in found]
        if not runs:
            break
        now_ms = max(now_ms, min(each.until_ms for each in runs))
        runs = [each for each in runs if each.until_ms > now_ms]
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 3), st.integers(1, 600)), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(1, 8), st.integers(-5, 300)), max_size=4),
    st.sampled_from(Backfill),
)
def test_the_plan_is_what_turns_would_do_by_walltimes(
    asks: list[tuple[int, int, int]], held: list[tuple[int, int]], backfill: Backfill
) -> None:
    queue = [waiting(n, cards, minutes, num_nodes=nodes) for n, (cards, nodes, minutes) in enumerate(asks)]
    runs = [Running(OTHER, "one", "p0", cards, NOW + minutes * MIN) for cards, minutes in held]
    shot = at(scene((even("one", 32), even("two", 16)), queue), NOW, queue, runs)
    rules = Rules(backfill=backfill)
    expected = lived(shot, rules)
    assert {each.job: each.wait_ms for each in plan(shot, rules)} == {
        row.job.id: expected.get(row.job.id) for row in queue
    }


def test_the_line_is_the_order_of_the_pass() -> None:
    queue = [waiting(0, 8, 60, "b"), waiting(1, 8, 60, "a", priority=3), waiting(2, 8, 60, "a")]
    shot = scene((even("one", 8),), queue, served={"project/a": 0, "project/b": 9_000_000_000})
    assert [int(each.job[3:]) for each in plan(shot, Rules())] == [1, 2, 0]
    assert [each.place for each in plan(shot, Rules())] == [1, 2, 3]
    assert [each.wait_ms for each in plan(shot, Rules())] == [0, 60 * MIN, 120 * MIN]


def test_a_job_behind_one_without_an_end_is_not_told_when() -> None:
    shot = scene((even("one", 8),), [waiting(0, 8, 60)], use=(PoolUse("one", "p0", 8),))
    (only,) = plan(shot, Rules())
    assert (only.place, only.wait_ms) == (1, None)
    assert placed(turn(shot, Rules())) == {}
    assert plan(scene((even("one", 8),), []), Rules()) == ()


def test_jobs_that_wait_for_money_are_not_in_line() -> None:
    poor = waiting(0, 8, 60)
    poor = replace(poor, job=replace(poor.job, waiting_code="no_funds"))
    shot = scene((even("one", 8),), [poor, waiting(1, 8, 60)])
    assert [int(each.job[3:]) for each in plan(shot, Rules())] == [1]


def test_corrected_waits_cover_what_they_say() -> None:
    dice = random.Random(7)
    record = Record()
    covered, likely, count = 0, 0, 4000
    for number in range(count + 200):
        planned = dice.randint(1, 50_000_000)
        true = int(planned * dice.lognormvariate(-0.7, 0.8))
        if number >= 200:
            waits = record.correct(planned)
            likely += true <= waits.likely_ms
            covered += true <= waits.late_ms
        record.learn(planned, true)
    assert 0.47 < likely / count < 0.53
    assert 0.88 < covered / count < 0.92


def test_jobs_that_wait_yet_count_as_far_as_they_have_waited() -> None:
    """In a queue that grows, the waits that are over are the short ones."""
    assert quantiles([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], []) == (5, 9)
    assert quantiles([1, 2, 3, 4], [9] * 6) == (9, 9), "most wait yet: no quantile is reached"
    assert quantiles([2, 4, 6], [1, 1, 1]) == (4, 6), "who waits since a moment ago says nothing"
    record = Record()
    for _ in range(40):
        record.learn(10_000, 5_000)
    assert record.correct(10_000).late_ms == 5_000
    assert record.correct(10_000, [(10_000, 30_000)] * 40).late_ms == 30_000


def test_a_few_waits_correct_nothing_and_old_ones_are_forgotten() -> None:
    record = Record()
    for _ in range(LEAST_RATIOS - 1):
        record.learn(10_000, 5_000)
    record.learn(0, 9_000)
    assert record.correct(10_000).samples == 0
    record.learn(3_000_000, 1_500_000)
    assert (record.correct(10_000).likely_ms, record.correct(10_000).samples) == (5_000, LEAST_RATIOS)
    for _ in range(MOST_RATIOS):
        record.learn(10_000, 20_000)
    assert record.correct(10_000).late_ms == 20_000
    again = record_of(record.document())
    assert again.correct(10_000) == record.correct(10_000)
    assert again.document() == record.document()


limits = st.lists(
    st.tuples(st.sampled_from(["H100", ANY]), st.integers(0, 16), st.integers(0, 16), st.integers(0, 8)),
    max_size=2,
    unique_by=lambda each: each[0],
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 3), st.integers(1, 600)), min_size=1, max_size=10),
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 300), st.sampled_from(["a", "b"])), max_size=4),
    limits,
    limits,
    st.none() | st.integers(0, 24),
)
def test_the_plan_knows_when_quotas_let_a_job_start(
    asks: list[tuple[int, int, int]],
    held: list[tuple[int, int, str]],
    mine: list[tuple[str, int, int, int]],
    theirs: list[tuple[str, int, int, int]],
    each_person: int | None,
) -> None:
    owners = {ProjectId("a"): "uni", ProjectId("b"): "lab"}
    people = tuple(Allotment("H100", 0, each_person=most) for most in [each_person] if most is not None)
    quotas = (
        Quota("institution", "uni", 1000, tuple(Allotment(c, n, b, min(n, k)) for c, n, b, k in mine)),
        Quota("institution", "lab", 1000, tuple(Allotment(c, n, b, min(n, k)) for c, n, b, k in theirs)),
        Quota("project", "a", 1000, people),
    )
    queue = [waiting(n, cards, minutes, num_nodes=nodes) for n, (cards, nodes, minutes) in enumerate(asks)]
    runs = [
        Running(ProjectId(who), "one", "p0", cards, NOW + minutes * MIN, "ada")
        for cards, minutes, who in held
    ]
    shot = scene((even("one", 32), even("two", 16)), queue, quotas=quotas, institutions=owners)
    shot = at(shot, NOW, queue, runs)
    expected = lived(shot, Rules())
    assert {each.job: each.wait_ms for each in plan(shot, Rules())} == {
        row.job.id: expected.get(row.job.id) for row in queue
    }
