"""A site's accounting beside what was billed: what agrees, what is corrected, what a person decides."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.book.money import UsageRecord
from hutong.core.book.received import Received
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.metering import Limits, doubt, gap, weigh
from hutong.core.work.fold import Attempt

LAB = ProjectId("lab")
LIMITS = Limits()
T0 = 1_795_000_000_000
KEY = "ht-01jd0000000000000000000000-a1"
HOUR = 3_600_000
ATTEMPT = Attempt(
    1, "bj", "p", "H100", 2, 8, 1, 1200, 700, T0 - 5_000, dispatched_ms=T0 - 4_000, started_ms=T0,
    ended_ms=T0 + HOUR, settled=True,
)  # fmt: skip


def start(from_ms: int, upto_ms: int, cards: int = 8, name: str = "c:1:1") -> Received:
    return Received("bj", name, 1, KEY, "card_ms", cards * (upto_ms - from_ms), from_ms, upto_ms)


def used(card_ms: int, name: str = "use:1") -> UsageRecord:
    return UsageRecord(name, LAB, KEY, "bj", "H100", "card_ms", card_ms, 1, 1, 0, T0, T0 + card_ms // 8)


def test_preparation_and_clean_up_are_held_and_not_billed() -> None:
    told = start(T0 - 20 * 60_000, T0 + HOUR + 45_000)
    found = gap([told], 8, T0, 8 * HOUR, LIMITS)
    assert found.card_ms == 0
    assert found.unbilled_card_ms == 8 * (20 * 60_000 + 45_000)
    assert weigh([told], ATTEMPT, [used(8 * HOUR)], LIMITS).correct is None
    assert weigh([told], ATTEMPT, [used(8 * HOUR)], LIMITS).suspend == ""


def test_an_attempt_that_never_ran_was_billed_nothing_and_that_is_right() -> None:
    never = replace(ATTEMPT, started_ms=0)
    assert not weigh([start(T0, T0 + 90_000)], never, (), LIMITS).suspend
    long = weigh([start(T0, T0 + 3 * HOUR)], never, (), LIMITS)
    assert "a person" in long.suspend


def test_a_job_that_waited_for_another_is_told_by_its_start_not_its_submission() -> None:
    # 77 h lie between submission and start, 7 h between start and end: only these are told, and confirmed.
    ran = start(T0, T0 + 7 * HOUR)
    assert weigh([ran], ATTEMPT, [used(8 * 7 * HOUR)], LIMITS).correct is None
    wrong = start(T0 - 77 * HOUR, T0 + 7 * HOUR)
    assert "another job" in doubt(wrong, "bj", ATTEMPT, T0 + 8 * HOUR, LIMITS)


def test_a_count_of_nodes_applied_twice_is_far_off_and_waits_for_a_person() -> None:
    found = weigh([start(T0, T0 + HOUR, cards=16)], ATTEMPT, [used(8 * HOUR)], LIMITS)
    assert "above the" in found.suspend
    assert found.correct is None


def test_a_small_difference_corrects_and_a_great_one_waits_unless_a_person_decides() -> None:
    less = start(T0, T0 + HOUR - 300_000)
    assert weigh([less], ATTEMPT, [used(8 * HOUR)], LIMITS).correct == (used(8 * HOUR), less.quantity)
    half = start(T0, T0 + HOUR // 2)
    assert "less than" in weigh([half], ATTEMPT, [used(8 * HOUR)], LIMITS).suspend
    assert weigh([half], ATTEMPT, [used(8 * HOUR)], LIMITS, by_hand=True).correct == (
        used(8 * HOUR),
        half.quantity,
    )


def test_all_starts_of_a_requeued_job_count_together() -> None:
    first, second = start(T0, T0 + HOUR // 2), start(T0 + HOUR, T0 + HOUR + HOUR // 2, name="c:1:2")
    assert weigh([first, second], ATTEMPT, [used(8 * HOUR)], LIMITS).correct is None
    assert not weigh([first, second], ATTEMPT, [used(8 * HOUR)], LIMITS).suspend


@pytest.mark.parametrize("ahead_ms", [0, LIMITS.skew_ms])
def test_a_clock_that_is_a_little_wrong_is_no_doubt(ahead_ms: int) -> None:
    assert doubt(start(T0, T0 + HOUR + ahead_ms), "bj", ATTEMPT, T0 + HOUR, LIMITS) == ""
    early = start(ATTEMPT.dispatched_ms - ahead_ms, T0 + HOUR)
    assert doubt(early, "bj", ATTEMPT, T0 + HOUR, LIMITS) == ""


def test_a_clock_that_is_far_off_and_another_sites_attempt_say_so() -> None:
    late = start(T0, T0 + HOUR + LIMITS.skew_ms + 1_000)
    assert "clock" in doubt(late, "bj", ATTEMPT, T0 + HOUR, LIMITS)
    assert "ran at bj" in doubt(start(T0, T0 + 1), "sh", ATTEMPT, T0 + HOUR, LIMITS)


def test_what_is_not_settled_waits() -> None:
    found = weigh([start(T0, T0 + HOUR)], replace(ATTEMPT, settled=False), (), LIMITS)
    assert "not settled" in found.suspend


spans = st.lists(st.tuples(st.integers(0, HOUR), st.integers(0, HOUR)), min_size=1, max_size=4)


@given(spans, st.integers(0, 4 * HOUR), st.integers(1, 64))
def test_once_corrected_the_book_agrees_and_is_never_above_what_was_held(
    parts: list[tuple[int, int]], ran_ms: int, cards: int
) -> None:
    told, at_ms = [], T0
    for n, (before, length) in enumerate(parts):
        at_ms += before
        told.append(start(at_ms, at_ms + length, cards, f"c:1:{n}"))
        at_ms += length
    attempt = replace(ATTEMPT, cards=cards, started_ms=T0)
    held = sum(each.quantity for each in told)
    before = used(cards * ran_ms)
    found = weigh(told, attempt, [before], LIMITS, by_hand=True)
    slack = cards * LIMITS.slack_ms * len(told)
    if found.correct is None:
        assert before.quantity <= held + slack
        return
    assert found.correct[1] <= held
    after = weigh(told, attempt, [used(found.correct[1])], LIMITS)
    assert after.correct is None
    assert not after.suspend


@given(spans, st.integers(0, 4 * HOUR), st.randoms())
def test_in_whatever_order_starts_come_the_book_ends_the_same(
    parts: list[tuple[int, int]], ran_ms: int, dice: Random
) -> None:
    told, at_ms = [], T0
    for n, (before, length) in enumerate(parts):
        told.append(start(at_ms + before, at_ms + before + length, name=f"c:1:{n}"))
        at_ms += before + length

    def book(order: list[Received]) -> int:
        usage, again = [used(8 * ran_ms)], False
        for n in range(len(order)):
            found = weigh(order[: n + 1], ATTEMPT, usage, LIMITS, by_hand=True, again=again)
            if found.correct is not None:
                record, quantity = found.correct
                counter = replace(record, id=f"{record.id}-", quantity=-record.quantity, reverses=record.id)
                fresh = replace(record, id=f"use:1~r{n}", quantity=quantity, revision=record.revision + 1)
                usage, again = [*usage, replace(counter, revision=record.revision + 1), fresh], True
        return sum(each.quantity for each in usage)

    other = list(told)
    dice.shuffle(other)
    assert book(told) == book(other)
