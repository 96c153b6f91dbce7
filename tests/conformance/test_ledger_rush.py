"""Ten thousand holds and settlements at once on one lot that has money for half of them."""

import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from book_samples import P, fund, lot

from hutong.adapters.store.open import open_store
from hutong.core.book.money import (
    REVENUE,
    Entry,
    HoldChange,
    HoldPart,
    Posting,
    Txn,
    UsageRecord,
    lot_account,
)
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import LotId

PAIRS, REPLICAS, THREADS = 10_000, 2, 32
HELD, CHARGE, AGAIN = 100, 60, 0.3
MONEY = PAIRS // 2 * CHARGE
LOT = LotId("a1")


def opening(key: str) -> Posting:
    return Posting(holds=(HoldChange(key, P, (HoldPart(LOT, HELD),)),))


def closing(key: str) -> Posting:
    legs = (Entry(lot_account(LOT), -CHARGE), Entry(REVENUE, CHARGE))
    back = HoldChange(key, P, (HoldPart(LOT, -HELD),), closes=True)
    used = UsageRecord(key, P, key, "east", "m", "token_in", CHARGE, 1, 1, CHARGE, 1, 2)
    return Posting((Txn(f"use:{key}", "tokens", P, 50, key, legs),), (back,), (used,))


def pair(store: Store, n: int, chance: random.Random) -> str:
    """Hold and settle, with 30 % of the messages sent twice; say what became of it."""
    key = f"k{n:05d}"
    try:
        assert store.post(opening(key))
    except Conflict as conflict:
        return conflict.code
    if chance.random() < AGAIN:
        with pytest.raises(Conflict, match="already open"):
            store.post(opening(key))
    assert store.post(closing(key))
    if chance.random() < AGAIN:
        assert not store.post(closing(key))
    return "paid"


@pytest.mark.slow
def test_ten_thousand_pairs_on_one_lot_overspend_nothing_and_lose_nothing(
    new_database: Callable[[], str],
) -> None:
    url = new_database()
    stores = [open_store(url) for _ in range(REPLICAS)]
    fund(stores[0], LOT, MONEY)
    answers: Counter[str] = Counter()
    paid: set[str] = set()

    def some(first: int) -> None:
        chance = random.Random(first)
        mine: Counter[str] = Counter()
        for n in range(first, PAIRS, THREADS):
            try:
                answer = pair(stores[first % REPLICAS], n, chance)
            except Exception as error:
                answer = f"{type(error).__name__}: {error}"
            mine[answer] += 1
            if answer == "paid":
                paid.add(f"k{n:05d}")
        answers.update(mine)

    threads = [threading.Thread(target=some, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(280)
    assert sum(answers.values()) == PAIRS
    assert answers.keys() <= {"paid", "insufficient_funds"}
    (left,) = stores[0].lots(P)
    assert left.held_micro == 0
    assert left.posted_micro == MONEY - CHARGE * answers["paid"] >= 0
    assert left.posted_micro < HELD + (THREADS - 1) * HELD, "what was refused, was refused for want of money"
    assert stores[0].balances([REVENUE])[0].amount_micro == CHARGE * answers["paid"]
    recorded: set[str] = set()
    while page := stores[0].usage(P, "", max(recorded, default=""), 1000):
        recorded |= {used.id for used in page}
    assert recorded == paid, "no record is lost, none is there twice"
    assert stores[0].check_ledger().faults == ()
    for store in stores:
        store.close()


def test_one_bad_posting_of_many_that_wait_harms_none_of_the_others(store: Store) -> None:
    """Group commit is nobody's business: each answer is what it would have been alone."""
    fund(store, LOT, 1000)
    assert store.open_lot(lot("a2"), Txn("fill-a2", "award", P, 1, "lot:a2", (Entry("issued", 0),)))
    gate = threading.Barrier(24)
    answers: Counter[str] = Counter()

    def one(n: int) -> None:
        key = f"h{n // 2}"  # every hold is asked for twice
        amount = 10**6 if n // 2 == 3 else HELD
        gate.wait(60)
        try:
            store.post(Posting(holds=(HoldChange(key, P, (HoldPart(LOT, amount),)),)))
            answers["held"] += 1
        except Conflict as conflict:
            answers[conflict.code] += 1

    threads = [threading.Thread(target=one, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers["held"] == 10
    assert answers["hold_exists"] + answers["insufficient_funds"] == 14
    assert store.lots(P)[0].held_micro == 1000
    assert store.check_ledger().faults == ()
