"""What is compiled at set-up is what a platform calls: the first turn of one does not wait for a compiler."""

from itertools import product
from typing import Any

from scripts import compile_placement
from tests.core.control.test_bookings import booking, moment
from tests.core.control.test_queue import MIN, NOW, placed, site, waiting

from hutong.core.accounts.quotas import Allotment, Quota
from hutong.core.book.snapshot import Running
from hutong.core.capacity.sites import PowerLimit
from hutong.core.control.forecast import plan
from hutong.core.control.rules import Rules, RunLengths
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import ProjectId
from hutong.core.placement import bookings, guesses, kernel, limits, profile, quotas, roll
from hutong.core.placement.columns import Backfill

CALLED: tuple[Any, ...] = (
    kernel.enqueue_all, kernel.occupy, kernel.begin, kernel.next_start, kernel.undo, kernel.turn,
    quotas.borrows, quotas.count_held, quotas.bars_of, bookings.withheld, limits.count_ahead, profile.hold,
    profile.moments, roll.roll, guesses.length, guesses.expected_end,
)  # fmt: skip


def test_a_turn_and_a_forecast_compile_nothing_that_set_up_has_not() -> None:
    compile_placement.main()
    before = [list(each.signatures) for each in CALLED]
    limit = PowerLimit("cap", 1000, 0, 0, "")
    sites = (site("bj", 16, bookings=(booking(12, 60, 240),), power_limits=(limit,)), site("tj", 16))
    queue = [waiting(1, 8, 120), waiting(2, 8, 60, "b"), waiting(3, 8, 900, "c", num_nodes=2)]
    queue += [waiting(4, 8, 60, preemptible=True), waiting(5, 8, 6000)]
    runs = [Running(ProjectId("b"), "bj", "p0", 8, NOW + 30 * MIN, "ada")]
    quota = Quota("project", "a", 1000, (Allotment("H100", 0, borrow=24, each_person=16),))
    for backfill, lengths in product(Backfill, RunLengths):
        shot, rules = moment(sites, queue, runs, quotas=(quota,)), Rules(backfill=backfill, lengths=lengths)
        assert placed(turn(shot, rules))
        assert plan(shot, rules)
    assert [list(each.signatures) for each in CALLED] == before
