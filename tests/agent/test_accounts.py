"""An engine's accounting on its way to the platform: late, repeated, broken off; each record exactly once."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.agent.scene import SITE, T0, World

from hutong.adapters.engines.base import Use
from hutong.agent.accounts import OVERLAP_MS, Accounts
from hutong.core.book.received import Fate, Kept
from hutong.core.kernel.errors import Later, NotFound, Refused
from hutong.core.kernel.ids import AttemptKey
from hutong.core.ledger.metering import Limits
from hutong.server.reconciling import reconcile_day
from hutong.wire.usage import TallyDoc

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
KEY = AttemptKey("ht-01jd0000000000000000000000-a1")


@dataclass
class Book:
    """Accounting as a site keeps it: rows that appear when they appear."""

    rows: dict[str, Use] = field(default_factory=dict)
    spans: list[tuple[int, int]] = field(default_factory=list)
    away: bool = False

    def used(self, from_ms: int, upto_ms: int) -> tuple[Use, ...]:
        if self.away:
            raise Later("slurmdbd does not answer")
        self.spans.append((from_ms, upto_ms))
        return tuple(each for each in self.rows.values() if from_ms <= each.upto_ms < upto_ms)

    def add(self, name: str, upto_ms: int, key: AttemptKey | None = KEY, **more: int | None) -> Use:
        self.rows[name] = replace(Use(name, key, 8 * 60_000, upto_ms - 60_000, upto_ms), **more)  # type: ignore[arg-type]
        return self.rows[name]


class Killed(BaseException):
    """The agent dies here."""


@dataclass
class Scene:
    """A site's accounting, an agent that may be killed, and the platform."""

    world: World
    book: Book
    path: Path
    dies: str = ""

    @property
    def agent(self) -> Accounts:
        return Accounts(self.path, self.world.link, self.book, lambda: self.world.now)

    def records(self) -> dict[str, Kept]:
        store = self.world.store
        days = range((T0 - 40 * DAY_MS) // DAY_MS, (self.world.now + 40 * DAY_MS) // DAY_MS)
        return {kept.record.record: kept for day in days for kept in store.records_on(SITE, day, "", 1000)}


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Scene:
    return Scene(world, Book(), tmp_path / "accounts.json")


def test_what_is_settled_is_sent_once_what_is_not_ours_never(scene: Scene) -> None:
    agent = scene.agent
    scene.book.add("a", T0 - 1)
    scene.book.add("other", T0 - 2, key=None)
    assert agent.step() == 1
    assert scene.records()["a"].fate is Fate.SUSPENDED
    assert "no attempt" in scene.records()["a"].reason
    assert agent.step() == 1  # it may be matched later
    scene.world.store.resolve(scene.records()["a"].record, Fate.DISMISSED, "a test", "op", T0)
    assert [agent.step(), agent.step()] == [1, 0]
    (tally,) = scene.world.store.tallies(SITE, (T0 // DAY_MS, T0 // DAY_MS + 1))
    assert (tally.count, tally.others, tally.card_ms) == (1, 1, 8 * 60_000)


def test_a_row_that_appears_late_with_an_end_before_the_mark_is_not_lost(scene: Scene) -> None:
    agent = scene.agent
    scene.book.add("a", T0 - 1)
    agent.step()
    scene.world.now += HOUR_MS
    late, same = scene.book.add("late", T0 - OVERLAP_MS + 2 * HOUR_MS), scene.book.add("same", T0 - 1)
    agent.step()
    assert scene.records().keys() == {"a", late.record, same.record}


def test_a_row_that_changes_is_the_next_revision_and_its_tally_follows(scene: Scene) -> None:
    agent = scene.agent
    scene.book.add("a", T0 - 1)
    for _ in range(2):
        agent.step()
    assert scene.records()["a"].record.revision == 1
    scene.book.add("a", T0 - 1, card_ms=5)
    agent.step()
    kept = scene.records()["a"]
    assert (kept.record.revision, kept.record.quantity) == (2, 5)


def test_what_counters_say_is_told_with_the_record_and_a_change_of_it_is_a_revision(scene: Scene) -> None:
    agent = scene.agent
    for revision, energy_j in enumerate((None, 5000, 6000), 1):
        basis = "slurm/ipmi: whole nodes" if energy_j else "not counted: it may have shared its nodes"
        scene.book.rows["a"] = replace(scene.book.add("a", T0 - 1), energy_j=energy_j, energy_basis=basis)
        for _ in range(2):
            agent.step()
        kept = scene.records()["a"].record
        assert (kept.revision, kept.energy_j, kept.energy_basis) == (revision, energy_j, basis)


def test_after_a_long_time_away_all_is_read_in_bounded_pieces(scene: Scene) -> None:
    scene.agent.step()
    for day in range(10):
        scene.book.add(f"d{day}", T0 + day * DAY_MS)
    scene.book.spans.clear()
    scene.world.now += 11 * DAY_MS
    scene.agent.step()
    assert len(scene.records()) == 10
    assert max(upto - start for start, upto in scene.book.spans) <= 6 * HOUR_MS
    assert scene.book.spans[0][0] <= T0 - OVERLAP_MS


@pytest.mark.parametrize("mark", [b"", b"nonsense", b'{"upto_ms": 9999999999999}', b"[]"])
def test_a_mark_that_says_nothing_costs_repeats_only(scene: Scene, mark: bytes) -> None:
    scene.path.write_bytes(mark)
    scene.book.add("a", T0 - DAY_MS)
    scene.agent.step()
    assert "a" in scene.records()


def test_accounting_that_is_away_holds_the_mark(scene: Scene) -> None:
    scene.agent.step()
    before = scene.path.read_bytes()
    scene.book.away, scene.world.now = True, T0 + 5 * DAY_MS
    with pytest.raises(Later):
        scene.agent.step()
    assert scene.path.read_bytes() == before


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, 14))
def test_killed_anywhere_each_record_is_there_exactly_once(scene: Scene, when: str, at: int) -> None:
    """Dies before its n-th call has an effect (read, not posted), or after it (posted, mark not moved)."""
    for hour in range(0, 60, 5):
        scene.book.add(f"r{hour}", T0 - hour * HOUR_MS - 1)
    calls, inner = 0, scene.world.link.account

    def account(uses: Sequence[Use], days: Sequence[TallyDoc]) -> tuple[str, ...]:
        nonlocal calls
        calls += 1
        if calls == at and when == "before":
            raise Killed
        fates = inner(uses, days)
        if calls == at:
            raise Killed
        return fates

    scene.world.link.account = account  # type: ignore[method-assign]
    try:
        scene.agent.step()
    except Killed:
        scene.agent.step()
    found = scene.records()
    assert found.keys() == scene.book.rows.keys()
    assert {kept.record.revision for kept in found.values()} == {1}
    days = (T0 // DAY_MS - 9, T0 // DAY_MS + 1)
    counted = scene.world.store.day_counts(SITE, days)
    assert sum(each.count for each in counted) == len(scene.book.rows)


def test_one_record_that_is_refused_holds_up_no_other_and_an_old_platform_is_told_nothing(
    scene: Scene,
) -> None:
    for n in range(5):
        scene.book.add(f"r{n}", T0 - n - 1)
    inner = scene.world.link.account

    def account(uses: Sequence[Use], days: Sequence[TallyDoc]) -> tuple[str, ...]:
        if any(use.record == "r3" for use in uses):
            raise Refused("invalid", "no such record")
        return inner(uses, days)

    scene.world.link.account = account  # type: ignore[method-assign]
    scene.agent.step()
    assert scene.records().keys() == {"r0", "r1", "r2", "r4"}

    def none(uses: Sequence[Use], days: Sequence[TallyDoc]) -> tuple[str, ...]:
        raise NotFound("not_found", "no such route")

    scene.world.link.account = none  # type: ignore[method-assign]
    with pytest.raises(NotFound):
        scene.agent.step()


def test_a_real_job_is_confirmed_and_its_day_agrees(scene: Scene) -> None:
    world, job = scene.world, scene.world.submit("sleep 60")
    world.go(world.agent(), steps=140)
    attempt = world.job(job).attempt
    assert attempt.settled
    key = world.key(job)
    (booked,) = world.store.billed([key])
    scene.book.add(
        "bj:1:1", attempt.ended_ms + 1_000, key, from_ms=attempt.started_ms - 3_000, card_ms=8 * 64_000
    )
    world.now += 10_000
    scene.agent.step()
    kept = scene.records()["bj:1:1"]
    assert (kept.fate, world.store.billed([key])) == (Fate.CONFIRMED, (booked,))
    report = reconcile_day(world.store, SITE, kept.record.day, Limits(), world.now + 9 * DAY_MS)
    assert report.differences == ()
    assert report.unbilled_card_ms == 8 * 64_000 - booked.card_ms


def test_a_job_that_ran_shorter_by_accounting_is_corrected_once_and_the_ledger_stays_in_order(
    scene: Scene,
) -> None:
    world, job = scene.world, scene.world.submit("sleep 60")
    world.go(world.agent(), steps=140)
    key, attempt = world.key(job), world.job(job).attempt
    use = scene.book.add("bj:1:1", attempt.ended_ms, key, from_ms=attempt.started_ms, card_ms=8 * 40_000)
    world.now += 10_000
    for _ in range(3):
        scene.agent.step()
    assert scene.records()[use.record].fate is Fate.CORRECTED
    assert world.store.billed([key])[0].card_ms == 8 * 40_000
    assert world.store.check_ledger().faults == ()
    scene.book.add("bj:1:1", attempt.ended_ms, key, from_ms=attempt.started_ms, card_ms=8 * 60_000)
    scene.agent.step()  # accounting was corrected back: the next revision, the book follows
    assert world.store.billed([key])[0].card_ms <= 8 * 60_000
    assert world.store.check_ledger().faults == ()


def test_an_agent_reads_accounting_now_and_then_where_there_is_any(scene: Scene) -> None:
    world = scene.world
    agent = world.agent(accounts=scene.agent, accounts_every_s=900.0)
    world.go(agent, steps=3)
    assert scene.book.spans == []
    world.engine.abilities = replace(world.engine.abilities, accounting=True)
    scene.book.away = True
    world.go(agent, steps=3)  # that it does not answer holds up nothing else
    scene.book.away = False
    job = world.submit("sleep 1")
    world.go(agent, steps=10)
    assert world.job(job).attempt.settled
    assert scene.book.spans == []
    world.now += 900_000
    world.go(agent, steps=10)
    passes = sum(upto == max(each for _, each in scene.book.spans) for _, upto in scene.book.spans)
    assert passes == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30))
def test_whatever_is_lost_or_late_in_the_end_all_is_there(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dice, folder = random.Random(seed), tmp_path_factory.mktemp("accounts")
    world = World(folder)
    scene, inner = Scene(world, Book(), folder / "accounts.json"), world.link.account

    def account(uses: Sequence[Use], days: Sequence[TallyDoc]) -> tuple[str, ...]:
        if dice.random() < 0.1:
            raise Later("lost on the way there")
        fates = inner(uses, days)
        if dice.random() < 0.1:
            raise Later("lost on the way back")
        return fates

    world.link.account = account  # type: ignore[method-assign]
    agent = scene.agent
    for n in range(12):
        world.now += dice.randrange(12 * HOUR_MS)
        for m in range(dice.randrange(4)):
            scene.book.add(f"r{n}-{m}", world.now - dice.randrange(OVERLAP_MS - DAY_MS))
        if dice.random() < 0.3:
            agent = scene.agent
        scene.book.away = dice.random() < 0.2
        try:
            agent.step()
        except Later:
            continue
    scene.book.away, world.link.account = False, inner  # type: ignore[method-assign]
    agent.step()
    assert scene.records().keys() == scene.book.rows.keys()
