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


@given(joules, joules, jobs, jobs)
def test_a_model_never_wins_over_a_counter(
    metered: int, it: int, modelled: dict[str, int], told: dict[str, int]
) -> None:
    counted = {name.upper(): value for name, value in told.items()}
    found = share(metered, it, modelled, counted)
    there, total = min(metered, it), sum(counted.values())
    assert found.jobs_j + found.idle_j + found.overhead_j == metered
    assert found.it.keys() == found.overhead.keys() == modelled.keys() | counted.keys()
    assert sum(found.overhead.values()) + found.idle_overhead_j == found.overhead_j
    assert found.beyond == (total > there)
    if found.beyond:
        assert (found.jobs_j, found.idle_j) == (there, 0)
        assert not any(found.it[name] for name in modelled)
    else:
        assert all(found.it[name] == value for name, value in counted.items())
        assert sum(found.it[name] for name in modelled) == min(sum(modelled.values()), there - total)
    assert found.scaled == (total + sum(modelled.values()) > there)


def test_the_numbers_of_a_small_hour() -> None:
    found = share(1250, 1000, {"a": 600, "b": 200})
    assert (found.it, found.idle_j, found.overhead_j) == ({"a": 600, "b": 200}, 200, 250)
    assert (found.overhead, found.idle_overhead_j) == ({"a": 150, "b": 50}, 50)
    empty = share(1250, 0, {})
    assert (empty.overhead_j, empty.idle_overhead_j) == (1250, 1250)
    mixed = share(1250, 1000, {"a": 600, "b": 200}, {"c": 600})
    assert (mixed.it, mixed.scaled, mixed.beyond) == ({"a": 300, "b": 100, "c": 600}, True, False)
