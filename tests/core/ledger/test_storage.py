"""Storage by the day: what a month is charged does not hang on how it was cut, nor on what lots pay."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.accounts.registry import FOREVER_MS
from hutong.core.book.money import REVENUE, Lot, LotKind, UsageRecord
from hutong.core.book.prices import Price, Tier
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.core.ledger.prices import GB_DAY_BYTE_HOURS, rate_tiers
from hutong.core.ledger.replay import replay
from hutong.core.ledger.storage import Day, Kept, book_day, byte_hours

P = ProjectId("lab")
GB = 10**9


def day(number: int) -> Day:
    return Day(f"2027-03-{number:02}", number * DAY_MS, (number + 1) * DAY_MS)


def price(micro: int, *tiers: Tier) -> Price:
    return Price("b.1", 0, FOREVER_MS, micro, GB_DAY_BYTE_HOURS, "agreed", "op", 0, tiers)


def lot(posted: int) -> Lot:
    return Lot(LotId("a"), P, LotKind.AWARD, 10**6, 0, FOREVER_MS, posted)


quantities = st.lists(st.integers(0, 10**15), max_size=10)
tiered = st.builds(
    price, st.integers(1, 10**7), st.just(Tier(10**14, 0)), st.builds(Tier, st.just(10**15), st.just(7))
)


@settings(max_examples=200)
@given(quantities, tiered, st.integers(0, 10**9))
def test_days_add_up_to_the_month_and_replay(amounts: list[int], agreed: Price, funds: int) -> None:
    records: list[UsageRecord] = []
    txns = []
    left = funds
    for number, quantity in enumerate(amounts, 1):
        posting = book_day(P, day(number), quantity, agreed, records, [lot(left)], DAY_MS)
        records += posting.usage
        txns += posting.txns
        left += sum(leg.amount_micro for txn in posting.txns for leg in txn.entries if leg.account == "lot:a")
        assert sum(each.quantity for each in posting.usage) == quantity
        assert len({each.id for each in posting.usage}) == len(posting.usage)
    assert left >= 0
    charged = sum(each.charge_micro for each in records)
    assert charged == rate_tiers(agreed, sum(amounts))
    assert charged == sum(leg.amount_micro for txn in txns for leg in txn.entries if leg.account == REVENUE)
    assert replay(txns, records).faults == ()


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 10**12), st.integers(1, 50)), min_size=2, max_size=10))
def test_a_price_that_changes_within_the_month_rates_its_own_part(days: list[tuple[int, int]]) -> None:
    records: list[UsageRecord] = []
    txns = []
    for number, (quantity, micro) in enumerate(days, 1):
        posting = book_day(P, day(number), quantity, price(micro), records, [], DAY_MS)
        records += posting.usage
        txns += posting.txns
    assert replay(txns, records).faults == ()


def test_the_same_content_is_kept_once_and_from_when_it_came() -> None:
    one = Kept("sha256:a", 3 * GB, 0)
    assert byte_hours([one, Kept("sha256:a", 3 * GB, DAY_MS)], day(1)) == 72 * GB
    late = Kept("sha256:b", GB, DAY_MS + 12 * HOUR_MS)
    assert byte_hours([one, late], day(1)) == 84 * GB
    assert byte_hours([Kept("sha256:c", GB, 9 * DAY_MS)], day(1)) == 0
