"""The whole control plane under lost, late, doubled and reordered messages, crashes and outages.

Real parts: the store, the loop, the turn, the agents. The engines are the memory twin on a clock that
the test moves. Invariant A: at no moment do two attempts of one job run. Invariant B: what was declared
lost was gone. And in the end, when the world heals, every job ends, every charge is booked once, every hold
is closed.
"""

import shutil
import tempfile
from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.world.actors import FAULTS, Centre, Clock

from hutong.adapters.store.open import open_store
from hutong.core.book.money import (
    ISSUED,
    REVENUE,
    Entry,
    Lot,
    LotKind,
    Posting,
    Txn,
    UsageRecord,
    lot_account,
    overrun_account,
)
from hutong.core.book.snapshot import Limits
from hutong.core.book.store import JobQuery, NewJob, Record
from hutong.core.capacity.sites import Booking, Pool, Site, Supply
from hutong.core.control.rules import Rules
from hutong.core.kernel.documents import to_document
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import JobId, LotId, PoolId, ProjectId, SiteId, ulid
from hutong.core.ledger.replay import replay
from hutong.core.placement.request import Policy
from hutong.core.work.facts import CancelAsked, HoldAsked, Placed, Queued, Released
from hutong.core.work.fold import fold
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources, Retry
from hutong.core.work.states import THEIRS, AttemptState, Category, JobState
from hutong.server.debts import open_lot, owed_micro
from hutong.server.loop import Loop
from hutong.server.registry import document, read

LAB = ProjectId("lab")
T0 = 1_800_000_000_000
YUAN = 1_000_000
SCRIPTS = ("sleep 3", "sleep 40", "sleep 4000", "exit 1", "sleep 2; exit 75", "true")
RULES = Rules(settle_every_ms=60_000, hold_ms=600_000, collect_within_ms=120_000, accept_within_ms=1_200_000)


def make_site(name: str, accelerator: str) -> Site:
    pool = Pool(PoolId("main"), accelerator, 2, 4, 10 * YUAN, 1200, "cuda")
    return Site(SiteId(name), name, name, "north", 10, "local", (pool,), Supply((5,) * 24, (5,) * 24, "test"))


class World(RuleBasedStateMachine):
    """Two centres, two loops, one book."""

    def place(self) -> str:
        """Where the book lies."""
        return "memory:"

    @initialize()
    def begin(self) -> None:
        self.clock = Clock(T0)
        self.store = open_store(self.place())
        for name, chip in (("bj", "H100"), ("tj", "Ascend910B")):
            document = to_document(make_site(name, chip))
            assert isinstance(document, dict)
            self.store.put(Record("site", name, document))
        self.centres = [Centre("bj", self.store, self.clock), Centre("tj", self.store, self.clock)]
        self.loops = [Loop(self.store, RULES, self.clock, f"loop-{n}", Limits(50, 50)) for n in (1, 2)]
        lot = Lot(LotId("award"), LAB, LotKind.AWARD, 1_000_000, 0, T0 * 2)
        entries = (Entry(ISSUED, -2000 * YUAN), Entry(lot_account(lot.id), 2000 * YUAN))
        assert self.store.open_lot(lot, Txn("award:1", "award", LAB, T0, "award", entries))
        self.jobs: list[JobId] = []
        self.requests: list[int] = []
        for centre in self.centres:
            centre.step()

    @rule(
        script=st.sampled_from(SCRIPTS),
        cards=st.integers(1, 4),
        nodes=st.integers(1, 2),
        restarts=st.integers(0, 1),
        walltime=st.sampled_from([30, 600]),
        preemptible=st.booleans(),
    )
    def submit(
        self, script: str, cards: int, nodes: int, restarts: int, walltime: int, preemptible: bool
    ) -> None:
        if len(self.jobs) >= 12:
            return
        job = JobId(ulid(self.clock(), len(self.jobs).to_bytes(10, "big")))
        asks = (Ask("H100", cards), Ask("Ascend910B", cards))
        spec = JobSpec(
            "x", JobType.TASK, nodes, Resources(asks), script, max_duration_s=walltime, grace_s=1,
            retry=Retry(restarts, (75,)), preemptible=preemptible,
        )  # fmt: skip
        wish = NewJob(job, LAB, spec, "ada", "sha256:0", f"key-{len(self.jobs)}", "sha256:1")
        (first,) = self.store.submit([wish], self.clock())
        (again,) = self.store.submit([wish], self.clock())
        assert (first.job, again.job, again.repeated) == (job, job, True)
        self.jobs.append(job)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), wish=st.sampled_from(["cancel", "hold", "release"]))
    def ask(self, data: st.DataObject, wish: str) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        events = {"cancel": CancelAsked("ada"), "hold": HoldAsked("ada"), "release": Released("ada")}
        try:
            self.store.ask(job, events[wish], self.clock())
        except Conflict:
            return

    @rule(which=st.integers(0, 1))
    def loop_turns(self, which: int) -> None:
        """Take a turn; while the project owes money, nothing of it is placed, and never on booked cards."""
        owed, before = owed_micro(self.store, LAB), self.placements()
        self.loops[which].step()
        after = self.placements()
        assert not owed or after == before
        shot = self.store.snapshot(self.clock(), Limits(0, 0))
        used = {use.site: use.cards for use in shot.use}
        for site in shot.sites:
            booked = sum(b.cards for b in site.bookings if b.from_ms <= self.clock() < b.until_ms)
            assert after[site.id] == before[site.id] or used[site.id] + booked <= 8

    def placements(self) -> Counter[str]:
        """Return how many attempts each site has had."""
        rows = self.store.jobs(JobQuery(limit=50))
        return Counter(attempt.site for row in rows for attempt in row.job.attempts)

    @rule(micro=st.integers(1, 50 * YUAN))
    def a_request_costs_more_than_it_held(self, micro: int) -> None:
        key = f"gw-{len(self.requests)}"
        entries = (Entry(overrun_account(LAB), -micro), Entry(REVENUE, micro))
        used = UsageRecord(key, LAB, key, "bj", "m", "token_in", micro, 1, 1, micro, T0, T0 + 1)
        txn = Txn(f"tokens:{key}", "tokens", LAB, T0, key, entries)
        assert self.store.post(Posting((txn,), usage=(used,)))
        self.requests.append(micro)

    @rule(micro=st.integers(1, 50 * YUAN), later_s=st.sampled_from([0, 60]))
    def an_award_comes(self, micro: int, later_s: int) -> None:
        name = LotId(f"award-{len(self.store.lots(LAB))}")
        lot = Lot(name, LAB, LotKind.AWARD, 1_000_000, self.clock() + later_s * 1000, T0 * 2)
        fill = Txn(
            f"fill:{name}", "award", LAB, T0, name, (Entry(ISSUED, -micro), Entry(lot_account(name), micro))
        )
        owed = owed_micro(self.store, LAB)
        for first in (True, False):
            assert open_lot(self.store, lot, fill, self.clock()) is first
            assert owed_micro(self.store, LAB) == (owed if later_s else max(0, owed - micro))

    @rule(which=st.integers(0, 1))
    def loop_dies(self, which: int) -> None:
        self.loops[which] = Loop(self.store, RULES, self.clock, f"loop-{which}-again", Limits(50, 50))

    @rule(which=st.integers(0, 1), fault=st.sampled_from(FAULTS))
    def agent_works(self, which: int, fault: str) -> None:
        self.centres[which].step(fault)

    @rule(which=st.integers(0, 1))
    def agent_is_killed(self, which: int) -> None:
        self.centres[which].kill()

    @rule(which=st.integers(0, 1))
    def late_messages_arrive(self, which: int) -> None:
        self.centres[which].line.deliver_late()

    @rule(which=st.integers(0, 1), cut=st.booleans())
    def line_is_cut_or_mended(self, which: int, cut: bool) -> None:
        self.centres[which].line.cut = cut

    @rule(seconds=st.sampled_from([1, 7, 45, 200]))
    def time_passes(self, seconds: int) -> None:
        self.clock.now_ms += seconds * 1000

    @rule(which=st.integers(0, 1), rounds=st.integers(1, 8))
    def a_good_while(self, which: int, rounds: int) -> None:
        for _ in range(rounds):
            self.clock.now_ms += 5_000
            self.loop_turns(which=which)
            for centre in self.centres:
                centre.step()

    @rule(which=st.integers(0, 1), data=st.data())
    def a_node_dies(self, which: int, data: st.DataObject) -> None:
        running = self.centres[which].running()
        if running:
            self.centres[which].engine.crash(data.draw(st.sampled_from(running)))

    @rule(which=st.integers(0, 1), data=st.data())
    def an_engine_forgets(self, which: int, data: st.DataObject) -> None:
        running = self.centres[which].running()
        if running:
            self.centres[which].engine.lose(data.draw(st.sampled_from(running)))

    @rule(which=st.integers(0, 1), cards=st.integers(0, 8), start_s=st.integers(-60, 600))
    def cards_are_booked(self, which: int, cards: int, start_s: int) -> None:
        """Book for somebody who never comes, or give back what was booked (0 cards)."""
        record = self.store.get("site", self.centres[which].site)
        assert record is not None
        found, start_ms = read(Site, record), self.clock() + start_s * 1000
        span = (start_ms, start_ms + 300_000)
        made = Booking("b", found.pools[0].id, cards, *span, "project/other", "an exam") if cards else None
        changed = replace(found, bookings=(made,) if made else ())
        self.store.put(replace(record, doc=document(changed)))

    @rule(which=st.integers(0, 1), full=st.booleans())
    def a_disk_fills_or_is_freed(self, which: int, full: bool) -> None:
        self.centres[which].engine.full = full

    @rule(which=st.integers(0, 1), hours=st.integers(-2, 2))
    def a_sites_clock_jumps(self, which: int, hours: int) -> None:
        self.centres[which].engine.skew_ms = hours * 3_600_000

    @invariant()
    def never_two_attempts_of_one_job(self) -> None:
        running = [key.rpartition("-a")[0] for centre in self.centres for key in centre.running()]
        assert len(running) == len(set(running)), running

    @invariant()
    def what_is_lost_is_gone(self) -> None:
        for row in self.store.jobs(JobQuery(limit=50)):
            for attempt in row.job.attempts:
                if attempt.state is AttemptState.LOST:
                    key = row.job.key(attempt)
                    alive = [key for centre in self.centres if key in centre.running()]
                    assert not alive, f"{key} was declared lost and runs"

    @invariant()
    def state_is_the_fold_of_facts(self) -> None:
        for row in self.store.jobs(JobQuery(limit=50)):
            facts = self.store.facts(row.job.id, 0, 1000)
            assert row.job == fold(facts)
            ready_ms = 0
            for fact in facts:
                if isinstance(fact.event, Queued):
                    ready_ms = fact.at_ms + fact.event.wait_ms
                assert not isinstance(fact.event, Placed) or fact.at_ms >= ready_ms, "it did not back off"

    @invariant()
    def pools_are_never_oversold(self) -> None:
        shot = self.store.snapshot(self.clock(), Limits(50, 50))
        assert all(use.cards <= 8 for use in shot.use)

    @invariant()
    def only_preemptible_jobs_make_room(self) -> None:
        for row in self.store.jobs(JobQuery(limit=50)):
            for attempt in row.job.attempts:
                assert row.spec.preemptible or attempt.stop_category is not Category.PREEMPTED

    @invariant()
    def the_ledger_holds(self) -> None:
        assert self.store.check_ledger().faults == ()

    def teardown(self) -> None:
        """Heal the world; then everything must come to its end, and every figure must agree."""
        if not hasattr(self, "centres"):
            return
        for centre in self.centres:
            centre.line.cut = False
            centre.engine.full = False
            centre.line.deliver_late()
        for row in self.store.jobs(JobQuery(limit=50)):
            if row.job.state == "HELD":
                self.store.ask(row.job.id, Released("ada"), self.clock())
        for _ in range(600):
            self.clock.now_ms += 6_000
            for actor in (*self.loops, *self.centres):
                actor.step()
            if all(row.job.final for row in self.store.jobs(JobQuery(limit=50))):
                break
        rows = self.store.jobs(JobQuery(limit=50))
        assert len(rows) == len(self.jobs)
        assert [row.job for row in rows if not row.job.final] == []
        for _ in range(30):
            self.clock.now_ms += 6_000
            for centre in self.centres:
                centre.step()
        assert [key for centre in self.centres for key in centre.running()] == []
        assert self.store.holds(LAB, 100) == ()
        self.the_ledger_holds()
        self.check_money()
        self.check_stays()
        for centre in self.centres:
            shutil.rmtree(centre._root)
        self.store.close()

    def check_stays(self) -> None:
        """Whatever was lost or came twice: each attempt counts once at its site."""
        seen: dict[str, list[int]] = {}
        for row in self.store.jobs(JobQuery(limit=50)):
            for each in row.job.attempts:
                if each.started_ms:
                    broke = each.category in THEIRS and not each.stop_sent_ms
                    node_ms = each.metered_card_ms * each.nodes // each.cards
                    before = seen.setdefault(each.site, [0, 0])
                    seen[each.site] = [before[0] + node_ms, before[1] + broke]
        stays = self.store.snapshot(self.clock(), Limits(0, 0)).stays
        assert stays.keys() == seen.keys()
        for site, (node_ms, breaks) in seen.items():
            # A world lasts for hours: a day may end in it, and a little fades.
            assert round(stays[site].breaks_ppm / 10**6) == breaks
            assert 0.9 * node_ms - 1000 <= stays[site].node_ms <= node_ms

    def check_money(self) -> None:
        txns = self.store.txns(LAB, "", "", 1000)
        usage = self.store.usage(LAB, "", "", 1000)
        done = replay(txns, usage)
        assert done.faults == ()
        stored = self.store.balances(sorted(done.balances))
        assert {entry.account: entry.amount_micro for entry in stored} == dict(done.balances)
        charged = sum(
            attempt.charge_micro
            for row in self.store.jobs(JobQuery(limit=50))
            for attempt in row.job.attempts
        )
        assert charged + sum(self.requests) == done.revenue_micro


def test_a_site_whose_disk_stays_full_keeps_no_job() -> None:
    """It can neither start the job nor write down that it will not; the platform gets out all the same."""
    world = World()
    world.begin()
    bj, tj = world.centres
    bj.engine.full = True
    tj.line.cut = True
    for _ in range(20):  # only bj is in reach
        world.clock.now_ms += 5_000
        bj.step()
    world.submit(script="true", cards=1, nodes=1, restarts=0, walltime=30, preemptible=False)
    (job,) = world.jobs
    for _ in range(6):
        world.clock.now_ms += 5_000
        world.loops[0].step()
        bj.step()
    row = world.store.job(job)
    assert row is not None
    assert row.job.state is JobState.DISPATCHED
    assert world.store.statuses()[bj.site].trouble == "No space left on device"
    tj.line.cut = False
    for count in range(200):
        world.clock.now_ms += 5_000
        for actor in (world.loops[0], bj, tj):
            actor.step()
        if count % 40 == 39:
            bj.kill()  # a new agent knows nothing of what the last one gave up
        world.never_two_attempts_of_one_job()
    row = world.store.job(job)
    assert row is not None
    assert row.job.state is JobState.SUCCEEDED
    assert [(each.site, each.category) for each in row.job.attempts] == [
        (bj.site, Category.LOST),
        (tj.site, Category.NONE),
    ]
    assert not bj.engine.started
    bj.engine.full = False
    for _ in range(30):
        world.clock.now_ms += 5_000
        bj.step()
    assert not bj.engine.started
    world.teardown()


def test_a_preemptible_job_makes_room_and_goes_on_when_there_is_some() -> None:
    world = World()
    world.begin()

    def step(times: int) -> None:
        for _ in range(times):
            world.clock.now_ms += 5_000
            for actor in (world.loops[0], *world.centres):
                actor.step()

    for _ in range(2):  # both centres full
        world.submit(script="sleep 4000", cards=4, nodes=2, restarts=0, walltime=600, preemptible=True)
    step(4)
    world.submit(script="sleep 40", cards=4, nodes=1, restarts=0, walltime=600, preemptible=False)
    step(30)
    rows = {row.job.id: row.job for row in world.store.jobs(JobQuery(limit=50))}
    first, second, urgent = (rows[job] for job in world.jobs)
    assert urgent.state is JobState.SUCCEEDED
    stopped = [job for job in (first, second) if job.attempts[0].category is Category.PREEMPTED]
    assert len(stopped) == 1, "one is enough"
    assert stopped[0].attempts[0].state is AttemptState.PREEMPTED
    assert stopped[0].live is not None, "it runs again"
    assert len(stopped[0].attempts) == 2
    world.teardown()


def test_a_centre_that_breaks_runs_loses_a_long_one_and_failures_of_users_cost_it_nothing() -> None:
    world = World()
    world.begin()
    bj, tj = world.centres
    policy = Policy("balanced", fit=0, price=3, wait=0, distance=0, green=0, reliability=12)
    rules = replace(RULES, policies={"balanced": policy})
    world.loops[0] = Loop(world.store, rules, world.clock, "loop-1", Limits())

    def step(times: int) -> None:
        for _ in range(times):
            world.clock.now_ms += 5_000
            for actor in (world.loops[0], *world.centres):
                actor.step()

    def submit(script: str, walltime: int, nodes: int = 1) -> JobId:
        world.submit(script=script, cards=1, nodes=nodes, restarts=0, walltime=walltime, preemptible=False)
        return world.jobs[-1]

    def first_site(job: JobId) -> str:
        row = world.store.job(job)
        assert row is not None
        return row.job.attempts[0].site

    def cancel(job: JobId) -> None:
        world.store.ask(job, CancelAsked("ada"), world.clock())
        step(6)

    month = 28 * 86_400
    for _ in range(3):
        submit("exit 1", 600)
        step(6)
    assert world.store.snapshot(world.clock(), Limits()).stays[bj.site].breaks_ppm == 0
    before = submit("sleep 4000", month, nodes=2)
    step(6)
    assert first_site(before) == bj.site, "cheaper for the work"
    cancel(before)
    for _ in range(4):
        submit("sleep 4000", 6000)
        step(6)
        for key in bj.running():
            bj.engine.crash(key)
        step(6)
        cancel(world.jobs[-1])
    after = submit("sleep 4000", month, nodes=2)
    step(6)
    assert first_site(after) == tj.site, "dearer, and steady"
    cancel(after)
    world.teardown()


class DiskWorld(World):
    """The same on SQLite."""

    def place(self) -> str:
        self.folder = tempfile.mkdtemp(prefix="hutong-world-")
        return f"sqlite:///{self.folder}/book.sqlite"

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder, ignore_errors=True)


TestWorld = World.TestCase
TestWorld.settings = settings(
    max_examples=150, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestDiskWorld = DiskWorld.TestCase
TestDiskWorld.settings = settings(
    max_examples=6, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
