"""What charges still cost after a rerating, in sums that never exceed what was paid."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.book.money import MOVED_FROM, MOVED_TO, RERATING, Entry, Txn, UsageRecord
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.rating import CARD_HOUR_MS, rate, rate_moved
from hutong.core.ledger.rerated import Rerated, group_of, saved_of

A = ProjectId("a")


def record(name: str, quantity: int, micro: int, charge: int, method: str = "") -> UsageRecord:
    return UsageRecord(
        name, A, name, "east", "H100", "card_ms", quantity, micro, CARD_HOUR_MS, charge, 0, 1, method=method
    )


def txn(name: str, kind: str, paid: int) -> Txn:
    return Txn(name, kind, A, 0, name, (Entry("lot:l", -paid), Entry("revenue", paid)), site="east")


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 10**8), min_size=1, max_size=6),
    st.integers(1, 10**7),
    st.integers(0, 10**7),
    st.integers(0, 10**9),
)
def test_all_charges_of_a_price_together_save_what_the_rerating_gave_back(
    quantities: list[int], micro: int, target: int, covered: int
) -> None:
    month = Rerated()
    charges = []
    for n, quantity in enumerate(quantities):
        charge = rate(quantity, micro, CARD_HOUR_MS)
        charges.append(record(f"j{n}", quantity, micro, charge))
        month.add(txn(f"j{n}", "usage", charge), charges[-1:])
    moved = min(covered, sum(quantities))
    less, more = rate_moved(-moved, micro, CARD_HOUR_MS), rate_moved(moved, target, CARD_HOUR_MS)
    month.add(
        txn("commitment:deal", RERATING, less + more),
        (
            record("commitment:deal", -moved, micro, less, MOVED_FROM),
            record("commitment:deal", moved, target, more, MOVED_TO),
        ),
    )
    saved = month.saved().get(group_of(charges[0]), 0)
    assert saved == max(0, -less - more)
    parts = [saved_of([each], month.used, month.saved()) for each in charges]
    assert all(0 <= part <= each.charge_micro for part, each in zip(parts, charges, strict=True))
    left = sum(each.charge_micro - part for each, part in zip(charges, parts, strict=True))
    paid = sum(month.payers["east"].values()) if less + more <= 0 else left
    assert left <= max(0, paid) + len(charges)
    assert left >= paid - 2 * len(charges)
