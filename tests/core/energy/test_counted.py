"""What counters say of attempts: spread over hours to the joule, and nothing where anything is missing."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.book.received import Fate, Kept, Received
from hutong.core.energy.counted import Taken, in_all, in_hour
from hutong.core.kernel.quantities import HOUR_MS

BASIS = "slurm/ipmi: whole nodes"
FIRST = Received("bj", "bj:1:1", 1, "k", "card_ms", 8 * HOUR_MS, 0, HOUR_MS, 1000, BASIS)
SECOND = replace(FIRST, record="bj:1:2", from_ms=2 * HOUR_MS, upto_ms=4 * HOUR_MS, energy_j=501)
BILLED = {"k": 16 * HOUR_MS}


def kept(*told: Received, fate: Fate = Fate.CONFIRMED) -> list[Kept]:
    return [Kept(each, fate) for each in told]


def test_the_starts_of_an_attempt_count_together_each_in_its_time() -> None:
    both = kept(FIRST, SECOND)
    assert in_all(both, BILLED["k"]) == Taken(1501, BASIS)
    told = [in_hour(both, BILLED, hour)["k"].energy_j for hour in range(5)]
    assert told == [1000, 0, 250, 251, 0]


def test_an_attempt_of_which_anything_is_missing_is_not_counted_and_says_why() -> None:
    shared = replace(SECOND, energy_j=None, energy_basis="not counted: it may have shared its nodes")
    assert in_hour(kept(FIRST, shared), BILLED, 0)["k"] == Taken(None, shared.energy_basis)
    assert in_all(kept(FIRST), BILLED["k"]).energy_j is None  # the second start runs, or is not told yet
    assert "does not tell of all" in in_all(kept(FIRST), BILLED["k"]).basis
    assert in_all(kept(FIRST), 8 * HOUR_MS * 100 // 99).energy_j == 1000  # clocks differ a little
    bare = replace(FIRST, energy_j=None, energy_basis="")
    assert (in_hour(kept(bare), BILLED, 0), in_all(kept(bare), 0)) == ({}, Taken(None, ""))


def test_records_that_were_not_matched_with_the_book_count_for_nothing() -> None:
    for fate in (Fate.SUSPENDED, Fate.DISMISSED, Fate.SUPERSEDED):
        assert in_hour(kept(FIRST, fate=fate), {}, 0) == {}
    assert in_all(kept(FIRST, fate=Fate.CORRECTED), 0).energy_j == 1000


@settings(max_examples=40)
@given(st.integers(0, 10**12), st.integers(0, 3 * HOUR_MS), st.integers(1, 9 * HOUR_MS))
def test_hours_sum_to_what_was_counted(energy_j: int, from_ms: int, span_ms: int) -> None:
    one = replace(FIRST, energy_j=energy_j, from_ms=from_ms, upto_ms=from_ms + span_ms)
    parts = [in_hour(kept(one), {}, hour)["k"].energy_j for hour in range(14)]
    assert sum(each or 0 for each in parts) == energy_j
    first, last = one.hours
    assert not any(part for hour, part in enumerate(parts) if not first <= hour < last)


def test_which_hours_a_record_may_change() -> None:
    assert (FIRST.hours, SECOND.hours) == ((0, 1), (2, 4))
    bare = replace(SECOND, energy_j=None)
    assert bare.hours == (0, 0)
    assert replace(bare, revision=2).hours == (2, 4)  # it was counted before, perhaps
