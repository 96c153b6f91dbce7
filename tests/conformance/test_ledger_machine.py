"""Random histories of money on every store, beside an oracle that knows nothing of how the ledger works.

The oracle keeps each charge as a stack of who paid what, and takes pieces off its top. After every step all
balances are its own, every invariant that can be read from the rows holds, and a replay of the records gives
the same.
"""

import shutil
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from hutong.adapters.store.months import month_of
from hutong.adapters.store.open import open_store
from hutong.core.accounts.registry import FOREVER_MS, Project
from hutong.core.book.money import (
    EXPIRED,
    ISSUED,
    REFUNDED,
    RERATING,
    REVENUE,
    WAIVED,
    Entry,
    HoldChange,
    HoldPart,
    Lot,
    LotKind,
    Posting,
    Txn,
    UsageRecord,
    Waiver,
    lot_account,
    overrun_account,
)
from hutong.core.book.periods import PeriodState
from hutong.core.book.prices import BOOK, BOOKS_ID, Book, Books, Price, Tier, Timeline
from hutong.core.book.prices import PRICE as PRICE_LINE
from hutong.core.book.received import Fate, Kept, Received
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import AttemptKey, LotId, ProjectId
from hutong.core.kernel.rating import rate_moved
from hutong.core.ledger.funding import plan_hold, repay, settle
from hutong.core.ledger.replay import replay
from hutong.server.reckoning import reckon
from hutong.server.refunds import correct_usage, refund, waive
from hutong.server.registry import document
from hutong.server.upkeep import AGAIN_MS, Keeper

P = ProjectId("physics")
OWED = overrun_account(P)
DAY_MS = 86_400_000
BEGIN_MS = month_of(1_700_000_000_000, "Asia/Shanghai").from_ms
AMOUNTS = st.integers(1, 120)
PICK = st.integers(0, 50)
PRICE = 7
PER = 3
Stack = list[tuple[str, int]]


class Money(RuleBasedStateMachine):
    """One store, and an oracle of its balances."""

    open_it: ClassVar[Callable[[], tuple[Store, Callable[[], None]]]]

    def __init__(self) -> None:
        super().__init__()
        self.store, self.end = type(self).open_it()
        self.now = BEGIN_MS + DAY_MS
        self.balance: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        self.stacks: dict[str, Stack] = {}  # what is still paid of each charge in force, as drawn
        self.charged: dict[str, int] = {}  # by subject: charge in force
        self.quantity: dict[str, int] = {}
        self.repaid: list[Stack] = []
        self.open: dict[str, dict[str, int]] = {}  # holds
        self.sent: list[Posting] = []
        self.frozen: dict[str, frozenset[str]] = {}
        self.received: dict[str, Received] = {}
        self.claimed: dict[str, int] = {}
        self.rerated: Counter[str] = Counter()
        self.count = 0

    def teardown(self) -> None:
        """Let go of the store."""
        self.store.close()
        self.end()

    def next(self, what: str) -> str:
        """Return a fresh name."""
        self.count += 1
        return f"{what}{self.count:04d}"

    def post(self, posting: Posting) -> bool:
        """Post, and remember it for a repeat."""
        done = self.store.post(posting)
        self.sent.append(posting)
        return done

    @initialize()
    def begin(self) -> None:
        self.fund(100, 20, LotKind.AWARD)
        self.fund(60, 40, LotKind.VOUCHER)
        self.store.put(Record("project", P, document(Project(P, "uni", "Physics")), "uni"))
        self.store.put(Record(BOOK, BOOKS_ID, document(Books((Book("all", ""),)))))
        price = Price("all.1", 0, FOREVER_MS, PRICE, PER, "agreed", "ann", 0, (Tier(50, 4),))
        line = Timeline("all", "token_in", (price,))
        self.store.put(Record(PRICE_LINE, line.id, document(line), "all"))

    @rule(amount=AMOUNTS, days=st.integers(1, 70), kind=st.sampled_from(LotKind))
    def fund(self, amount: int, days: int, kind: LotKind) -> None:
        name = LotId(self.next("lot"))
        rate = 300_000 if kind is LotKind.VOUCHER else 1_000_000
        lot = Lot(name, P, kind, rate, self.now, self.now + days * DAY_MS)
        legs = (Entry(ISSUED, -amount), Entry(lot_account(name), amount))
        assert self.store.open_lot(lot, Txn(f"fill:{name}", kind.value, P, self.now, f"lot:{name}", legs))
        self.balance[ISSUED] -= amount
        self.balance[lot_account(name)] += amount

    @rule(days=st.sampled_from([0, 1, 5, 30]))
    def wait(self, days: int) -> None:
        self.now += days * DAY_MS + 1

    @rule(amount=AMOUNTS)
    def hold(self, amount: int) -> None:
        lots = self.store.lots(P)
        parts = plan_hold(lots, amount, self.now)
        free = {
            each.id: self.balance[lot_account(each.id)] - self.held[each.id]
            for each in lots
            if each.starts_ms <= self.now < each.ends_ms
        }
        full = sum(free[each.id] for each in lots if each.id in free and each.rate_ppm == 1_000_000)
        assert parts is not None or full < amount
        if parts:
            key = self.next("hold")
            assert sum(part.amount_micro for part in parts) == amount
            assert all(part.amount_micro <= free[part.lot] for part in parts)
            assert self.post(Posting(holds=(HoldChange(key, P, parts),)))
            self.open[key] = {part.lot: part.amount_micro for part in parts}
            self.held.update(self.open[key])

    @rule(quantity=st.integers(0, 60), pick=PICK, final=st.booleans(), late=st.integers(0, 40))
    def use(self, quantity: int, pick: int, final: bool, late: int) -> None:
        """Settle some use of an open hold, or of none; `late` days after it happened."""
        keys = sorted(self.open)
        key = keys[pick % len(keys)] if keys and pick else self.next("free")
        effective = max(BEGIN_MS, self.now - late * DAY_MS)
        self.settle(key, quantity, effective, final=final or key not in self.open)

    def settle(self, key: str, quantity: int, effective: int, *, final: bool) -> None:
        held = self.open.get(key)
        parts = tuple(HoldPart(LotId(lot), amount) for lot, amount in (held or {}).items())
        before = self.charged.get(key, 0)
        total = self.quantity.get(key, 0) + quantity
        after = (total * PRICE + PER // 2) // PER
        lots = self.store.lots(P)
        paid = settle(parts, lots, P, before, after, self.now, final=final)
        name = self.next(f"use-{key}-")
        growth = after - before
        txns = (Txn(name, "tokens", P, effective, key, paid.entries, site="east"),) if paid.entries else ()
        holds = (
            (HoldChange(key, P, paid.parts, closes=final),)
            if held is not None and (final or paid.parts)
            else ()
        )
        used = UsageRecord(
            name, P, key, "east", "m", "token_in", quantity, PRICE, PER, growth, effective, effective
        )
        usage = (used,) if quantity else ()
        if not (txns or holds or usage):
            return
        assert self.post(Posting(txns, holds, usage))
        draws = [(leg.account, -leg.amount_micro) for leg in paid.entries if leg.account != REVENUE]
        assert sum(amount for _, amount in draws) == growth, "finished use is always booked"
        assert all(amount > 0 for _, amount in draws)
        if growth:
            self.stacks[name] = draws
            self.move(draws, -1)
            self.balance[REVENUE] += growth
        self.charged[key], self.quantity[key] = after, total
        for part in paid.parts:
            self.held[part.lot] += part.amount_micro
            if held is not None:
                held[part.lot] += part.amount_micro
        if final and held is not None:
            assert not any(held.values())
            del self.open[key]

    def move(self, legs: Stack, sign: int) -> None:
        for account, amount in legs:
            self.balance[account] += sign * amount

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """A message comes twice: success without effect, or a refusal; never twice the effect."""
        if self.sent:
            posting = data.draw(st.sampled_from(self.sent))
            if posting.txns:
                assert not self.store.post(posting)
            elif posting.holds:
                with pytest.raises(Conflict):
                    self.store.post(posting)
            else:
                with pytest.raises(Conflict):
                    self.store.post(posting)

    @rule()
    def pay_back(self) -> None:
        owed = -self.balance[OWED]
        txn = repay(self.store.lots(P), owed, self.next("repay-"), self.now) if owed else None
        if txn:
            assert self.post(Posting((txn,)))
            draws = [(leg.account, -leg.amount_micro) for leg in txn.entries if leg.amount_micro < 0]
            self.move(draws, -1)
            self.balance[OWED] += sum(amount for _, amount in draws)
            self.repaid.append(draws)

    @rule()
    def keep(self) -> None:
        """Ended lots lose what nobody holds."""
        self.now += AGAIN_MS
        keeper = Keeper(self.store, lambda: self.now)
        before = self.store.lots(P)
        for _ in range(3):
            keeper.step()
        for lot in before:
            if lot.clawed:
                self.expect_claim(lot)
            elif self.now >= lot.ends_ms:
                free = self.balance[lot_account(lot.id)] - self.held[lot.id]
                self.balance[lot_account(lot.id)] -= free
                self.balance[EXPIRED] += free

    @rule(pick=PICK)
    def claim(self, pick: int) -> None:
        lots = self.store.lots(P)
        self.store.claim_lot(lots[pick % len(lots)].id, self.now)
        self.keep()

    def expect_claim(self, lot: Lot) -> None:
        """Take the store's word for how much is owed for a claimed lot, but prove that it adds up."""
        account = lot_account(lot.id)
        txns = self.store.txns(P, f"lot:{lot.id}", "", 1000)
        self.balance[account] = self.posted(account)
        issued = sum(leg.amount_micro for txn in txns for leg in txn.entries if leg.account == ISSUED)
        expired = sum(leg.amount_micro for txn in txns for leg in txn.entries if leg.account == EXPIRED)
        if self.balance[account] == 0 and not self.held[lot.id]:
            assert issued == -expired, "all that was issued has returned, expired, or is owed"
        claims = [leg for txn in txns if txn.kind == "clawback" for leg in txn.entries]
        new = [leg for leg in claims if leg.account != account]
        known = self.claimed.get(lot.id, 0)
        for leg in new[known:]:
            self.balance[leg.account] += leg.amount_micro
        self.claimed[lot.id] = len(new)

    def posted(self, account: str) -> int:
        return self.store.balances([account])[0].amount_micro

    @rule(pick=PICK, amount=AMOUNTS, whole=st.booleans())
    def give_back(self, pick: int, amount: int, whole: bool) -> None:
        keys = sorted(key for key, charge in self.charged.items() if charge)
        if not keys or any(self.rerated.values()):
            return  # what a charge still costs after its month was rerated: tests/server/test_reckoning.py
        key = keys[pick % len(keys)]
        names = self.charges(key)
        left = sum(amount for name in names for _, amount in self.stacks[name])
        asked = left if whole else amount
        try:
            name = self.next("refund")
            done = refund(self.store, P, key, None if whole else amount, "goodwill", name)
            assert done == refund(self.store, P, key, None if whole else amount, "goodwill", name)
        except Conflict as conflict:
            assert conflict.code == "nothing_left"  # noqa: PT017 - it may as well succeed
            assert not left or asked > left
            return
        assert 0 < asked <= left
        self.take(names, asked, REFUNDED)

    def charges(self, key: str) -> list[str]:
        """Return the charges of a subject in force, newest first."""
        txns = {txn.id: txn for txn in self.store.txns(P, key, "", 1000)}
        mine = [name for name in self.stacks if name in txns]
        return sorted(mine, key=lambda name: (txns[name].effective_ms, name), reverse=True)

    def take(self, names: list[str], amount: int, at_cost_of: str) -> None:
        """Take an amount off the tops of these stacks."""
        pieces: Stack = []
        rest = amount
        for name in names:
            stack = self.stacks[name]
            while stack and rest:
                account, there = stack.pop()
                part = min(rest, there)
                pieces.append((account, part))
                rest -= part
                if there > part:
                    stack.append((account, there - part))
        assert rest == 0
        self.balance[at_cost_of] -= amount
        self.forgive(pieces)

    def forgive(self, pieces: Stack) -> None:
        """Move pieces back to who paid them."""
        self.unpay(sum(amount for account, amount in pieces if account == OWED))
        self.move(pieces, 1)

    def unpay(self, forgiven: int) -> None:
        """A debt that was paid back and is now forgiven returns to who paid it, the last payment first."""
        missing = forgiven + self.balance[OWED]
        while missing > 0:
            undone = self.repaid.pop()
            self.move(undone, 1)
            total = sum(amount for _, amount in undone)
            self.balance[OWED] -= total
            missing -= total

    @rule(pick=PICK, days=st.integers(0, 40))
    def waive(self, pick: int, days: int) -> None:
        keys = sorted(self.charged)
        if not keys or any(self.rerated.values()):
            return  # as in `give_back`
        key, from_ms = keys[pick % len(keys)], self.now - days * DAY_MS
        names = self.charges(key)
        at = {txn.id: txn.effective_ms for txn in self.store.txns(P, key, "", 1000)}
        for _ in range(2):
            waive(self.store, Waiver(AttemptKey(key), P, from_ms, "lost"))
        for name in reversed(names):
            if at[name] > from_ms:
                self.take([name], sum(amount for _, amount in self.stacks[name]), WAIVED)

    @rule(pick=PICK, quantity=st.integers(0, 60))
    def correct(self, pick: int, quantity: int) -> None:
        gone = {used.reverses for used in self.store.usage(P, "", "", 1000)}
        records = [
            used
            for used in self.store.usage(P, "", "", 1000)
            if not used.reverses and used.id not in gone and used.key not in self.open
            if not used.key.startswith("tiers:")
        ]
        if not records:
            return
        record = records[pick % len(records)]
        total = self.quantity[record.key] + quantity - record.quantity
        after = (total * PRICE + PER // 2) // PER
        if record.charge_micro + after < self.charged[record.key]:
            return  # others cost a micro-yuan too much by rounding: it comes back, and there is no draw
        back = self.store.reversals([record.id])
        done = correct_usage(self.store, P, record.key, record.id, quantity, "the meter was wrong", self.now)
        assert done == (record.quantity != quantity)
        if not done:
            return
        assert not correct_usage(self.store, P, record.key, record.id, quantity, "again", self.now)
        with pytest.raises(Conflict):
            correct_usage(self.store, P, record.key, record.id, quantity + 1, "again", self.now)
        fresh = self.store.txn(f"{record.id.partition('~')[0]}~r{record.revision + 1}")
        draws = [(e.account, -e.amount_micro) for e in fresh.entries if e.amount_micro < 0] if fresh else []
        assert sum(amount for _, amount in draws) == record.charge_micro + after - self.charged[record.key]
        pieces = self.stacks.pop(record.id, [])
        for txn in back:
            for leg in txn.entries:
                if leg.account in {WAIVED, REFUNDED}:
                    self.balance[leg.account] -= leg.amount_micro
        waived = any(txn.kind == "waiver" for txn in back)
        again = 0 if waived else sum(amount for account, amount in draws if account == OWED)
        self.unpay(sum(amount for account, amount in pieces if account == OWED) - again)
        self.move(pieces, 1)
        self.balance[REVENUE] += after - self.charged[record.key]
        self.move(draws, -1)
        if fresh:
            self.stacks[fresh.id] = draws
        if fresh and waived:
            self.balance[WAIVED] -= sum(amount for _, amount in draws)
            self.move(draws, 1)
            self.stacks[fresh.id] = []
        self.charged[record.key], self.quantity[record.key] = after, total

    @rule(pick=PICK)
    def reckon(self, pick: int) -> None:
        """What is beyond the tier moves to its price, however often it is asked and whatever came since."""
        txns = self.store.txns(P, "", "", 1000)
        if any(leg.account == OWED for txn in txns for leg in txn.entries):
            return  # who owed, paid back and is given back: tests/server/test_reckoning.py
        periods = self.store.periods()
        period = periods[pick % len(periods)]
        subject = f"tiers:all.1:{period.id}:{P}:east:m:token_in"
        mine = {txn.id for txn in txns if txn.period == period.id and not txn.cause.startswith("tiers:")}
        gone = {txn.reverses for txn in txns if txn.id in mine and txn.kind == "reversal"}
        used = sum(
            each.quantity
            for each in self.store.usage(P, "", "", 1000)
            if (each.reverses in gone if each.reverses else each.id in mine)
        )
        beyond = max(0, used - 50)
        less = rate_moved(beyond, 4, PER) + rate_moved(-beyond, PRICE, PER)
        reckon(self.store, period, self.now, "Asia/Shanghai")
        assert not reckon(self.store, period, self.now, "Asia/Shanghai")
        known = {txn.id for txn in txns}
        for txn in self.store.txns(P, "", "", 1000):
            if txn.id not in known:
                assert txn.kind == RERATING
                self.move([(leg.account, leg.amount_micro) for leg in txn.entries], 1)
                for leg in txn.entries:
                    assert leg.amount_micro > 0 or leg.account == REVENUE or less > self.rerated[subject]
        self.rerated[subject] = less

    @rule(final=st.booleans(), pick=PICK)
    def close_period(self, final: bool, pick: int) -> None:
        periods = self.store.periods()
        period = periods[pick % len(periods)]
        state = PeriodState.CLOSED if final else PeriodState.CLOSING
        before = [each for each in periods if each.until_ms <= period.from_ms and not each.closed]
        open_items = [
            each
            for each in self.store.suspended(("", "", 0), 1000)
            if period.from_ms <= each.record.upto_ms < period.until_ms
        ]
        try:
            changed = self.store.move_period(period.id, state, self.now, "ann")
        except Conflict as conflict:
            assert {  # noqa: PT017 - it may as well succeed
                "period_closed": period.closed,
                "period_runs": self.now < period.until_ms,
                "period_open": final and period.state is PeriodState.OPEN,
                "period_order": bool(before),
                "suspense_open": bool(open_items),
            }[conflict.code]
            return
        assert changed == (period.state is not state)
        if changed and final:
            self.frozen[period.id] = frozenset(
                txn.id for txn in self.store.txns(P, "", "", 1000) if txn.period == period.id
            )

    @rule(record=st.integers(1, 4), revision=st.integers(1, 3), late=st.integers(0, 40))
    def receive(self, record: int, revision: int, late: int) -> None:
        at = self.now - late * DAY_MS
        told = Received("east", f"r{record}", revision, "nobody", "card_ms", 5, at, at)
        kept = self.store.receive(Kept(told, Fate.SUSPENDED, "no attempt", "east", self.now))
        assert self.received.setdefault(told.id, told) == kept.record

    @rule(pick=PICK, fate=st.sampled_from([Fate.CORRECTED, Fate.DISMISSED]))
    def resolve(self, pick: int, fate: Fate) -> None:
        open_items = self.store.suspended(("", "", 0), 1000)
        if open_items:
            record = open_items[pick % len(open_items)].record
            assert self.store.resolve(record, fate, "seen", "ann", self.now).fate is fate
            with pytest.raises(Conflict):
                self.store.resolve(record, Fate.CONFIRMED, "seen", "ann", self.now)

    @rule(amount=AMOUNTS, pick=PICK)
    def race(self, amount: int, pick: int) -> None:
        """Four want to hold of one lot at once: as many get it as it has money for."""
        lots = self.store.lots(P)
        lot = lots[pick % len(lots)]
        free = self.balance[lot_account(lot.id)] - self.held[lot.id]
        keys = [self.next("race") for _ in range(4)]
        won: list[str] = []

        def take(key: str) -> None:
            try:
                self.store.post(Posting(holds=(HoldChange(key, P, (HoldPart(lot.id, amount),)),)))
                won.append(key)
            except Conflict as conflict:
                assert conflict.code == "insufficient_funds"  # noqa: PT017 - some of them succeed

        threads = [threading.Thread(target=take, args=(key,)) for key in keys]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(won) == min(4, free // amount)
        for key in won:
            self.open[key] = {lot.id: amount}
            self.held[lot.id] += amount

    @invariant()
    def every_balance_is_the_oracles(self) -> None:
        names = sorted({*self.balance, OWED, REVENUE, ISSUED, EXPIRED, WAIVED, REFUNDED})
        found = {each.account: each.amount_micro for each in self.store.balances(names)}
        assert found == {name: self.balance[name] for name in names}
        assert found[OWED] <= 0
        assert sum(found.values()) == 0
        for lot in self.store.lots(P):
            assert (lot.posted_micro, lot.held_micro) == (
                self.balance[lot_account(lot.id)],
                self.held[lot.id],
            )
            assert lot.available_micro >= 0
        assert {each.key for each in self.store.holds(P, 1000)} >= {
            key for key, parts in self.open.items() if any(parts.values())
        }

    @invariant()
    def the_book_proves_itself(self) -> None:
        assert self.store.check_ledger().faults == ()
        txns, usage = self.store.txns(P, "", "", 1000), self.store.usage(P, "", "", 1000)
        again = replay(txns, usage)
        assert again.faults == ()
        assert {name: amount for name, amount in again.balances.items() if amount} == {
            name: amount for name, amount in self.balance.items() if amount
        }
        assert again.revenue_micro == self.balance[REVENUE]
        assert self.balance[REVENUE] == sum(self.charged.values()) + sum(self.rerated.values())
        backs = Counter((txn.reverses, txn.reverses_from) for txn in txns if txn.reverses)
        assert not backs or max(backs.values()) == 1
        periods = {each.id: each for each in self.store.periods()}
        for txn in txns:
            period = periods[txn.period]
            own = period.from_ms <= txn.effective_ms < period.until_ms
            assert (
                own
                or any(
                    each.closed and each.from_ms <= txn.effective_ms < each.until_ms
                    for each in periods.values()
                )
                or txn.effective_ms < period.from_ms
            )
        for name, ids in self.frozen.items():
            assert ids == {txn.id for txn in txns if txn.period == name}

    @invariant()
    def no_record_of_use_is_lost(self) -> None:
        counted = self.store.day_counts("east", (0, 10**6))
        assert sum(each.count for each in counted) == len(self.received)
        assert Counter(each.day for each in counted for _ in range(each.count)) == Counter(
            record.day for record in self.received.values()
        )


def run(open_it: Callable[[], tuple[Store, Callable[[], None]]], examples: int, steps: int) -> None:
    class Machine(Money):
        pass

    Machine.open_it = staticmethod(open_it)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_money_in_memory_is_the_oracles() -> None:
    run(lambda: (open_store("memory:"), lambda: None), 60, 50)


@pytest.mark.slow
def test_money_in_sqlite_is_the_oracles(migrated: Path) -> None:
    def fresh() -> tuple[Store, Callable[[], None]]:
        folder = TemporaryDirectory()
        path = Path(folder.name) / "hutong.db"
        shutil.copy(migrated, path)
        return open_store(f"sqlite:///{path}"), folder.cleanup

    run(fresh, 15, 40)


@pytest.mark.slow
def test_money_in_postgres_is_the_oracles(new_database: Callable[[], str]) -> None:
    run(lambda: (open_store(new_database()), lambda: None), 8, 40)
