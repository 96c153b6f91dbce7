"""A metered hour, shared out: job + overhead + idle is the meter, to the joule, whatever the figures."""

from hypothesis import given
from hypothesis import strategies as st

from hutong.core.energy.sharing import share

joules = st.integers(0, 10**13)
jobs = st.dictionaries(st.sampled_from("abcdefg"), joules, max_size=7)


@given(joules, joules, jobs)
def test_jobs_idle_and_overhead_sum_to_the_meter_to_the_joule(
    metered: int, it: int, wanted: dict[str, int]
) -> None:
    found = share(metered, it, wanted)
    assert found.jobs_j + found.idle_j + found.overhead_j == metered
    assert sum(found.it.values()) == found.jobs_j
    assert sum(found.overhead.values()) + found.idle_overhead_j == found.overhead_j
    assert found.it.keys() == found.overhead.keys() == wanted.keys()
    assert min((found.idle_j, found.overhead_j, found.idle_overhead_j, *found.it.values())) >= 0
    assert found.scaled == (sum(wanted.values()) > min(it, metered))
    if not found.scaled:
        assert found.it == wanted


@given(joules, jobs)
def test_what_is_scaled_keeps_its_proportions_to_a_joule(it: int, wanted: dict[str, int]) -> None:
    found = share(it, it, wanted)
    total = sum(wanted.values())
    if found.scaled:
        assert found.idle_j == 0
        for name, asked in wanted.items():
            assert abs(found.it[name] * total - asked * it) < total


def test_the_numbers_of_a_small_hour() -> None:
    found = share(1250, 1000, {"a": 600, "b": 200})
    assert (found.it, found.idle_j, found.overhead_j) == ({"a": 600, "b": 200}, 200, 250)
    assert (found.overhead, found.idle_overhead_j) == ({"a": 150, "b": 50}, 50)
    empty = share(1250, 0, {})
    assert (empty.overhead_j, empty.idle_overhead_j) == (1250, 1250)
