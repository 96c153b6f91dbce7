"""Random histories: every store gives the same answers as the memory twin, and its own invariants hold."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from book_samples import (
    EAST,
    WEST,
    P,
    Q,
    charge,
    decide,
    ended,
    filling,
    hold,
    job_id,
    key_of,
    lot,
    placed,
    repayment,
    wish,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from hutong.adapters.store.open import open_store
from hutong.core.accounts.quotas import Allotment, Quota
from hutong.core.book.money import REVENUE, Entry, HoldPart, Posting, Txn, overrun_account
from hutong.core.book.rollups import FAMILIES, RollupQuery
from hutong.core.book.snapshot import Command, JobOutcome, Limits, Outcome
from hutong.core.book.store import Applied, JobQuery, LedgerCheck, Record, Sighting, Store, Taken
from hutong.core.kernel.errors import HutongError
from hutong.core.kernel.ids import AttemptKey, ProjectId, SiteId
from hutong.core.work import facts as f
from hutong.core.work import fold
from hutong.core.work.states import AttemptState, Category, JobState

JOBS = st.integers(1, 6)
SITES = st.sampled_from([EAST, WEST])
AMOUNTS = st.integers(1, 60)
LOTS = st.sampled_from(["a1", "a2"])
KEYS = st.builds(key_of, JOBS, st.integers(1, 2))


MONTH = (0, 24 * 31)

Seen = tuple[int, frozenset[AttemptKey], frozenset[AttemptKey]]


class Pair(RuleBasedStateMachine):
    """The memory twin and another store, asked the same."""

    open_other: ClassVar[Callable[[], tuple[Store, Callable[[], None]]]]

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000
        self.twin = open_store("memory:")
        self.other, self.end = self.open_other()
        self.epoch = 0
        self.cursors: dict[tuple[int, str], int] = {}

    def teardown(self) -> None:
        """Make the sums anew, which changes none, and let go of the other store."""
        self.other.rebuild_rollups()
        self.sums_are_those_of_what_is_there()
        self.other.close()
        self.end()

    def both(self, ask: Callable[[Store], object]) -> object:
        """Ask both; they answer, or refuse, alike."""
        answers = []
        for store in (self.twin, self.other):
            try:
                answers.append(ask(store))
            except HutongError as error:
                answers.append((type(error), getattr(error, "code", "")))
        assert answers[0] == answers[1]
        return answers[0]

    @initialize()
    def begin(self) -> None:
        self.both(lambda store: store.open_lot(lot("a1"), filling("a1", 100)))
        self.both(lambda store: store.open_lot(lot("a2", project=Q), filling("a2", 100, Q)))
        answer = self.both(lambda store: store.lead("loop", 0, 10**9))
        assert answer == 1
        self.epoch = 1
        wishes = [wish(n, Q if n > 4 else P, by="ann" if n % 2 else "bob") for n in range(1, 6)]
        self.both(lambda store: store.submit(wishes, 900))

    @rule(step=st.sampled_from([1, 10, 900, 3000]))
    def wait(self, step: int) -> None:
        self.now += step

    @rule(
        numbers=st.lists(JOBS, max_size=4),
        project=st.sampled_from([P, Q]),
        key=st.sampled_from(["", "k1", "k2"]),
        digest=st.sampled_from(["d", "e"]),
        priority=st.integers(0, 1),
        by=st.sampled_from(["ann", "bob"]),
    )
    def submit(
        self, numbers: list[int], project: ProjectId, key: str, digest: str, priority: int, by: str
    ) -> None:
        wishes = [wish(n, project, key and f"{key}-{n % 3}", digest, priority, by) for n in numbers]
        self.both(lambda store: store.submit(wishes, self.now))

    @rule(project=st.sampled_from([P, Q]), most=st.none() | st.integers(0, 40))
    def limit_people(self, project: ProjectId, most: int | None) -> None:
        quota = Quota("project", project, 1000, (Allotment("H100", 0, each_person=most),))
        self.both(lambda store: store.put(Record("quota", quota.id, asdict(quota))))

    @rule(n=JOBS, event=st.sampled_from([f.HoldAsked("ann"), f.Released("ann"), f.CancelAsked("ann")]))
    def ask(self, n: int, event: f.HoldAsked | f.Released | f.CancelAsked) -> None:
        self.both(lambda store: store.ask(job_id(n), event, self.now))

    def taken(self, store: Store, site: SiteId, limit: int, *, on: bool) -> list[Taken]:
        """Take, from 0 or from where this store's last answer ended; ids may have gaps, so leave them out."""
        cursor = self.cursors.get((id(store), site), 0) if on else 0
        found = store.take(site, cursor, limit, self.now)
        assert [each.id for each in found] == sorted({each.id for each in found if each.id > cursor})
        if found:
            self.cursors[id(store), site] = found[-1].id
        return [replace(each, id=0) for each in found]

    @rule(site=SITES, on=st.booleans(), limit=st.integers(0, 3))
    def take(self, site: SiteId, on: bool, limit: int) -> None:
        self.both(lambda store: self.taken(store, site, limit, on=on))

    @rule(
        site=SITES,
        told=st.lists(st.tuples(KEYS, st.integers(0, 5)), max_size=5),
        seen=st.none() | st.tuples(st.integers(0, 2000), st.frozensets(KEYS), st.frozensets(KEYS)),
    )
    def report(self, site: SiteId, told: list[tuple[AttemptKey, int]], seen: Seen | None) -> None:
        reports = []
        for key, kind in told:
            number = int(key[-1])
            events: tuple[f.AgentEvent, ...] = (
                f.Accepted(number, "4711", adopted=True),
                f.Starting(number),
                f.Started(number, 5, 80),
                ended(number),
                ended(number, AttemptState.FAILED),
                f.Collected(number, (f.OutputFile("a", 1, "sha256:0"),), 3),
            )
            reports.append(f.Report(key, events[kind]))
        sighting = None
        if seen is not None:
            back, known, live = seen
            sighting = Sighting(self.now - back, known | live, live, "agent", "bwrap", "full" * (back % 2))
        self.both(lambda store: store.report(site, reports, sighting, self.now))

    @rule(site=SITES, kinds=st.lists(st.integers(0, 5), min_size=6, max_size=6), seen=st.booleans())
    def work(self, site: SiteId, kinds: list[int], seen: bool) -> None:
        """Let an agent do its round: take all, tell something about each attempt that it knows."""
        self.both(lambda store: self.taken(store, site, 10, on=False))
        rows = self.twin.jobs(JobQuery())
        known = [row.job.key(a) for row in rows for a in row.job.attempts if a.site == site]
        self.report(site, list(zip(known, kinds, strict=False)), (0, frozenset(known), frozenset(known[::2])))
        if seen:
            self.report(site, [], (0, frozenset(known[1:]), frozenset()))

    @rule(
        plans=st.lists(st.tuples(SITES, LOTS, AMOUNTS, st.booleans()), min_size=6, max_size=6),
        skips=st.sets(JOBS, max_size=3),
        fenced=st.booleans(),
    )
    def turn(self, plans: list[tuple[str, str, int, bool]], skips: set[int], fenced: bool) -> None:
        """Let a loop do its round, then again with what is stale by now."""
        made = [self._decide(n, *plan) for n, plan in enumerate(plans, 1) if n not in skips]
        outcome = Outcome(tuple(each for each in made if each is not None))
        if fenced:
            self.both(lambda store: store.apply(outcome, self.epoch + 1, self.now))
        written = self.both(lambda store: store.apply(outcome, self.epoch, self.now))
        if not isinstance(written, Applied):  # some lot was short: one by one
            for each in outcome.jobs:
                self.both(lambda store, each=each: store.apply(Outcome((each,)), self.epoch, self.now))
        self.both(lambda store: store.apply(outcome, self.epoch, self.now))

    def _decide(self, n: int, site: str, name: str, amount: int, again: bool) -> JobOutcome | None:
        """Return what a small loop would do about a job: queue, place, meter, stop, settle, finish."""
        row = self.twin.job(job_id(n))
        if row is None or row.job.final:
            return None
        job, store, now = row.job, self.twin, self.now
        attempt = job.attempt
        if job.state is JobState.ACCEPTED:
            return decide(store, n, now, f.Queued(), due_ms=now + 5 if again else None)
        if job.state is JobState.HELD:
            return None
        if job.state is JobState.QUEUED:
            number = len(job.attempts) + 1
            key = key_of(n, number)
            return decide(
                store,
                n,
                now,
                placed(number, site, cards=amount),
                due_ms=now + 100,
                commands=(Command(key, site, "start"),),
                receipts=((key, f"receipt {amount}".encode()),),
                posting=Posting(holds=(hold(key, (name, amount), project=row.project),)),
            )
        assert attempt is not None
        key = job.key(attempt)
        if attempt.state is AttemptState.PLANNED and job.cancel_by:
            gone = ended(attempt.number, AttemptState.WITHDRAWN)
            return decide(store, n, now, gone, due_ms=now, withdraw=(key,))
        if not attempt.over:
            stop = f.StopSent(attempt.number, Category.CANCELLED, "asked")
            return decide(
                store, n, now, stop, due_ms=now + 50, commands=(Command(key, attempt.site, "stop"),)
            )
        if attempt.settled:
            over = f.Finished(JobState.SUCCEEDED, "")
            if not again:
                return decide(store, n, now, over)
            wait_ms = amount * 20
            waits = f.Queued("again", Category.INFRA, wait_ms)
            return decide(store, n, now, waits, due_ms=now + wait_ms)
        open_hold = self.twin.hold(key)
        release = (
            tuple(HoldPart(each.lot, -each.amount_micro) for each in open_hold.parts) if open_hold else ()
        )
        parts = tuple((part.lot, part.amount_micro) for part in release)
        paid = min(amount, -parts[0][1]) if parts else 0
        txn, used = charge(key, parts[0][0] if parts else name, paid)
        posting = Posting((txn,), (hold(key, *parts, closes=True, project=row.project),), (used,))
        metered = f.Metered(attempt.number, now, 5, paid, final=True)
        return decide(store, n, now, metered, due_ms=now, posting=posting)

    @rule(name=LOTS, amount=AMOUNTS, key=st.sampled_from(["r1", "r2", "r3"]), closes=st.booleans(), step=JOBS)
    def post(self, name: str, amount: int, key: str, closes: bool, step: int) -> None:
        if closes:
            txn, used = charge(key, name, amount, step)
            change = hold(key, (name, -amount), closes=True)
            self.both(lambda store: store.post(Posting((txn,), (change,), (used,))))
        else:
            self.both(lambda store: store.post(Posting(holds=(hold(key, (name, amount)),))))

    @rule(amount=AMOUNTS, step=JOBS, project=st.sampled_from([P, Q]))
    def overspend(self, amount: int, step: int, project: ProjectId) -> None:
        legs = (Entry(overrun_account(project), -amount), Entry(REVENUE, amount))
        txn = Txn(f"over-{step}-{amount}", "tokens", project, 50, f"request {step}", legs)
        self.both(lambda store: store.post(Posting((txn,))))

    @rule(name=LOTS, amount=AMOUNTS, step=JOBS, project=st.sampled_from([P, Q]))
    def pay_back(self, name: str, amount: int, step: int, project: ProjectId) -> None:
        txn = repayment(f"repay-{step}-{amount}", name, amount, project)
        self.both(lambda store: store.post(Posting((txn,))))

    @rule(amount=AMOUNTS, back=AMOUNTS, step=JOBS)
    def award(self, amount: int, back: int, step: int) -> None:
        name = f"new-{step}"
        txns = (filling(name, amount), repayment(f"repay-{name}", name, back))
        self.both(lambda store: store.open_lot(lot(name), *txns))

    @rule(key=KEYS, more=st.integers(0, 3000))
    def watch(self, key: AttemptKey, more: int) -> None:
        self.both(lambda store: store.watch(key, self.now + more))

    @rule(
        id_=st.sampled_from(["x", "y"]),
        lookup=st.sampled_from(["", "l", "m"]),
        expect=st.none() | st.integers(0, 2),
        n=JOBS,
    )
    def put(self, id_: str, lookup: str, expect: int | None, n: int) -> None:
        self.both(lambda store: store.put(Record("doc", id_, {"n": n}, str(n % 2), lookup), expect))

    @rule(id_=st.sampled_from(["x", "y"]))
    def remove(self, id_: str) -> None:
        self.both(lambda store: store.remove("doc", id_))

    @rule(holder=st.sampled_from(["loop", "other"]), ttl=st.just(10**9))
    def lead(self, holder: str, ttl: int) -> None:
        self.both(lambda store: store.lead(holder, self.now, ttl))

    @rule(due=st.integers(0, 4), waiting=st.integers(0, 4))
    def bounded_snapshot(self, due: int, waiting: int) -> None:
        self.both(lambda store: store.snapshot(self.now, Limits(due, waiting)))

    @invariant()
    def both_have_the_same_book(self) -> None:
        self.both(lambda store: store.snapshot(self.now + 10**6, Limits()))
        self.both(lambda store: store.jobs(JobQuery(states=frozenset({"QUEUED", "RUNNING", "FINISHING"}))))
        self.both(lambda store: store.statuses())
        for project in (P, Q):
            self.both(lambda store, project=project: store.lots(project))
            self.both(lambda store, project=project: store.holds(project, 50))
            self.both(lambda store, project=project: store.txns(project, "", "", 50))
            self.both(lambda store, project=project: store.usage(project, "", "", 50))
        for site in (EAST, WEST):
            self.both(lambda store, site=site: store.watched(site, self.now))
        self.both(lambda store: store.records("doc", "", "", 50))
        self.both(lambda store: store.find("doc", "l"))
        self.both(check)

    @invariant()
    def sums_are_those_of_what_is_there(self) -> None:
        """The twin adds up what there is whenever it is asked; the other keeps sums."""
        for family in FAMILIES:
            self.both(lambda store, family=family: store.rollup(RollupQuery(family, MONTH, family.names)))
        self.both(lambda store: store.waiting(MONTH))
        self.both(lambda store: store.first_uses((0, 10**9), ("", ""), 100))

    @invariant()
    def jobs_are_the_fold_of_their_facts(self) -> None:
        for row in self.twin.jobs(JobQuery()):
            facts = self.twin.facts(row.job.id, 0, 1000)
            assert self.other.facts(row.job.id, 0, 1000) == facts
            assert self.other.job(row.job.id) == row
            assert fold.fold(facts) == row.job
            for attempt in row.job.attempts:
                key = row.job.key(attempt)
                assert self.other.receipt(key) == self.twin.receipt(key) is not None

    @invariant()
    def nobody_paid_back_more_than_was_owed(self) -> None:
        accounts = [overrun_account(project) for project in (P, Q)]
        balances = self.both(lambda store: store.balances(accounts))
        assert all(entry.amount_micro <= 0 for entry in balances)

    @invariant()
    def no_lot_is_overspent(self) -> None:
        for project in (P, Q):
            assert all(each.available_micro >= 0 <= each.held_micro for each in self.other.lots(project))


def check(store: Store) -> LedgerCheck:
    """Check the ledger; faults have no order."""
    found = store.check_ledger()
    return replace(found, faults=tuple(sorted(found.faults)))


def examine(open_other: Callable[[], tuple[Store, Callable[[], None]]], examples: int, steps: int) -> None:
    """Run random histories."""

    class Machine(Pair):
        pass

    Machine.open_other = staticmethod(open_other)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
def test_sqlite_answers_as_the_twin_does(migrated: Path) -> None:
    def open_other() -> tuple[Store, Callable[[], None]]:
        folder = TemporaryDirectory(prefix="hutong-pair-")
        path = Path(folder.name) / "hutong.db"
        shutil.copy(migrated, path)
        return open_store(f"sqlite:///{path}"), folder.cleanup

    examine(open_other, 12, 30)


@pytest.mark.slow
def test_postgresql_answers_as_the_twin_does(new_database: Callable[[], str]) -> None:
    examine(lambda: (open_store(new_database()), lambda: None), 8, 25)
