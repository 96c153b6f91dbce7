"""Budgets in every store: what is spent of one, from placement to settlement, and what a turn sees."""

from dataclasses import replace

from book_samples import EAST, P, Q, decide, ended, key_of, place, queue, run, turn
from hypothesis import given, settings
from hypothesis import strategies as st
from test_store_uses import DAY, used

from hutong.adapters.store.memory.store import MemoryStore
from hutong.core.accounts.budgets import Action, Budget, Scope, Threshold, Unit
from hutong.core.book.money import ISSUED, Entry, Lot, LotKind, Posting, Txn, lot_account
from hutong.core.book.snapshot import Limits
from hutong.core.book.store import NewJob, Record, Sighting, Store
from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.control.rules import Rules
from hutong.core.kernel.documents import to_document
from hutong.core.kernel.ids import JobId, LotId, PoolId, split_key, ulid
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.core.work import facts as f
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources
from hutong.core.work.states import AttemptState, Category
from hutong.server.loop import Loop

NOW = DAY * DAY_MS + HOUR_MS
STOP = (Threshold(50, Action.NOTIFY), Threshold(100, Action.STOP))


def budget(called: str, unit: Unit = Unit.CARD_HOURS, amount: int = 1000, **change: object) -> Budget:
    plain = Budget(called, Scope.PROJECT, P, unit, amount, DAY, None, STOP, "pia")
    return replace(plain, **change)  # type: ignore[arg-type]


def keep(store: Store, *budgets: Budget) -> None:
    for each in budgets:
        doc = to_document(each)
        assert isinstance(doc, dict)
        store.put(Record("budget", each.id, doc, each.parent))


def known(store: Store, project: str, institution: str) -> None:
    store.put(Record("project", project, {"institution": institution}, institution))


def numbers(store: Store, of: Budget, now_ms: int = NOW) -> tuple[int, int]:
    (spending,) = store.spendings([of], now_ms)
    return spending.settled, spending.ahead


def test_what_is_placed_is_ahead_until_it_is_settled(store: Store) -> None:
    cards, money = budget("b1"), budget("b2", Unit.CNY)
    energy = budget("b3", Unit.KWH)
    assert numbers(store, cards) == (0, 0)
    run(store, 1, NOW)
    hour = 16 * HOUR_MS
    assert (numbers(store, cards), numbers(store, money)) == ((0, hour), (0, 16 * 18_000_000))
    assert numbers(store, energy) == (0, 16 * 700 * 1250 * 3600 // 1000)
    half = f.Metered(1, NOW, hour // 2, 16 * 9_000_000, final=False)
    turn(store, NOW, decide(store, 1, NOW, half))
    assert numbers(store, money) == (0, 16 * 18_000_000), "without a walltime an hour lies ahead all the time"
    store.report(EAST, [f.Report(key_of(1), replace(ended(), ran_ms=HOUR_MS))], None, NOW)
    assert numbers(store, cards) == (0, hour // 2), "it is over, and half of it is not settled yet"
    turn(store, NOW, decide(store, 1, NOW, f.Metered(1, NOW, hour, 16 * 18_000_000, final=True)))
    assert numbers(store, cards) == (0, 0)


def test_what_is_settled_counts_by_scope_unit_and_period(store: Store) -> None:
    known(store, P, "cau")
    known(store, Q, "cau")
    store.post(
        Posting(usage=(used("a"), used("b", person="bo"), used("c", Q, sku="910B"), used("d", day=DAY + 40)))
    )
    whole = budget("b", scope=Scope.INSTITUTION, name="cau")
    assert numbers(store, replace(whole, until_day=DAY + 60))[0] == 28
    assert numbers(store, whole)[0] == 21, "without an end it is as of today"
    assert numbers(store, replace(whole, accelerator="910B"))[0] == 7
    assert numbers(store, replace(whole, monthly=True))[0] == 21
    assert numbers(store, replace(whole, until_day=DAY + 40))[0] == 21
    assert numbers(store, budget("b", scope=Scope.PERSON, person="bo"))[0] == 7
    assert numbers(store, budget("b", Unit.CO2))[0] == 4
    assert numbers(store, budget("b", Unit.TOKENS))[0] == 0
    assert store.spendings([replace(whole, from_day=DAY + 1), replace(whole, ended=True)], NOW) == ()


def test_what_people_of_a_budget_are_running_is_ahead_for_them_only(store: Store) -> None:
    place(store, 1, NOW, by="ann")
    place(store, 2, NOW, by="bo", project=Q)
    mine = budget("b", scope=Scope.PERSON, person="ann")
    assert numbers(store, mine)[1] == 16 * HOUR_MS
    assert numbers(store, replace(mine, person="bo"))[1] == 0


def test_a_turn_sees_the_budgets_that_bind_its_projects(store: Store) -> None:
    known(store, P, "cau")
    queue(store, 1, NOW)
    mild = budget("mild", thresholds=(Threshold(100, Action.NOTIFY),))
    others = budget("others", name=Q)
    above = budget("above", scope=Scope.INSTITUTION, name="cau")
    keep(store, mild, others, above, budget("mine"), budget("past", until_day=DAY))
    shown = store.snapshot(NOW, Limits()).budgets
    assert [each.budget.id for each in shown] == ["above", "mine"]
    assert [each.told_ms for each in shown] == [0, 0]
    store.put(Record("notice", f"mine.{shown[1].budget.period_at(DAY)}.100", {"at_ms": 77}, f"project/{P}"))
    assert [each.told_ms for each in store.snapshot(NOW, Limits()).budgets] == [0, 77]


POOL = Pool(PoolId("h100"), "H100", 4, 8, 18_000_000, 1250, "cuda")
SITE = Site(EAST, "东", "East", "north", 1, "local", (POOL,), Supply((0,) * 24, (500,) * 24, "test"))
AMOUNTS = {
    Unit.CNY: 900 * 10**6,
    Unit.CARD_HOURS: 50 * HOUR_MS,
    Unit.KWH: 44 * 3_600_000,
    Unit.CO2: 22 * 10**6,
}


def world(unit: Unit) -> tuple[MemoryStore, Budget]:
    store = MemoryStore()
    site = to_document(SITE)
    assert isinstance(site, dict)
    store.put(Record("site", EAST, site))
    lot = Lot(LotId("award"), P, LotKind.AWARD, 1_000_000, 0, NOW * 2)
    legs = (Entry(ISSUED, -(10**12)), Entry(lot_account(lot.id), 10**12))
    store.open_lot(lot, Txn("fill", "award", P, NOW, "award", legs))
    of = budget("b", unit, AMOUNTS[unit], thresholds=(Threshold(100, Action.BLOCK_NEW),))
    keep(store, of)
    return store, of


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(1, 8), st.integers(1, 4)),
        st.tuples(st.just("wait"), st.integers(1, 150), st.just(0)),
        st.tuples(st.just("end"), st.integers(0, 5), st.just(0)),
    ),
    min_size=4,
    max_size=25,
)


@given(unit=st.sampled_from(list(AMOUNTS)), steps=STEPS)
@settings(deadline=None, max_examples=40)
def test_settled_and_committed_never_exceed_a_budget_that_blocks(
    unit: Unit, steps: list[tuple[str, int, int]]
) -> None:
    store, of = world(unit)
    now = [NOW]
    loop = Loop(store, Rules(), lambda: now[0], "test")
    running: dict[str, int] = {}
    for n, (what, first, second) in enumerate(steps):
        match what:
            case "submit":
                asks = Resources((Ask("H100", first),))
                spec = JobSpec("x", JobType.TASK, 1, asks, "true", max_duration_s=second * 3600, grace_s=0)
                store.submit([NewJob(JobId(ulid(n + 1, bytes(10))), P, spec, "ann", f"d{n}")], now[0])
            case "wait":
                now[0] += first * 60_000
            case "end" if running:
                key = sorted(running)[first % len(running)]
                end(store, key, now[0] - running.pop(key), now[0])
        observe(store, running, now[0])
        while loop.step():
            observe(store, running, now[0])
            (spending,) = store.spendings([of], now[0])
            assert spending.spent <= of.amount
            if what == "submit" and spending.spent == 0:
                assert second * first * HOUR_MS > AMOUNTS[Unit.CARD_HOURS] * 9 // 10, "what fits is placed"
    assert not [fault for fault in store.check_ledger().faults if fault.startswith(("L10", "L11"))]


def observe(store: Store, running: dict[str, int], now_ms: int) -> None:
    """Be the agent: start what is commanded, end what has reached its walltime, show the rest."""
    for taken in store.take(EAST, 0, 100, now_ms):
        if taken.kind == "start" and taken.key not in running:
            store.report(EAST, [f.Report(taken.key, f.Started(taken.attempt.number, now_ms))], None, now_ms)
            running[taken.key] = now_ms
    for key, began_ms in list(running.items()):
        parts = split_key(key)
        row = store.job(parts[0]) if parts else None
        assert row is not None
        if now_ms - began_ms >= row.spec.max_duration_s * 1000:
            end(store, key, row.spec.max_duration_s * 1000, now_ms)
            del running[key]
    keys = frozenset(running)
    store.report(EAST, [], Sighting(now_ms, keys, keys, "test/1"), now_ms)  # type: ignore[arg-type]


def end(store: Store, key: str, ran_ms: int, now_ms: int) -> None:
    parts = split_key(key)
    assert parts is not None
    exits = (f.RankExit(0, 0),)
    over = f.Ended(
        parts[1], AttemptState.SUCCEEDED, Category.NONE, "", now_ms - ran_ms, now_ms, ran_ms, exits
    )
    store.report(EAST, [f.Report(key, over)], None, now_ms)  # type: ignore[arg-type]
