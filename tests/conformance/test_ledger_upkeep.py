"""What every store remembers of what is still to be done with money, and that each is done once."""

from dataclasses import replace

import pytest
from book_samples import EAST, P, charge, decide, ended, fund, key_of, run, turn

from hutong.core.accounts.registry import FOREVER_MS
from hutong.core.book.money import Entry, Posting, Txn, Waiver
from hutong.core.book.prices import Book, Books, Price, Timeline
from hutong.core.book.store import Record, Store
from hutong.core.catalog.models import Lineage, Model
from hutong.core.kernel.errors import Conflict, NotFound
from hutong.core.kernel.ids import LotId
from hutong.core.ledger.giving_back import give_back
from hutong.core.ledger.prices import GB_DAY_BYTE_HOURS
from hutong.core.work import facts as f
from hutong.core.work.facts import OutputFile
from hutong.core.work.states import AttemptState, Category, JobState
from hutong.server.registry import document
from hutong.server.storage import day_of
from hutong.server.upkeep import AGAIN_MS, Keeper


def test_a_waiver_is_written_with_the_facts_that_cause_it_and_stays_until_it_is_done(store: Store) -> None:
    run(store, 1, 100)
    broken = replace(ended(1, AttemptState.FAILED), category=Category.INFRA)
    store.report(EAST, [f.Report(key_of(1), broken)], None, 200)
    waiver = Waiver(key_of(1), P, 7, "infra at east: gone")
    turn(store, 300, decide(store, 1, 300, f.Finished(JobState.FAILED, ""), waiver=waiver))
    assert store.waivers(10) == (waiver,)
    assert store.waivers(0) == ()
    Keeper(store, lambda: 400).step()
    assert store.waivers(10) == ()
    store.drop_waiver(key_of(1))


def test_more_than_was_paid_is_never_given_back_whatever_it_is_called(store: Store) -> None:
    fund(store, "a1", 1000)
    txn, used = charge("k", "a1", 100)
    assert store.post(Posting((txn,), usage=(replace(used, unit="token_in"),)))
    part = give_back(txn, (), 60, "refunded", "refund", "slow")
    assert part is not None
    assert store.post(Posting((part,)))
    assert not store.post(Posting((part,)))
    again = replace(part, id="other", reverses_from=60)
    with pytest.raises(Conflict) as over:
        store.post(Posting((again,)))
    assert over.value.code == "reversed"
    assert store.reversals([txn.id]) == (part,)
    assert store.txn(part.id) == part
    assert store.lots(P)[0].posted_micro == 960
    assert store.check_ledger().faults == ()


def test_a_lot_that_ended_is_due_until_nothing_is_left_and_again_when_something_returns(store: Store) -> None:
    fund(store, "a1", 1000)
    txn, used = charge("k", "a1", 100)
    assert store.post(Posting((txn,), usage=(used,)))
    end_ms = store.lots(P)[0].ends_ms
    assert store.due_lots(end_ms - 1, 10) == ()
    assert [each.id for each in store.due_lots(end_ms, 10)] == ["a1"]
    keeper = Keeper(store, lambda: end_ms)
    assert keeper.step() == 1
    assert keeper.step() == 0
    assert store.due_lots(end_ms + 10 * AGAIN_MS, 10) == ()
    back = give_back(txn, (), 30, "refunded", "refund", "slow")
    assert back is not None
    assert store.post(Posting((back,)))
    assert [each.available_micro for each in store.due_lots(end_ms, 10)] == [30]
    assert Keeper(store, lambda: end_ms + 1).step() == 1
    assert store.balances(["expired"])[0].amount_micro == 930
    with pytest.raises(NotFound):
        store.claim_lot(LotId("none"), 5)


def test_a_centre_is_never_paid_more_than_it_is_owed(store: Store) -> None:
    fund(store, "a1", 1000)
    due = (Entry("revenue", -50), Entry("settlement:east", 50))
    assert store.post(Posting((Txn("settle", "settlement", P, 5, "p", due, site="east"),)))
    for name, amount, fits in (("one", 30, True), ("two", 30, False), ("three", 20, True)):
        legs = (Entry("settlement:east", -amount), Entry("paid_out", amount))
        payout = Posting((Txn(name, "payout", P, 6, "east", legs, site="east"),))
        if fits:
            assert store.post(payout)
        else:
            with pytest.raises(Conflict, match="settlement:east"):
                store.post(payout)
    assert store.balances(["settlement:east"])[0].amount_micro == 0


def test_storage_is_booked_for_a_day_that_is_over_and_what_no_lot_pays_is_owed(store: Store) -> None:
    fund(store, "a1", 400_000)
    day = day_of("2027-03-30", "Asia/Shanghai")
    price = Price("all.1", 0, FOREVER_MS, 10_000, GB_DAY_BYTE_HOURS, "agreed", "op", 0)
    line = Timeline("all", "storage", (price,))
    files = (OutputFile("w.safetensors", 100 * 10**9, "sha256:" + "0" * 64),)
    model = Model(P, "m", 1, "", 10**11, files, Lineage("j", 1, "bj", "H100", {}, {}), 0, "li")
    store.put(Record("price_book", "all", document(Books((Book("all", ""),)))))
    store.put(Record("price", line.id, document(line), "all"))
    store.put(Record("model", model.id, document(model), f"{P}/m"))
    store.put(Record("project", P, {"id": P, "institution": "uni", "title": ""}, "uni"))
    keeper = Keeper(store, lambda: day.upto_ms + 1)
    while keeper.step():
        pass
    (record,) = store.usage(P, "", "", 10)
    assert (record.unit, record.charge_micro, record.site) == ("byte_hour", 1_000_000, "")
    (txn,) = [each for each in store.txns(P, record.key, "", 10) if each.kind == "usage"]
    assert txn.id == record.id
    assert store.check_ledger().faults == ()
