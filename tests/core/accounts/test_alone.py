"""What one person makes alone within a day: never less than it was, however often and how many."""

from hypothesis import given
from hypothesis import strategies as st

from hutong.core.accounts.approvals import ALONE_AT_MOST, Alone, AloneSum
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 100), st.integers(0, 6 * HOUR_MS)), max_size=30))
def test_the_sum_is_that_of_the_changes_of_a_day_each_once(steps: list[tuple[int, int, int]]) -> None:
    found, made, now_ms = AloneSum(), dict[str, Alone](), 10 * DAY_MS
    for name, size, later_ms in steps:
        now_ms += later_ms
        change = Alone(str(name), size, now_ms)
        found = found.add(change)
        made[change.id] = change
        assert found.size == sum(each.size for each in made.values() if each.at_ms > now_ms - DAY_MS)


def test_very_many_are_kept_in_little_room_and_all_count() -> None:
    found = AloneSum()
    for n in range(5 * ALONE_AT_MOST):
        found = found.add(Alone(str(n), 1, n))
        assert len(found.made) <= ALONE_AT_MOST
    assert found.size == 5 * ALONE_AT_MOST
    assert found.add(Alone("late", 1, 2 * DAY_MS)).size == 1
