"""A whole queue in one turn: receipts that replay, reservations, fair shares, and the order of it all."""

from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.book.lengths import work_of
from hutong.core.book.money import Lot, LotKind
from hutong.core.book.shares import HALF_LIFE_MS, decayed, of_institution, of_project
from hutong.core.book.snapshot import JobRow, Outcome, PoolUse, Running, Snapshot
from hutong.core.capacity.sites import Admission, Maintenance, Pool, PoolState, Site, SiteStatus, Supply
from hutong.core.control.rules import Rules, RunLengths
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import JobId, LotId, PoolId, ProjectId, SiteId
from hutong.core.placement.columns import Backfill
from hutong.core.placement.receipt import Opened, open_receipt
from hutong.core.work import facts as f
from hutong.core.work.fold import fold
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources, Wish

OTHER = ProjectId("other")

NOW = 1_800_000_000_000
MIN = 60_000
CHIPS = ("H100", "Ascend910B")


def site(name: str, *cards: int, chip: str = "H100", **changes: object) -> Site:
    """Return a site with one pool of eight-card nodes for each number of cards."""
    pools = tuple(
        Pool(PoolId(f"p{at}"), chip, count // 8, 8, (10 + at) * 10**6, 1200, "cuda")
        for at, count in enumerate(cards)
    )
    supply = Supply(tuple(40_000 * hour for hour in range(24)), (500,) * 24, "a test")
    return Site(SiteId(name), "", name, "r", 10, "local", pools, supply, **changes)  # type: ignore[arg-type]


def waiting(number: int, cards: int, minutes: int, project: str = "a", **changes: object) -> JobRow:
    """Return a queued job, older the smaller its number."""
    name = JobId(f"01J{number:023d}")
    events = (f.Submitted("ada", "sha256:0"), f.Queued())
    facts = [f.Fact(name, seq, NOW - MIN + number, "test", event) for seq, event in enumerate(events, 1)]
    spec = JobSpec(
        f"j{number}", JobType.TASK, 1, Resources((Ask("H100", cards),)), "true", max_duration_s=60 * minutes
    )
    return JobRow(fold(facts), replace(spec, **changes), ProjectId(project))  # type: ignore[arg-type]


def scene(sites: tuple[Site, ...], queue: list[JobRow], **changes: object) -> Snapshot:
    """Return a snapshot in which every site answers and every project has money."""
    lots = {
        row.project: (Lot(LotId(row.project), row.project, LotKind.AWARD, 10**6, 0, 2 * NOW, 10**15),)
        for row in queue
    }
    statuses = {each.id: SiteStatus(each.id, NOW, NOW) for each in sites}
    shot = Snapshot(NOW, (), tuple(queue), sites, statuses, lots=lots)
    return replace(shot, **changes)  # type: ignore[arg-type]


def placed(outcome: Outcome) -> dict[int, str]:
    """Return where each placed job went, by its number."""
    return {
        int(each.job[3:]): f"{each.after.live.site}/{each.after.live.pool}"
        for each in outcome.jobs
        if each.after.live is not None
    }


def why(outcome: Outcome, number: int) -> tuple[str, str]:
    """Return why a job waits."""
    (found,) = (each.after for each in outcome.jobs if int(each.job[3:]) == number)
    return found.waiting_code, found.waiting_text


def receipts(outcome: Outcome) -> list[Opened]:
    """Return every receipt of a turn, decided again."""
    pages = dict(outcome.pages)
    return [open_receipt(data, pages.get) for each in outcome.jobs for _, data in each.receipts]


sites = st.lists(
    st.builds(
        lambda name, cards, chip, admission, closing: site(
            name, *cards, chip=chip, admission=admission, maintenance=closing
        ),
        st.sampled_from(["bj", "tj", "zjk", "hu"]),
        st.lists(st.sampled_from([8, 16, 64]), min_size=1, max_size=3),
        st.sampled_from(CHIPS),
        st.sampled_from([Admission.ACTIVE, Admission.ACTIVE, Admission.DRAIN]),
        st.sampled_from([(), (Maintenance(NOW + 90 * MIN, NOW + 200 * MIN, "cooling"),)]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda each: each.id,
).map(lambda found: tuple(sorted(found, key=lambda each: each.id)))
asks = st.builds(Ask, st.sampled_from(CHIPS), st.integers(1, 8))
specs = st.fixed_dictionaries(
    {
        "num_nodes": st.integers(1, 3),
        "resources": st.builds(
            Resources,
            st.lists(st.builds(Ask, st.sampled_from(CHIPS), st.integers(1, 8)), min_size=1, max_size=2).map(
                tuple
            ),
            ordered=st.booleans(),
        ),
        "wish": st.builds(
            Wish,
            latency_class=st.sampled_from(["batch", "interactive"]),
            deny=st.sampled_from([(), ("hu",)]),
            max_hourly_cost_micro=st.sampled_from([None, 200 * 10**6]),
        ),
        "priority": st.integers(-1, 1),
    }
)
rows = st.lists(
    st.tuples(st.sampled_from([1, 30, 60, 120, 600]), st.sampled_from("abc"), specs), min_size=1, max_size=15
)


@settings(max_examples=150, deadline=None)
@given(sites, rows, st.data())
def test_every_receipt_of_a_turn_replays_and_no_card_is_given_twice(
    found: tuple[Site, ...], asked: list[tuple[int, str, dict[str, object]]], data: st.DataObject
) -> None:
    queue = [waiting(at, 1, minutes, project, **spec) for at, (minutes, project, spec) in enumerate(asked)]
    pools = [(each.id, pool) for each in found for pool in each.pools]
    use = {(name, pool.id): data.draw(st.integers(0, pool.cards)) for name, pool in pools}
    running = tuple(
        Running(
            OTHER, name, pool, cards, NOW + data.draw(st.integers(-10, 300)) * MIN, "",
            NOW - data.draw(st.integers(10, 90)) * MIN, data.draw(st.integers(0, 200)) * MIN,
        )
        for (name, pool), cards in use.items()
        if cards
    )  # fmt: skip
    lengths = {work_of(row.project, row.spec): (60 * data.draw(st.integers(0, 200)),) * 3 for row in queue}
    shot = scene(
        found, queue, use=tuple(PoolUse(*name, cards) for name, cards in use.items()), running=running,
        lengths=lengths,
    )  # fmt: skip
    shot = replace(shot, statuses={**shot.statuses, **_states(found, data)})
    patience_ms = data.draw(st.sampled_from([1, 10**9]))
    for backfill, by in product(Backfill, RunLengths):
        outcome = turn(shot, Rules(backfill=backfill, lengths=by, patience_ms=patience_ms))
        assert outcome.broken == ()
        for opened in receipts(outcome):
            assert opened.differences == ()
            assert opened.digest == opened.now_digest
        given_away = dict(use)
        for each in outcome.jobs:
            if each.after.live is not None:
                given_away[each.after.live.site, each.after.live.pool] += each.after.live.cards
        assert all(given_away[name, pool.id] <= pool.cards for name, pool in pools)


def _states(found: tuple[Site, ...], data: st.DataObject) -> dict[str, SiteStatus]:
    return {
        each.id: SiteStatus(
            each.id, NOW - data.draw(st.sampled_from([0, 10**6])), NOW,
            trouble=data.draw(st.sampled_from(["", "no space"])),
            pools=(PoolState("p0", each.pools[0].cards, 0, data.draw(st.sampled_from([0, 300]))),),
        )
        for each in found
    }  # fmt: skip


def test_the_first_that_waits_has_cards_kept_and_only_what_ends_before_may_have_them() -> None:
    busy = {"use": (PoolUse("bj", "p0", 8),), "running": (Running(OTHER, "bj", "p0", 8, NOW + 60 * MIN),)}
    queue = [waiting(1, 8, 600, num_nodes=2), waiting(2, 4, 120, "b"), waiting(3, 4, 60, "c")]
    outcome = turn(scene((site("bj", 16),), queue, **busy), Rules())
    assert placed(outcome) == {3: "bj/p0"}
    assert why(outcome, 1)[0] == "busy"
    code, text = why(outcome, 2)
    assert code == "kept"
    assert "expected to start at 2027-01-15 09:00 UTC" in text
    assert "max_duration: 60m or less" in text
    (opened,) = receipts(outcome)
    (kept,) = opened.now.pools[0].kept
    assert (kept.in_ms, kept.spare) == (60 * MIN, 0)
    assert opened.differences == ()
    greedy = turn(scene((site("bj", 16),), queue, **busy), Rules(backfill=Backfill.GREEDY))
    assert placed(greedy) == {2: "bj/p0", 3: "bj/p0"}
    strict = turn(scene((site("bj", 16),), queue, **busy), Rules(backfill=Backfill.NONE))
    assert placed(strict) == {}


def test_whoever_waits_is_told_of_those_before_it_and_a_receipt_has_all_that_was_kept() -> None:
    """Later jobs may have cards kept for an earlier hour: they are not what another waits for."""
    runs = (Running(OTHER, "bj", "p0", 5, NOW + 30 * MIN), Running(OTHER, "bj", "p0", 5, NOW + 60 * MIN))
    queue = [
        waiting(1, 7, 60, "a", num_nodes=2),  # from 60 on
        waiting(2, 4, 600, "b"),  # would take cards of the first
        waiting(3, 8, 20, "c"),  # from 30 on, until 50
        waiting(4, 2, 600, "d"),  # beside all of them
    ]
    shot = scene((site("bj", 16),), queue, use=(PoolUse("bj", "p0", 10),), running=runs)
    outcome = turn(shot, Rules(backfill=Backfill.CONSERVATIVE))
    assert placed(outcome) == {4: "bj/p0"}
    code, text = why(outcome, 2)
    assert code == "kept"
    assert "expected to start at 2027-01-15 09:00 UTC" in text
    assert text.endswith("; max_duration: 60m or less fits before it, or wait until 4 cards are free")
    assert why(outcome, 3)[0] == "busy"
    (opened,) = receipts(outcome)
    assert opened.differences == ()
    assert [(each.in_ms, each.spare) for each in opened.now.pools[0].kept] == [
        (30 * MIN, 3),
        (60 * MIN, 2),
    ]


def test_who_has_used_less_lately_is_first_and_an_institution_counts_before_its_projects() -> None:
    queue = [waiting(1, 8, 60, "rich"), waiting(2, 8, 60, "poor"), waiting(3, 8, 60, "new")]
    served = {of_project("rich"): 9 * 10**12, of_project("poor"): 10**12}
    assert placed(turn(scene((site("bj", 8),), queue, served=served), Rules())) == {3: "bj/p0"}
    assert set(placed(turn(scene((site("bj", 16),), queue, served=served), Rules()))) == {2, 3}
    owners = {ProjectId("new"): "big", ProjectId("rich"): "small", ProjectId("poor"): "small"}
    owned = {**served, of_institution("big"): 10**14, of_institution("small"): 10**13}
    shot = scene((site("bj", 8),), queue, served=owned, institutions=owners)
    assert placed(turn(shot, Rules())) == {2: "bj/p0"}


def test_equal_projects_get_one_job_each_in_turn_and_priority_counts_within_one() -> None:
    queue = [waiting(at, 8, 60, "a") for at in range(4)]
    queue += [waiting(4, 8, 60, "b"), waiting(5, 8, 60, "b", priority=9)]
    outcome = turn(scene((site("bj", 24),), queue), Rules())
    assert set(placed(outcome)) == {0, 1, 5}


def test_what_was_used_is_half_forgotten_with_every_half_life() -> None:
    assert decayed(1000, 0) == decayed(1000, -5) == 1000
    assert decayed(1000, HALF_LIFE_MS) == 500
    assert decayed(1000, 2 * HALF_LIFE_MS) == 250
    assert 500 < decayed(1000, HALF_LIFE_MS // 2) < 1000
    assert decayed(10**18, 70 * HALF_LIFE_MS) == 0
