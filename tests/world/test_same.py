"""A simulated day through the live path: the same jobs start at the same moments in the same pools.

Live: the real loop over a store, agents with the memory engine, and a clock that jumps to the next fact.
Beside it the simulator, which calls the same scheduling pass; they are compared receipt by receipt.
"""

import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.world.actors import Centre, Clock
from tests.world.test_world import T0, YUAN

from hutong.adapters.store.open import open_store
from hutong.core.accounts.quotas import ANY, INSTITUTION, PROJECT, Allotment, Quota
from hutong.core.book.money import ISSUED, Entry, Lot, LotKind, Txn, lot_account
from hutong.core.book.snapshot import Limits
from hutong.core.book.store import NewJob, Record, Store
from hutong.core.capacity.sites import Booking as SiteBooking
from hutong.core.capacity.sites import Maintenance as SiteMaintenance
from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.capacity.sites import PowerLimit as SiteLimit
from hutong.core.control.rules import Rules, RunLengths
from hutong.core.kernel.documents import to_document
from hutong.core.kernel.ids import JobId, LotId, PoolId, ProjectId, SiteId, attempt_key, ulid
from hutong.core.placement.columns import Backfill
from hutong.core.placement.receipt import open_receipt
from hutong.core.placement.request import Policy
from hutong.core.work.fold import Job
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources
from hutong.server.loop import Loop
from hutong.sim import fused, world
from hutong.sim.city import City, city_of, scores_of
from hutong.sim.compare import Ground
from hutong.sim.cuts import FOR_MAINTENANCE, FOR_POWER
from hutong.sim.predict import Predictor
from hutong.sim.rules import Queueing
from hutong.sim.runs import Run
from hutong.sim.settled import Agreed, Booking, Maintenance, PowerLimit, Preemptible, settle
from hutong.sim.trace import Trace, make_trace

DAY_S = 86_400
POLICY = Policy("balanced", fit=1, price=3, wait=2, distance=1, green=3, carbon=2, energy=3, fragmentation=2)


def make_city() -> City:
    """Return three centres, near and dear, far and cheap; supply is even, so that no hour matters.

    One does not say what it pays for electricity.
    """
    rows = (
        ("bj", 10, 2, 14, 560, (800_000,) * 24),
        ("tj", 120, 2, 9, 700, (650_000,) * 24),
        ("zjk", 180, 1, 6, 610, ()),
    )
    sites = [
        Site(
            SiteId(name), name, name, "north", km, "local",
            (Pool(PoolId("main"), "H100", nodes, 8, price * YUAN, 1200, "cuda"),),
            Supply((400_000,) * 24, (grams,) * 24, "a test", price_micro_per_kwh=paid),
        )
        for name, km, nodes, price, grams, paid in rows
    ]  # fmt: skip
    return city_of(sites)


PROJECTS = ("lab", "vision", "alone")


def make_day(seed: int, jobs: int, works: int = 0) -> Trace:
    """Return a day that fills the centres most of the time; every job asked for more time than it took.

    Jobs are of two people in each of three projects. With `works` each of so many people is of one project,
    and their jobs ask for the same cards; most of them take as long as each other.
    """
    dice = random.Random(seed)
    if works:
        work = [dice.randrange(works) for _ in range(jobs)]
        run_s = [60 + 700 * (each % 5) ** 2 + dice.choice([0, 9, 47, 5000]) for each in work]
        return make_trace(
            "a day of a few works", "generated",
            submit_s=sorted(dice.randrange(DAY_S // 120) * 60 for _ in range(jobs)),
            run_s=run_s,
            limit_s=[run + dice.choice([600, 7200, 40_000]) for run in run_s],
            nodes=[1 + (each % 3 == 2) for each in work],
            cards_per_node=[(4, 8, 8, 2)[each % 4] for each in work],
            group=[PROJECTS[each % 3] for each in work],
            user=[f"w{each}" for each in work],
        )  # fmt: skip
    run_s = [dice.choice([60, 600, 3600, 14_400]) + dice.randrange(600) for _ in range(jobs)]
    return make_trace(
        "a day", "generated",
        submit_s=sorted(dice.randrange(DAY_S // 60) * 60 for _ in range(jobs)),
        run_s=run_s,
        limit_s=[run + dice.choice([0, 600, 3600]) for run in run_s],
        nodes=[dice.choice([1, 1, 1, 2]) for _ in range(jobs)],
        cards_per_node=[dice.choice([1, 2, 4, 8]) for _ in range(jobs)],
        group=[dice.choice(PROJECTS) for _ in range(jobs)],
        user=[dice.choice(["ada", "bo"]) for _ in range(jobs)],
    )  # fmt: skip


NOTHING = Agreed()
NEVER_S = 1 << 40
SHARE = 10**15
"""So much that use makes no difference: jobs stand in line as they come, as in the trace."""

AGREED = Agreed(
    institutions=(("uni", ("lab", "vision")),),
    quotas=(
        Quota(INSTITUTION, "uni", SHARE, (Allotment("H100", 12, borrow=14, lend=4),)),
        Quota(PROJECT, "lab", SHARE, (Allotment(ANY, 8, borrow=12, each_person=16),)),
        Quota(PROJECT, "vision", SHARE),
        Quota(PROJECT, "alone", SHARE, (Allotment("H100", 4),)),
    ),
    bookings=(
        Booking("tj/main", 8, 6 * 3600, 9 * 3600, "project/alone"),
        Booking("tj/main", 4, 8 * 3600, 12 * 3600, "institution/uni"),
        Booking("bj/main", 8, 15 * 3600, 18 * 3600, "project/vision"),
    ),
    power_limits=(
        PowerLimit("bj", 9, 0, 5 * 3600),
        PowerLimit("tj", 7, 10 * 3600, 20 * 3600),
        PowerLimit("zjk", 6, 2 * 3600),
    ),
)


def lacking(part: str) -> Agreed:
    """Return what is agreed without one part of it."""
    changes: dict[str, Any] = {part: ()}
    return replace(AGREED, **changes)


def declared(site: Site, agreed: Agreed, at_s: int = 0) -> Site:
    """Return a site with what is known of it by then, by the clock of the live platform."""
    booked = tuple(
        SiteBooking(f"b{at}", PoolId("main"), each.cards, T0 + each.from_s * 1000, T0 + each.until_s * 1000,
                     each.holder, "a test")
        for at, each in enumerate(agreed.bookings)
        if each.pool == f"{site.id}/main"
    )  # fmt: skip
    limits = tuple(
        SiteLimit(f"l{at}", each.limit_kw, T0 + each.from_s * 1000,
                   T0 + each.until_s * 1000 if each.until_s else 0, "a test", each.stop_jobs)
        for at, each in enumerate(agreed.power_limits)
        if each.site == site.id and each.announced_s <= at_s
    )  # fmt: skip
    windows = tuple(
        SiteMaintenance(T0 + each.from_s * 1000, T0 + each.until_s * 1000, "a test", each.stop_jobs)
        for each in agreed.maintenance
        if each.site == site.id and each.announced_s <= at_s
    )
    return replace(site, bookings=booked, power_limits=limits, maintenance=windows)


class Live:
    """The platform, with one agent a centre, on a clock that jumps to whatever happens next."""

    def __init__(self, place: str, city: City, rules: Rules, agreed: Agreed = NOTHING) -> None:
        self.clock = Clock(T0)
        self.store: Store = open_store(place)
        self.sites = [site for site, _ in city.pools]
        for site in self.sites:
            self.put("site", site.id, declared(site, agreed))
        for quota in agreed.quotas:
            self.put("quota", quota.id, quota)
        owner = {each: name for name, projects in agreed.institutions for each in projects}
        for number, name in enumerate(PROJECTS, 1):
            project = ProjectId(name)
            self.store.put(Record("project", project, {"institution": owner.get(name, "")}))
            lot = Lot(LotId(f"award-{number}"), project, LotKind.AWARD, 1_000_000, 0, T0 * 2)
            entries = (Entry(ISSUED, -(10**9) * YUAN), Entry(lot_account(lot.id), 10**9 * YUAN))
            assert self.store.open_lot(lot, Txn(f"award:{number}", "award", project, T0, "award", entries))
        self.agreed = agreed
        self.moments = agreed.moments_s
        self.centres = [Centre(site.id, self.store, self.clock) for site, _ in city.pools]
        self.by_work = rules.predicts
        self.loop = Loop(self.store, rules, self.clock, "loop", Limits())

    def put(self, kind: str, name: str, what: object) -> None:
        """Register something."""
        document = to_document(what)
        assert isinstance(document, dict)
        self.store.put(Record(kind, name, document))

    def settle(self) -> None:
        """Let everybody act until this moment has nothing more to it.

        As `Loop.run` does, take a turn first of all, and then on a change only: else it would be the same.
        """
        idle, pulse = 0, -1
        while idle < 2:  # what an agent was told just before is reported at its next step
            for centre in self.centres:
                centre.step()
            before, pulse = pulse, self.store.pulse()
            idle = 0 if pulse != before and self.loop.step() else idle + 1

    def day(self, trace: Trace) -> list[JobId]:
        """Submit the jobs of a day and see them all end."""
        names: list[JobId] = []
        over: set[JobId] = set()
        submit_s = [*trace.submit_s.tolist(), NEVER_S]
        self.settle()
        moments, begun = [*self.moments, NEVER_S], 0
        next_s: dict[JobId, int] = {}
        while len(over) < len(trace):
            at_s = min(submit_s[len(names)], moments[begun], *next_s.values())
            self.clock.now_ms = T0 + at_s * 1000
            while moments[begun] <= at_s:
                begun += 1
                for site in self.sites:
                    self.put("site", site.id, declared(site, self.agreed, at_s))
            while submit_s[len(names)] == at_s:
                names.append(self.submit(trace, len(names)))
            self.settle()
            next_s = {}
            for number, name in enumerate(names):
                row = self.store.job(name) if name not in over else None
                if row is None:
                    continue
                if row.job.final:
                    over.add(name)
                else:
                    next_s[name] = self.next_s(row.job, int(trace.run_s[number]))
        return names

    def next_s(self, job: Job, run_s: int) -> int:
        """Return when something happens to a job of itself: it ends, or its time to wait is over."""
        if job.live is not None:
            assert job.live.started_seen_ms == job.live.placed_ms, "it started at once"
            return (job.live.started_seen_ms - T0) // 1000 + run_s
        return (job.retry_ms - T0) // 1000 if job.retry_ms > self.clock.now_ms else NEVER_S

    def submit(self, trace: Trace, number: int) -> JobId:
        """Submit a job of the trace now."""
        name = JobId(ulid(self.clock.now_ms, number.to_bytes(10, "big")))
        work = trace.users[trace.user[number]] if self.by_work else f"j{number}"
        spec = JobSpec(
            work, JobType.TASK, int(trace.nodes[number]),
            Resources((Ask("H100", int(trace.cards_per_node[number])),)),
            f"sleep {int(trace.run_s[number])}", max_duration_s=int(trace.limit_s[number]),
            preemptible=bool(self.agreed.preemptible.of(trace)[number]),
        )  # fmt: skip
        project, person = ProjectId("lab"), "ada"
        if self.agreed is not NOTHING:
            project, person = ProjectId(trace.groups[trace.group[number]]), trace.users[trace.user[number]]
        self.store.submit([NewJob(name, project, spec, person, f"sha256:{number}")], self.clock.now_ms)
        return name


@pytest.mark.parametrize("backfill", Backfill)  # on SQLite with all at once, below
def test_a_day_live_is_the_day_simulated_receipt_by_receipt(backfill: Backfill) -> None:
    city, trace = make_city(), make_day(7, 120)
    simulated = simulate(city, trace, backfill, None)
    waited = int((simulated.start_s > trace.submit_s).sum())
    assert waited > len(trace) // 10, "a day without a queue proves nothing"
    chosen = compare(Live("memory:", city, rules_of(backfill)), trace, simulated)
    assert len(set(chosen)) == len(city.pools), "every centre had its part"


@pytest.mark.parametrize("backfill", Backfill)
def test_so_it_is_with_quotas_bookings_and_limits_of_power(backfill: Backfill) -> None:
    city, trace = make_city(), make_day(7, 120)
    simulated = simulate(city, trace, backfill, AGREED)
    for part in ("quotas", "bookings", "power_limits"):
        without = simulate(city, trace, backfill, lacking(part))
        assert without.digest != simulated.digest, f"{part} that change nothing prove nothing"
    compare(Live("memory:", city, rules_of(backfill), AGREED), trace, simulated)


MAY_BE_STOPPED = Preemptible(("vision",), 100_000)
MAKING_ROOM = replace(AGREED, bookings=(), power_limits=(), preemptible=MAY_BE_STOPPED)


@pytest.mark.parametrize(
    ("backfill", "agreed"),
    [(Backfill.CONSERVATIVE, MAKING_ROOM), (Backfill.EASY, replace(AGREED, preemptible=MAY_BE_STOPPED))],
    ids=["quotas", "all"],
)
def test_so_it_is_where_jobs_make_room_for_others(backfill: Backfill, agreed: Agreed) -> None:
    city, trace = make_city(), make_day(7, 120)
    simulated = world.run(make_scene(city, trace, backfill, agreed))
    assert simulated.stops.sum() > 10, "a day on which nobody is stopped proves nothing"
    assert simulated.stops.max() > 1, "nor one on which nobody waits for another try"
    compare(Live("memory:", city, rules_of(backfill), agreed), trace, simulated)


HOUR_S = 3600
EVEN = tuple(Quota(PROJECT, each, SHARE) for each in PROJECTS)
STOPPING = Agreed(
    quotas=EVEN,
    power_limits=(
        PowerLimit("tj", 6, 13 * HOUR_S, 16 * HOUR_S, stop_jobs=True, announced_s=12 * HOUR_S + 1800),
        PowerLimit("bj", 9, 2 * HOUR_S, 4 * HOUR_S, stop_jobs=True),
    ),
    preemptible=Preemptible(("vision",), 300_000),
    maintenance=(
        Maintenance("bj", 8 * HOUR_S, 10 * HOUR_S, stop_jobs=True, announced_s=8 * HOUR_S - 1200),
        Maintenance("zjk", 9 * HOUR_S, 11 * HOUR_S),
        Maintenance("zjk", 20 * HOUR_S, 21 * HOUR_S, stop_jobs=True, announced_s=19 * HOUR_S),
    ),
)


def test_so_it_is_where_maintenance_and_limits_of_power_stop_jobs() -> None:
    city, trace = make_city(), make_day(7, 120)
    simulated = world.run(make_scene(city, trace, Backfill.EASY, STOPPING))
    assert simulated.stops_for(FOR_MAINTENANCE).sum() > 2
    assert simulated.stops_for(FOR_POWER).sum() > 0
    nothing: tuple[dict[str, Any], ...] = ({"maintenance": ()}, {"power_limits": ()})
    for each in nothing:
        without = world.run(make_scene(city, trace, Backfill.EASY, replace(STOPPING, **each)))
        assert without.digest != simulated.digest, f"{each} that change nothing prove nothing"
    compare(Live("memory:", city, rules_of(Backfill.EASY), STOPPING), trace, simulated)


spans = st.tuples(st.integers(1, 16), st.integers(1, 12), st.sampled_from([1, 16])).map(
    lambda each: (each[0] * 1800, (each[0] + each[1]) * 1800, max(0, each[0] - each[2]) * 1800)
)
"""From when until when, and since when it is known: the half of all half an hour before, so that
live every job that runs is looked at in between."""

windows = st.builds(
    lambda site, span, stops: Maintenance(site, span[0], span[1], stops, span[2]),
    st.sampled_from(["bj", "tj", "zjk"]), spans, st.booleans(),
)  # fmt: skip
stopping_limits = st.builds(
    lambda site, kw, span, stops: PowerLimit(site, kw, span[0], span[1], stops, span[2]),
    st.sampled_from(["bj", "tj"]), st.integers(4, 9), spans, st.booleans(),
)  # fmt: skip


@settings(max_examples=5)
@given(
    st.integers(0, 1000), st.lists(windows, min_size=1, max_size=3), st.lists(stopping_limits, max_size=2),
    st.sampled_from(Backfill), st.sampled_from([400_000, 0]),
)  # fmt: skip
def test_so_is_any_day_with_maintenance_and_limits_of_power(
    seed: int, closed: list[Maintenance], limited: list[PowerLimit], backfill: Backfill, share_ppm: int
) -> None:
    may = Preemptible(share_ppm=share_ppm)
    agreed = Agreed((), EVEN, (), tuple(limited), may, tuple(closed))
    city, trace = make_city(), make_day(seed, 40)
    trace = replace(trace, submit_s=trace.submit_s // 3)  # as busy as a day of 120
    simulated = world.run(make_scene(city, trace, backfill, agreed))
    compare(Live("memory:", city, rules_of(backfill), agreed), trace, simulated)


PATIENCE_S = 4 * HOUR_S
BY_GUESSES = (Backfill.EASY, Backfill.CONSERVATIVE)


@pytest.mark.parametrize("backfill", BY_GUESSES)
def test_so_is_a_day_that_goes_by_what_the_same_work_took_before(backfill: Backfill) -> None:
    city, trace = make_city(), make_day(11, 160, works=8)
    simulated = guess(city, trace, backfill, None)
    compare(Live("memory:", city, rules_of(backfill, PATIENCE_S)), trace, simulated)


@pytest.mark.parametrize("backfill", BY_GUESSES)
def test_and_with_quotas_bookings_limits_of_power_and_guesses_at_once(backfill: Backfill) -> None:
    all_at_once("memory:", make_day(11, 160, works=8), backfill)


def test_so_it_is_all_at_once_on_a_store_of_files(tmp_path: Path) -> None:
    # A shorter day, for what rules make of one is seen in memory.
    all_at_once(f"sqlite:///{tmp_path}/book.db", make_day(13, 80, works=8), Backfill.EASY)


def all_at_once(place: str, trace: Trace, backfill: Backfill) -> None:
    city = make_city()
    simulated = guess(city, trace, backfill, AGREED)
    for part in ("quotas", "bookings", "power_limits"):
        without = simulate_guesses(city, trace, backfill, lacking(part))
        assert without.digest != simulated.digest, f"{part} that change nothing prove nothing"
    compare(Live(place, city, rules_of(backfill, PATIENCE_S), AGREED), trace, simulated)


def rules_of(backfill: Backfill, patience_s: int = 0) -> Rules:
    """Return the rules of the live platform; with patience, guesses of lengths count."""
    rules = Rules(policies={"balanced": POLICY}, backfill=backfill)
    if not patience_s:
        return rules
    return replace(rules, lengths=RunLengths.PREDICTED, patience_ms=1000 * patience_s)


def guess(city: City, trace: Trace, backfill: Backfill, agreed: Agreed | None) -> Run:
    """Return a day by guesses, on which they change something, and so does the patience with them."""
    simulated = simulate_guesses(city, trace, backfill, agreed)
    by_walltime = simulate(city, trace, backfill, agreed)
    assert simulated.digest != by_walltime.digest, "a day on which guesses change nothing proves nothing"
    for_ever = simulate_guesses(city, trace, backfill, agreed, DAY_S * 9)
    assert simulated.digest != for_ever.digest, "nor one on which nobody waits for so long"
    return simulated


def simulate_guesses(
    city: City, trace: Trace, backfill: Backfill, agreed: Agreed | None, patience_s: int = PATIENCE_S
) -> Run:
    """Return a day by guesses as the simulator has it."""
    found = world.run(make_scene(city, trace, backfill, agreed, patience_s), Predictor())
    assert (found.start_s >= 0).all()
    return found


def simulate(city: City, trace: Trace, backfill: Backfill, agreed: Agreed | None) -> Run:
    """Return a day as both loops of the simulator have it."""
    simulated = world.run(make_scene(city, trace, backfill, agreed))
    assert fused.run(make_scene(city, trace, backfill, agreed)).digest == simulated.digest
    return simulated


def make_scene(
    city: City, trace: Trace, backfill: Backfill, agreed: Agreed | None, patience_s: int = 0
) -> world.World:
    """Return a day before it begins."""
    ground = Ground(city.cluster, city)
    return world.prepare(
        trace, city.cluster, Queueing.FIFO, backfill, isolated=False,
        expected_s=trace.limit_s, scores=scores_of(city, POLICY), by_node=False, patience_s=patience_s,
        settled=settle(agreed, trace, ground.views, ground.cluster.names) if agreed else None,
    )  # fmt: skip


def compare(live: Live, trace: Trace, simulated: Run) -> list[int]:
    """See a day live, and every placement of it replayed and as simulated; return the pools."""
    expected: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    held = simulated.attempts
    for job, start_s, pool in sorted(zip(held.job, held.start_s, held.pool, strict=True)):
        expected[int(job)].append((T0 + int(start_s) * 1000, int(pool)))
    chosen = []
    for number, name in enumerate(live.day(trace)):
        row = live.store.job(name)
        assert row is not None
        found = []
        for attempt in row.job.attempts:
            data = live.store.receipt(attempt_key(name, attempt.number))
            assert data is not None
            opened = open_receipt(data, live.store.page)
            assert opened.differences == ()
            found.append((opened.now.at_ms, opened.now.decision.chosen))
        assert found == expected[number], number
        chosen += [pool for _, pool in found]
    return chosen
