"""Use as a source tells it: the same confirms, more or less corrects the newest record, the rest waits."""

import pytest

from hutong.core.book.money import UsageRecord
from hutong.core.book.periods import Period, PeriodState
from hutong.core.book.received import Received
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.matching import match
from hutong.core.ledger.settlement import Share, pay_out, settle_period

LAB = ProjectId("lab")


def used(name: str, quantity: int, upto_ms: int, reverses: str = "") -> UsageRecord:
    return UsageRecord(
        name, LAB, "k", "bj", "H100", "card_ms", quantity, 1, 1, 0, 0, upto_ms, reverses=reverses
    )


USAGE = (used("a", 300_000, 1), used("b", 100_000, 2))


def told(quantity: int, unit: str = "card_ms") -> Received:
    return Received("slurm", "1", 1, "k", unit, quantity, 0, 5)


def test_what_agrees_within_a_second_a_card_confirms() -> None:
    assert match(told(408_000), 8, True, USAGE).correct is None
    assert match(told(408_000), 8, True, USAGE).suspend == ""


def test_a_difference_goes_to_the_newest_record_in_force() -> None:
    found = match(told(450_000), 1, True, USAGE)
    assert found.correct == (USAGE[1], 150_000)
    after = (*USAGE, used("b-", -100_000, 2, "b"), used("b2", 150_000, 2))
    assert match(told(450_000), 1, True, after).correct is None
    assert match(told(420_000), 1, True, after).correct == (after[-1], 120_000)


@pytest.mark.parametrize(
    ("quantity", "unit", "cards", "settled"),
    [
        (1, "card_ms", 1, True),
        (400_000, "watts", 1, True),
        (400_000, "card_ms", 0, True),
        (400_000, "card_ms", 1, False),
    ],
)
def test_what_cannot_be_matched_says_why(quantity: int, unit: str, cards: int, settled: bool) -> None:
    found = match(told(quantity, unit), cards, settled, USAGE)
    assert found.suspend
    assert found.correct is None


def test_a_centre_gets_the_share_of_the_periods_begin_rounded_down_once() -> None:
    period = Period("2026-11", 100, 200, PeriodState.CLOSED)
    shares = {"bj": (Share(0, 500_000), Share(100, 700_000), Share(101, 900_000)), "sh": ()}
    (txn,) = settle_period(period, {"bj": 11, "sh": 50, "tj": 9}, shares)
    assert [entry.amount_micro for entry in txn.entries] == [-7, 7]
    assert (txn.id, txn.effective_ms, txn.site) == ("settle:2026-11:bj", 200, "bj")
    with pytest.raises(Conflict):
        settle_period(Period("2026-11", 100, 200), {}, shares)
    with pytest.raises(Conflict):
        pay_out("bj", 8, 7, "r", 5)
