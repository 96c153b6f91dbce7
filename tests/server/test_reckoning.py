"""Commitments and tiers in the book: booked once, whatever is killed, late, owed or given back."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.mortal import KilledError, Mortal

from hutong.adapters.store.memory.store import MemoryStore
from hutong.adapters.store.months import month_of
from hutong.core.accounts.budgets import Scope
from hutong.core.accounts.registry import FOREVER_MS, Institution, InstitutionKind, Project
from hutong.core.book.commitments import COMMITMENT, Commitment
from hutong.core.book.money import (
    ISSUED,
    REVENUE,
    Entry,
    Lot,
    LotKind,
    Posting,
    Txn,
    UsageRecord,
    Waiver,
    lot_account,
)
from hutong.core.book.periods import Period, PeriodState
from hutong.core.book.prices import BOOK, BOOKS_ID, PRICE, Book, Books, Price, Tier, Timeline
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import AttemptKey, LotId, ProjectId
from hutong.core.kernel.quantities import DAY_MS
from hutong.core.kernel.rating import CARD_HOUR_MS, rate
from hutong.core.ledger.focus import in_columns
from hutong.core.ledger.funding import settle
from hutong.core.ledger.replay import replay
from hutong.server.debts import open_lot, owed_micro
from hutong.server.prices import listed_in
from hutong.server.reckoning import reckon
from hutong.server.refunds import correct_usage, refund, refundable_micro, waive
from hutong.server.registry import document
from hutong.server.statements import find_period, focus_of, statement_of

ZONE, YUAN = "Asia/Shanghai", 10**6
FIRST = month_of(1_804_000_000_000, ZONE)
NEXT = month_of(FIRST.until_ms, ZONE)
A, B = ProjectId("a"), ProjectId("b")
UNI = Institution("uni", InstitutionKind.UNIVERSITY, "大学", "Uni")
DEAL = Commitment(
    "deal", Scope.INSTITUTION, "uni", A, "H100", 100 * CARD_HOUR_MS, 5 * YUAN, True, FIRST.id, "2030-01",
    "contract", "op", 0,
)  # fmt: skip


def world() -> Any:
    store: Any = MemoryStore()
    store.put(Record("institution", "uni", document(UNI)))
    for project in (A, B):
        store.put(Record("project", project, document(Project(project, "uni", project)), "uni"))
    return store


def fund(store: Any, project: ProjectId, yuan: int, kind: LotKind = LotKind.AWARD) -> None:
    rate_ppm = 300_000 if kind is LotKind.VOUCHER else 10**6
    lot = Lot(LotId(f"{kind.value}-{project}"), project, kind, rate_ppm, 0, FOREVER_MS)
    legs = (Entry(ISSUED, -yuan * YUAN), Entry(lot_account(lot.id), yuan * YUAN))
    at_ms = FIRST.from_ms
    assert open_lot(store, lot, Txn(f"fill:{lot.id}", kind.value, project, at_ms, lot.id, legs), at_ms)


def use(
    store: Any, name: str, project: ProjectId, hours: int, yuan: int, at_ms: int = FIRST.from_ms + DAY_MS
) -> None:
    """Book use as a settled attempt does, its record beside those of jobs so that none is missing."""
    charge = rate(hours * CARD_HOUR_MS, yuan * YUAN, CARD_HOUR_MS)
    legs = settle((), store.lots(project), project, 0, charge, at_ms, final=True).entries
    record = UsageRecord(
        name, project, name, "east", "H100", "card_ms", hours * CARD_HOUR_MS, yuan * YUAN, CARD_HOUR_MS,
        charge, at_ms, at_ms, revision=2,
    )  # fmt: skip
    assert store.post(
        Posting((Txn(name, "usage", project, at_ms, name, legs, site="east"),), usage=(record,))
    )


def lines(store: Any, project: ProjectId, period: Period) -> list[tuple[str, int, int, int]]:
    """Return a statement's use: unit, price in yuan, card-hours, yuan."""
    found = statement_of(store, project, find_period(store, period.id)).use
    return [
        (each.unit, each.price_micro // YUAN, each.quantity // CARD_HOUR_MS, each.amount_micro // YUAN)
        for each in found
        if each.quantity or each.amount_micro
    ]


def sound(store: Any) -> None:
    assert store.check_ledger().faults == ()
    for project in (A, B):
        txns, usage = store.txns(project, "", "", 1000), store.usage(project, "", "", 1000)
        assert replay(txns, usage).faults == ()


def run(store: Any, period: Period = FIRST) -> int:
    return reckon(store, period, period.until_ms + 5, ZONE)


def close(store: Any, period: Period) -> None:
    for state in (PeriodState.CLOSING, PeriodState.CLOSED):
        store.move_period(period.id, state, period.until_ms + DAY_MS, "ann")


def commit(store: Any, **change: Any) -> None:
    doc = {**document(DEAL), **change}
    store.put(Record(COMMITMENT, str(doc["id"]), doc, f"{doc['scope']}/{doc['name']}"))


def test_what_is_used_and_what_is_not_are_paid_at_the_committed_price() -> None:
    store = world()
    fund(store, A, 1000)
    fund(store, B, 1000)
    use(store, "j1", A, 20, 9)
    use(store, "j2", B, 40, 7)
    commit(store)
    assert run(store) == 3
    assert run(store) == 0
    assert lines(store, A, FIRST) == [("unused_ms", 5, 40, 200), ("card_ms", 5, 20, 100)]
    assert lines(store, B, FIRST) == [("card_ms", 5, 40, 200)]
    left = {lot.project: lot.posted_micro // YUAN for lot in (*store.lots(A), *store.lots(B))}
    assert left == {A: 700, B: 800}
    use(store, "j3", B, 70, 8)  # comes before the period is closed: the dearest use draws first
    assert run(store) == 2
    assert run(store) == 0
    assert lines(store, A, FIRST) == [("card_ms", 5, 20, 100)]  # nothing is unused any more
    assert lines(store, B, FIRST) == [("card_ms", 5, 80, 400), ("card_ms", 7, 30, 210)]
    sound(store)
    close(store, FIRST)
    use(store, "late", B, 10, 9)  # is booked in the open month, and draws on that month's hours
    assert run(store) == 0
    run(store, NEXT)
    assert ("card_ms", 5, 10, 50) in lines(store, B, NEXT)
    assert ("unused_ms", 5, 90, 450) in lines(store, A, NEXT)
    sound(store)


def test_without_take_or_pay_only_dearer_use_is_covered_and_nothing_is_charged_for_the_rest() -> None:
    store = world()
    fund(store, A, 1000)
    use(store, "j1", A, 20, 9)
    use(store, "j2", A, 20, 4)
    commit(store, take_or_pay=False, scope="project", name=A)
    assert run(store) == 1
    assert lines(store, A, FIRST) == [("card_ms", 4, 20, 80), ("card_ms", 5, 20, 100)]
    assert run(store) == 0
    sound(store)


def test_a_month_without_any_use_owes_what_was_committed() -> None:
    store = world()
    fund(store, A, 2000)
    commit(store)
    use(store, "j1", A, 1, 5, NEXT.from_ms + DAY_MS)
    assert {each.id for each in store.periods()} == {FIRST.id, NEXT.id}  # the award began in the first
    other = world()
    commit(other)
    use(other, "j1", A, 1, 5, NEXT.from_ms + DAY_MS)
    assert {each.id for each in other.periods()} == {NEXT.id}
    assert run(other, NEXT) == 2
    assert run(other, NEXT) == 0
    assert lines(other, A, FIRST) == [("unused_ms", 5, 100, 500)]
    assert owed_micro(other, A) == 1000 * YUAN  # 100 hours of each month
    sound(other)


def tiered(store: Any) -> None:
    store.put(Record(BOOK, BOOKS_ID, document(Books((Book("all", ""),)))))
    price = Price(
        "all.1",
        0,
        FOREVER_MS,
        9 * YUAN,
        CARD_HOUR_MS,
        "agreed",
        "op",
        0,
        (Tier(50 * CARD_HOUR_MS, 6 * YUAN),),
    )
    line = Timeline("all", "card:H100", (price,))
    store.put(Record(PRICE, line.id, document(line), "all"))


def test_tiers_count_what_no_commitment_covers_and_a_voucher_gets_its_share_back() -> None:
    store = world()
    fund(store, A, 1000)
    fund(store, B, 10_000)
    use(store, "j1", A, 30, 9)
    use(store, "j2", B, 100, 9)
    commit(store, scope="project", name=B, pays=B, card_ms=20 * CARD_HOUR_MS)
    tiered(store)
    assert run(store) == 2
    assert run(store) == 0
    assert lines(store, A, FIRST) == [("card_ms", 9, 30, 270)]
    assert lines(store, B, FIRST) == [
        ("card_ms", 5, 20, 100),
        ("card_ms", 6, 30, 180),
        ("card_ms", 9, 50, 450),
    ]
    sound(store)


def test_what_was_owed_is_forgiven_first_and_what_was_paid_back_returns() -> None:
    store = world()
    use(store, "j1", A, 100, 9)
    assert owed_micro(store, A) == 900 * YUAN
    fund(store, A, 800)  # pays back all of it
    assert (owed_micro(store, A), store.lots(A)[0].posted_micro) == (100 * YUAN, 0)
    commit(store)
    assert run(store) == 1
    assert owed_micro(store, A) + sum(lot.posted_micro for lot in store.lots(A)) >= 0
    assert sum(lot.posted_micro for lot in store.lots(A)) - owed_micro(store, A) == 300 * YUAN
    sound(store)
    back = refund(store, A, "j1", None, "goodwill", "r1")  # 400 of it came back already
    assert -sum(txn.entries[-1].amount_micro for txn in back if txn.kind == "refund") == 500 * YUAN
    assert (owed_micro(store, A), store.lots(A)[0].posted_micro) == (0, 800 * YUAN)
    assert refundable_micro(store, A, "j1") == 0
    sound(store)


def test_a_rerated_debt_is_waived_and_corrected_without_a_person() -> None:
    for waived in (True, False):
        store = world()
        use(store, "j1", A, 100, 9)
        commit(store)
        run(store)
        assert owed_micro(store, A) == 500 * YUAN
        if waived:
            assert waive(store, Waiver(AttemptKey("j1"), A, 0, "the site's fault")) == 500 * YUAN
        else:
            close(store, FIRST)
            assert correct_usage(store, A, "j1", "j1", 0, "it never ran", FIRST.until_ms)
        assert owed_micro(store, A) == 0
        sound(store)


def test_what_is_given_back_in_a_later_month_counts_for_the_month_that_paid() -> None:
    store = world()
    fund(store, A, 1000)
    use(store, "j1", A, 40, 9)
    use(store, "j2", A, 40, 9)
    refund(store, A, "j1", 300 * YUAN, "goodwill", "r0")
    commit(store, scope="project", name=A, card_ms=80 * CARD_HOUR_MS)
    run(store)  # 320 of 720 come back, in part to the platform, which had paid 300 of them
    close(store, FIRST)
    refund(store, A, "j2", None, "goodwill", "r1")
    assert store.lots(A)[0].posted_micro == 966_666_667  # 200 for it, of the 233 that are paid of the month
    assert refundable_micro(store, A, "j1") == 0  # more than it costs was given back
    sound(store)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from([4, 6, 7, 9]), st.booleans()), min_size=1, max_size=6
    ),
    st.integers(1, 150),
    st.integers(0, 600),
    st.booleans(),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_refunds_return_what_was_paid_after_rerating_and_no_more(
    jobs: list[tuple[int, int, bool]], committed: int, money: int, take_or_pay: bool, shut: bool, order: Any
) -> None:
    store = world()
    fund(store, A, 300, LotKind.VOUCHER)
    if money:
        fund(store, A, money)
    for n, (hours, yuan, in_part) in enumerate(jobs):
        use(store, f"j{n}", A, hours, yuan)
        if in_part:
            refund(store, A, f"j{n}", YUAN, "goodwill", f"before{n}")
    tiered(store)
    commit(store, scope="project", name=A, take_or_pay=take_or_pay, card_ms=committed * CARD_HOUR_MS)
    run(store)
    if shut:
        close(store, FIRST)
    names = [f"j{n}" for n in range(len(jobs))]
    order.shuffle(names)
    for name in names:
        left, had = refundable_micro(store, A, name), worth(store)
        if left:
            refund(store, A, name, None, "goodwill", f"all-{name}")
        assert worth(store) - had == left
    paid: dict[str, int] = {}
    for txn in store.txns(A, "", "", 1000):
        if txn.site and (txn.reverses or any(leg.account == REVENUE for leg in txn.entries)):
            for leg in txn.entries:
                paid[leg.account] = paid.get(leg.account, 0) - leg.amount_micro
    accounts = [name for name in paid if name.startswith(("lot:", "overrun:"))]
    assert sum(paid[name] for name in accounts) >= 0, "no more comes back than was paid"
    fee = sum(max(0, 5 - yuan) * hours for hours, yuan, _ in jobs) * YUAN if take_or_pay else 0
    early = sum(in_part for *_, in_part in jobs) * YUAN  # the platform paid it, and its part shrank as well
    assert sum(paid[name] for name in accounts) <= fee + early + len(jobs) * 2
    sound(store)


def worth(store: Any) -> int:
    """Return what a project has less what it owes."""
    return int(sum(lot.posted_micro for lot in store.lots(A)) - owed_micro(store, A))


def test_use_that_is_corrected_moves_with_the_correction() -> None:
    store = world()
    fund(store, A, 2000)
    use(store, "j1", A, 60, 9)
    commit(store, scope="project", name=A)
    run(store)
    correct_usage(store, A, "j1", "j1", 50 * CARD_HOUR_MS, "the meter was wrong", FIRST.until_ms)
    assert run(store) == 2
    assert lines(store, A, FIRST) == [("unused_ms", 5, 50, 250), ("card_ms", 5, 50, 250)]
    (subject,) = {each.key for each in store.usage(A, "", "", 100) if each.key.endswith("card_ms")}
    first = store.usage(A, subject, "", 1)[0]
    with pytest.raises(Conflict, match="follows from"):
        correct_usage(store, A, subject, first.id, first.quantity + 1, "no", FIRST.until_ms)
    sound(store)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(4))
def test_a_reckoning_that_is_killed_at_any_write_ends_the_same(at: int, after: bool) -> None:
    store = world()
    fund(store, A, 1000)
    fund(store, B, 1000, LotKind.TOPUP)
    use(store, "j1", A, 20, 9)
    use(store, "j2", B, 80, 9)
    commit(store, card_ms=20 * CARD_HOUR_MS)
    tiered(store)
    mortal: Any = Mortal(store)
    mortal.left, mortal.after = at, after
    try:
        run(mortal)
    except KilledError:
        pass
    else:
        assert at >= 3, "there are three writes"
    mortal.left = -1
    run(store)
    assert run(store) == 0
    both = [*lines(store, A, FIRST), *lines(store, B, FIRST)]
    assert both == [
        ("card_ms", 5, 4, 20), ("card_ms", 9, 16, 144),
        ("card_ms", 5, 16, 80), ("card_ms", 6, 14, 84), ("card_ms", 9, 50, 450),
    ]  # fmt: skip
    sound(store)
    earned = sum(entry.amount_micro for entry in store.balances([REVENUE]))
    assert earned == sum(each.charge_micro for p in (A, B) for each in store.usage(p, "", "", 100))


def test_focus_says_the_list_price_beside_what_was_paid() -> None:
    store = world()
    fund(store, A, 1000)
    use(store, "j1", A, 20, 7)
    commit(store, scope="project", name=A, take_or_pay=False)
    tiered(store)  # the book for everybody says 9
    run(store)
    period = find_period(store, FIRST.id)
    rows = list(focus_of(store, Project(A, "uni", A), UNI, "City", period, {}, listed_in(store)))
    used = [row for row in rows if row["ChargeCategory"] == "Usage"]
    assert {row["ListUnitPrice"] for row in used} == {"9.0"}
    assert {row["ContractedUnitPrice"] for row in used} == {"7.0", "5.0"}
    assert sum(float(row["ListCost"]) for row in used) == 20 * 9
    assert sum(float(row["ContractedCost"]) for row in used) == 20 * 5
    unlisted = list(focus_of(store, Project(A, "uni", A), UNI, "City", period, {}))
    assert all(row["ListCost"] == row["ContractedCost"] for row in unlisted)


def test_focus_says_what_a_commitment_covered_and_what_was_unused() -> None:
    store = world()
    fund(store, A, 1000)
    use(store, "j1", A, 20, 9)
    commit(store, scope="project", name=A)
    run(store)
    rows = list(focus_of(store, Project(A, "uni", A), UNI, "City", find_period(store, FIRST.id), {}))
    told = {
        (row["CommitmentDiscountStatus"], row["CommitmentDiscountQuantity"], row["BilledCost"])
        for row in rows
        if row.get("CommitmentDiscountId") == "deal"
    }
    assert told == {("Used", "20.0", "100.0"), ("Unused", "80.0", "400.0")}
    assert all(len(in_columns(row)) == len(in_columns(rows[0])) for row in rows)
    assert sum(float(row["BilledCost"]) for row in rows) == 0  # the award paid all of it
    unused = next(row for row in rows if row.get("CommitmentDiscountStatus") == "Unused")
    assert "ConsumedQuantity" not in unused
