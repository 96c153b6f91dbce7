"""Percentiles of waits: those who still wait are counted as what they are."""

from collections import Counter
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.book.waits import bucket_ends_ms
from hutong.core.reports.report import decimal, percent
from hutong.core.reports.service import quantile

COUNTS = st.dictionaries(st.integers(0, 30), st.integers(1, 9), max_size=8)


def survival(started: dict[int, int], censored: dict[int, int]) -> dict[int, Fraction]:
    """Return the share that still waits after each bucket, job by job: each that goes leaves its weight."""
    jobs = sorted(
        [(bucket, 0) for bucket, count in started.items() for _ in range(count)]
        + [(bucket, 1) for bucket, count in censored.items() for _ in range(count)]
    )
    weights, found, still = [Fraction(1, len(jobs))] * len(jobs), {}, Fraction(1)
    for at, (bucket, is_censored) in enumerate(jobs):
        if is_censored:  # to the right: what it weighs goes to those who wait longer
            rest = len(jobs) - at - 1
            for other in range(at + 1, len(jobs)):
                weights[other] += weights[at] / rest
        else:
            still -= weights[at]
        found[bucket] = still
    return found


@given(COUNTS, COUNTS, st.sampled_from([50, 90, 99]))
@settings(max_examples=80, deadline=None)
def test_a_percentile_is_that_of_weights_passed_to_the_right(
    started: dict[int, int], censored: dict[int, int], percentile: int
) -> None:
    within, _ = quantile(started, censored, percentile)
    if not started and not censored:
        assert within is None
        return
    still = survival(started, censored)
    reached = [b for b in sorted(started) if still[b] <= Fraction(100 - percentile, 100)]
    assert within == (bucket_ends_ms(reached[0]) if reached else None)


@given(COUNTS.filter(bool), st.sampled_from([50, 90, 99]))
def test_where_nobody_waits_it_is_the_plain_percentile(started: dict[int, int], percentile: int) -> None:
    jobs = sorted(Counter(started).elements())
    place = -(-len(jobs) * percentile // 100) - 1
    assert quantile(started, {}, percentile)[0] == bucket_ends_ms(jobs[place])


def test_who_still_waits_makes_it_longer_and_may_make_it_unknown() -> None:
    started = {5: 60}
    assert quantile(started, {}, 90)[0] == bucket_ends_ms(5)
    assert quantile(started, {2: 40}, 90)[0] == bucket_ends_ms(5)  # they left before anybody had started
    assert quantile(started, {20: 40}, 50)[0] == bucket_ends_ms(5)
    assert quantile(started, {20: 40}, 90) == (None, bucket_ends_ms(20))


@given(st.integers(-(10**20), 10**20), st.integers(1, 10**9), st.integers(0, 6))
def test_decimals_are_right_to_half_a_digit(value: int, whole: int, places: int) -> None:
    told = Fraction(decimal(value, whole, places))
    assert 2 * abs(told - Fraction(value, whole)) <= Fraction(1, 10**places)


def test_a_share_of_nothing_is_not_to_be_had() -> None:
    assert (percent(1, 0), percent(1, 3), percent(0, 7)) == ("", "33.33", "0.00")
