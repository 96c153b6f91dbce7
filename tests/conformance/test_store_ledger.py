"""What every store promises about money: balanced, immutable, once, never more than there is."""

from dataclasses import replace

import pytest
from book_samples import P, Q, charge, filling, fund, hold, lot, overspend, repayment

from hutong.core.book.money import (
    ISSUED,
    REVENUE,
    Entry,
    HoldPart,
    LotKind,
    Posting,
    Txn,
    lot_account,
    overrun_account,
)
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Broken, Conflict, NotFound
from hutong.core.kernel.ids import LotId


def money(store: Store) -> list[tuple[int, int]]:
    return [(each.posted_micro, each.held_micro) for each in store.lots(P)]


def test_a_lot_opens_once_with_what_fills_it(store: Store) -> None:
    assert store.open_lot(replace(lot("a1"), posted_micro=7, held_micro=7), filling("a1", 1000))
    assert not store.open_lot(lot("a1"), filling("a1", 1000))
    (found,) = store.lots(P)
    assert found == replace(lot("a1"), posted_micro=1000)
    assert found.available_micro == 1000
    assert store.lots(Q) == ()
    with pytest.raises(Conflict):
        store.open_lot(lot("a1"), replace(filling("a1", 5), id="other"))
    with pytest.raises(Broken):
        store.open_lot(lot("a2"), Txn("t2", "award", P, 0, "a2", (Entry(ISSUED, -5),)))
    assert len(store.lots(P)) == 1
    assert store.open_lot(lot("a2"), filling("a2", 10))


def test_the_span_of_a_lot_changes_and_what_is_held_stays_held(store: Store) -> None:
    fund(store, "a1", 1000)
    store.post(Posting(holds=(hold("k", ("a1", 300)),)))
    assert store.span_lot(LotId("a1"), 700, 700)
    assert not store.span_lot(LotId("a1"), 700, 700)
    (found,) = store.lots(P)
    assert (found.starts_ms, found.ends_ms, found.posted_micro, found.held_micro) == (700, 700, 1000, 300)
    with pytest.raises(NotFound):
        store.span_lot(LotId("a2"), 0, 1)


def test_lots_pay_vouchers_first_then_what_ends_first(store: Store) -> None:
    for name, kind, ends in (
        ("b", LotKind.AWARD, 500),
        ("a", LotKind.TOPUP, 500),
        ("c", LotKind.AWARD, 100),
        ("d", LotKind.VOUCHER, 900),
        ("e", LotKind.VOUCHER, 800),
    ):
        store.open_lot(lot(name, kind, ends_ms=ends), filling(name, 10))
    assert [each.id for each in store.lots(P)] == ["e", "d", "c", "a", "b"]


def test_a_transaction_sums_to_zero_or_is_not_there(store: Store) -> None:
    fund(store, "a1", 1000)
    legs = (Entry(lot_account(LotId("a1")), -5), Entry(REVENUE, 4))
    with pytest.raises(Broken):
        store.post(Posting((Txn("t1", "usage", P, 0, "k", legs),)))
    assert money(store) == [(1000, 0)]
    assert [txn.id for txn in store.txns(P, "", "", 10)] == ["award-a1"]


def test_the_same_transaction_again_is_success_once(store: Store) -> None:
    fund(store, "a1", 1000)
    txn, used = charge("k", "a1", 100)
    posting = Posting((txn,), (hold("h", ("a1", 50)),), (used,))
    assert store.post(posting)
    assert not store.post(posting)
    assert money(store) == [(900, 50)]
    assert store.usage(P, "k", "", 10) == (used,)


def test_a_posting_is_one_unit(store: Store) -> None:
    fund(store, "a1", 1000)
    txn, used = charge("k", "a1", 100)
    other, more = charge("k", "a1", 100, step=2)
    assert store.post(Posting((txn,), usage=(used,)))
    with pytest.raises(Conflict):
        store.post(Posting((other, txn), usage=(more,)))
    with pytest.raises(Conflict):
        store.post(Posting((other,), (hold("h", ("a1", 5)),), (used,)))
    with pytest.raises(Conflict):
        store.post(Posting((other,), (hold("h", ("a1", 901)),), (more,)))
    assert money(store) == [(900, 0)]
    assert store.hold("h") is None
    assert len(store.txns(P, "", "", 10)) == 2
    assert store.usage(P, "", "", 10) == (used,)


def test_a_hold_fits_its_lot_or_is_refused(store: Store) -> None:
    fund(store, "a1", 1000)
    assert store.post(Posting(holds=(hold("h1", ("a1", 1000)),)))
    with pytest.raises(Conflict) as short:
        store.post(Posting(holds=(hold("h2", ("a1", 1)),)))
    assert short.value.code == "insufficient_funds"
    with pytest.raises(Broken):
        store.post(Posting(holds=(hold("h3", ("none", 1)),)))
    assert money(store) == [(1000, 1000)]


def test_use_never_takes_what_is_held(store: Store) -> None:
    fund(store, "a1", 1000)
    store.post(Posting(holds=(hold("h1", ("a1", 950)),)))
    with pytest.raises(Conflict):
        store.post(Posting((charge("k", "a1", 51)[0],)))
    assert store.post(Posting((charge("k", "a1", 50)[0],)))
    assert money(store) == [(950, 950)]


def test_a_hold_opens_once_and_never_again(store: Store) -> None:
    fund(store, "a1", 1000)
    opening = Posting(holds=(hold("h", ("a1", 300)),))
    assert store.post(opening)
    with pytest.raises(Conflict):
        store.post(opening)
    with pytest.raises(Broken):
        store.post(Posting(holds=(hold("h", ("a1", -100), closes=True),)))
    with pytest.raises(Broken):
        store.post(Posting(holds=(hold("h", ("a1", -301)),)))
    with pytest.raises(Broken):
        store.post(Posting(holds=(hold("h", ("a1", -1), project=Q),)))
    assert money(store) == [(1000, 300)]
    assert store.post(Posting(holds=(hold("h", ("a1", -300), closes=True),)))
    for again in (opening, Posting(holds=(hold("h", closes=True),))):
        with pytest.raises(Conflict) as closed:
            store.post(again)
        assert closed.value.code == "hold_closed"
    assert money(store) == [(1000, 0)]
    assert store.hold("h") is None


def test_holds_are_listed_as_what_would_open_them_in_draw_order(store: Store) -> None:
    for name in ("a1", "a2", "a3"):
        fund(store, name, 1000)
    store.post(Posting(holds=(hold("h2", ("a3", 30), ("a1", 10), ("a2", 20)), hold("h1", ("a1", 5)))))
    txn, _ = charge("k", "a1", 10)
    store.post(Posting((txn,), (hold("h2", ("a1", -10), ("a2", 5)),)))
    expected = hold("h2", ("a3", 30), ("a2", 25))
    assert store.hold("h2") == expected
    assert store.holds(P, 10) == (hold("h1", ("a1", 5)), expected)
    assert store.holds(P, 1) == (hold("h1", ("a1", 5)),)
    assert store.holds(Q, 10) == ()


def test_one_posting_may_move_a_hold_twice(store: Store) -> None:
    fund(store, "a1", 1000)
    txn, _ = charge("k", "a1", 10)
    store.post(Posting((txn,), (hold("h", ("a1", 30)), hold("h", ("a1", -30), closes=True))))
    assert store.hold("h") is None
    assert money(store) == [(990, 0)]


def test_transactions_and_usage_are_paged_by_id(store: Store) -> None:
    fund(store, "a1", 1000)
    for step in range(1, 6):
        txn, used = charge("k" if step % 2 else "m", "a1", step, step)
        assert store.post(Posting((txn,), usage=(used,)))
    ids = [txn.id for txn in store.txns(P, "", "", 100)]
    assert ids == ["award-a1", "use-k-1", "use-k-3", "use-k-5", "use-m-2", "use-m-4"]
    assert [txn.id for txn in store.txns(P, "k", "use-k-1", 1)] == ["use-k-3"]
    assert [used.id for used in store.usage(P, "", "use-k-3", 2)] == ["use-k-5", "use-m-2"]
    assert [used.id for used in store.usage(P, "m", "", 10)] == ["use-m-2", "use-m-4"]
    assert store.txns(Q, "", "", 10) == store.txns(P, "none", "", 10) == ()
    assert store.txns(P, "k", "", 1) == (charge("k", "a1", 1, 1)[0],)


def test_a_span_reads_what_ends_in_it_and_nothing_else(store: Store) -> None:
    fund(store, "a1", 1000)
    for step in range(1, 6):
        txn, used = charge("k", "a1", step, step)
        txn, used = replace(txn, effective_ms=step * 100), replace(used, upto_ms=step * 100)
        assert store.post(Posting((txn,), usage=(used,)))
    assert [used.id for used in store.usage(P, "", "", 10, (200, 400))] == ["use-k-2", "use-k-3"]
    assert [txn.id for txn in store.txns(P, "", "", 10, (200, 400))] == ["use-k-2", "use-k-3"]
    assert [txn.id for txn in store.txns(P, "", "use-k-2", 10, (200, 500))] == ["use-k-3", "use-k-4"]


def test_balances_of_any_account(store: Store) -> None:
    fund(store, "a1", 1000)
    legs = (Entry(overrun_account(P), -7), Entry(REVENUE, 7))
    store.post(Posting((Txn("over", "usage", P, 0, "k", legs),)))
    names = [REVENUE, "nobody", ISSUED, lot_account(LotId("a1")), overrun_account(P), REVENUE]
    assert [each.amount_micro for each in store.balances(names)] == [7, 0, -1000, 1000, -7, 7]
    assert [each.account for each in store.balances(names)] == names
    assert store.balances([]) == ()


def owed(store: Store) -> int:
    return -store.balances([overrun_account(P)])[0].amount_micro


def test_a_new_lot_pays_back_a_debt_in_the_transaction_that_fills_it(store: Store) -> None:
    overspend(store, "1", 70)
    grant = (filling("a1", 100), repayment("repay:a1", "a1", 70))
    assert store.open_lot(lot("a1"), *grant)
    assert not store.open_lot(lot("a1"), *grant)
    assert not store.open_lot(lot("a1"), filling("a1", 100))
    assert (money(store), owed(store)) == ([(30, 0)], 0)
    assert [txn.id for txn in store.txns(P, f"debt:{P}", "", 10)] == ["repay:a1"]
    assert store.check_ledger().faults == ()


def test_no_more_is_paid_back_than_is_owed_and_a_lot_that_would_is_not_opened(store: Store) -> None:
    overspend(store, "1", 70)
    with pytest.raises(Conflict) as over:
        store.open_lot(lot("a1"), filling("a1", 100), repayment("repay:a1", "a1", 71))
    assert over.value.code == "debt_repaid"
    assert (store.lots(P), owed(store)) == ((), 70)
    fund(store, "a1", 100)
    with pytest.raises(Conflict):
        store.post(Posting((repayment("r", "a1", 71),)))
    with pytest.raises(Conflict):
        store.post(Posting((repayment("r", "a1", 5, Q),)))
    assert store.post(Posting((repayment("r1", "a1", 30),)))
    assert not store.post(Posting((repayment("r1", "a1", 30),)))
    assert store.post(Posting((repayment("r2", "a1", 40),)))
    with pytest.raises(Conflict):
        store.post(Posting((repayment("r3", "a1", 1),)))
    assert (money(store), owed(store)) == ([(30, 0)], 0)
    assert store.check_ledger().faults == ()


def test_what_is_held_pays_back_nothing(store: Store) -> None:
    fund(store, "a1", 100)
    store.post(Posting(holds=(hold("h", ("a1", 60)),)))
    overspend(store, "1", 70)
    with pytest.raises(Conflict) as short:
        store.post(Posting((repayment("r", "a1", 41),)))
    assert short.value.code == "insufficient_funds"
    assert store.post(Posting((repayment("r", "a1", 40),)))
    assert (money(store), owed(store)) == ([(60, 60)], 30)


def test_amounts_beyond_32_bits_are_exact(store: Store) -> None:
    fund(store, "a1", 9 * 10**18)
    store.post(Posting(holds=(hold("h", ("a1", 9 * 10**18 - 1)),)))
    assert money(store) == [(9 * 10**18, 9 * 10**18 - 1)]
    assert store.check_ledger().faults == ()


def test_the_audit_finds_revenue_and_use_that_differ(store: Store) -> None:
    fund(store, "a1", 1000)
    txn, used = charge("request 1", "a1", 100)
    store.post(Posting((txn,), usage=(replace(used, unit="token_in"),)))
    assert store.check_ledger().faults == ()
    store.post(Posting((charge("request 2", "a1", 50)[0],)))
    (fault,) = store.check_ledger().faults
    assert "request 2" in fault
    txn, used = charge("request 2", "a1", 0, step=2)
    store.post(Posting((txn,), usage=(replace(used, charge_micro=50, unit="token_in"),)))
    assert store.check_ledger().faults == ()
    assert HoldPart(LotId("a1"), 1) not in [part for each in store.holds(P, 10) for part in each.parts]
