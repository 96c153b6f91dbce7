"""Moments of kills find work that has become faster or slower than it was measured."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tests.faults import Kills


@given(seed=st.integers(0, 2**32), takes_s=st.floats(1 / 16, 4))
def test_six_kills_meet_work_that_has_become_sixteen_times_faster_or_any_slower(
    seed: int, takes_s: float
) -> None:
    kills = Kills(6, 1.0, Random(seed))
    for after_s in kills:
        kills.tell(midway=after_s < takes_s)
    assert kills.midway
