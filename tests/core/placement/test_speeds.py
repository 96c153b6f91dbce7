"""Expected speeds: nameplates first, outvoted by runs; few runs win nothing; what they change in a score."""

import math

from hypothesis import given
from hypothesis import strategies as st

from hutong.core.book.runs import MOST_RUNS, Run, Runs, merged, work_mn
from hutong.core.placement.speeds import Speed, speeds_of
from hutong.core.work.spec import Ask

BOTH = (Ask("H100", 8), Ask("Ascend910B", 8))


def ppm(speeds: tuple[Speed, ...]) -> dict[str, int]:
    """Return the speeds by accelerator."""
    return {each.accelerator: each.ppm for each in speeds}


def runs(chip: str, count: int, hours: float) -> Runs:
    """Return so many runs of that many card-hours each."""
    return Runs(chip, count, count * work_mn(1, round(hours * 3_600_000)))


def test_a_job_without_a_choice_has_no_speeds() -> None:
    assert speeds_of((Ask("H100", 8),), [runs("H100", 9, 1)]) == ()
    assert speeds_of((), []) == ()
    assert speeds_of((Ask("H100", 8), Ask("CPU", 8)), []) == (), "a core has no figure to compare"


def test_nameplates_are_compared_as_they_are_also_beside_runs() -> None:
    for known in ([], [runs("H100", 50, 1)], [runs("H100", 1, 900)]):
        found = speeds_of(BOTH, known)
        assert ppm(found) == {"H100": 1_000_000, "Ascend910B": round(1e6 * 313.2 / 989)}
        assert {each.accelerator: each.doubt_ppm // 10_000 for each in found} == {"H100": 0, "Ascend910B": 64}


def test_a_chip_that_has_not_run_is_not_kept_back() -> None:
    asks = (Ask("H100", 8), Ask("MI300X", 8))
    assert ppm(speeds_of(asks, [runs("H100", 50, 1)]))["MI300X"] == 1_000_000


def test_runs_outvote_the_nameplate() -> None:
    known = [runs("H100", 50, 2), runs("Ascend910B", 50, 2)]
    found = speeds_of(BOTH, known)
    assert 950_000 < ppm(found)["Ascend910B"] < 1_000_000, "alike by runs, and the data sheet hardly counts"
    assert max(each.doubt_ppm for each in found) < 100_000
    known = [runs("H100", 50, 4), runs("Ascend910B", 50, 1)]
    assert ppm(speeds_of(BOTH, known))["Ascend910B"] == 1_000_000, "whatever the data sheets say"
    assert 240_000 < ppm(speeds_of(BOTH, known))["H100"] < 280_000


def test_one_lucky_run_chooses_nothing() -> None:
    known = [runs("H100", 50, 2), runs("Ascend910B", 1, 1.5)]
    found = speeds_of(BOTH, known)
    assert ppm(found)["H100"] == 1_000_000
    assert {each.accelerator: each.runs for each in found} == {"H100": 50, "Ascend910B": 1}


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.1, 10), st.floats(0.1, 10))
def test_the_fastest_is_a_million_and_more_runs_are_surer(
    mine: int, theirs: int, here: float, there: float
) -> None:
    found = ppm(speeds_of(BOTH, [runs("H100", mine, here), runs("Ascend910B", theirs, there)]))
    assert max(found.values()) == 1_000_000
    assert min(found.values()) >= 1_000
    more = ppm(speeds_of(BOTH, [runs("H100", 100 * mine, here), runs("Ascend910B", 100 * theirs, there)]))
    seen = math.log(here / there)  # how much faster the Ascend is by runs
    error = abs(math.log(found["Ascend910B"] / found["H100"]) - seen)
    assert abs(math.log(more["Ascend910B"] / more["H100"]) - seen) <= error + 0.05


def test_runs_are_added_up_and_old_ones_forgotten() -> None:
    some = merged(None, [Run("p/x", "H100", 1000), Run("p/x", "H100", 3000)], "H100")
    assert some == Runs("H100", 2, 4000)
    full = merged(None, [Run("p/x", "H100", 1000)] * MOST_RUNS, "H100")
    after = merged(full, [Run("p/x", "H100", 5000)], "H100")
    assert after == Runs("H100", MOST_RUNS // 2 + 1, MOST_RUNS // 2 * 1000 + 5000)
    assert work_mn(8, 1000) == round(1000 * math.log(8))
    assert work_mn(1, 1) == 0
