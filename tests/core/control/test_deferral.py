"""Deferrable jobs wait for greener hours, never beyond what they allow, by the weights of their policy."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_bookings import booking
from tests.core.control.test_queue import NOW, scene, site, waiting

from hutong.core.accounts.quotas import Allotment, Quota
from hutong.core.book.snapshot import Holding, JobOutcome, JobRow, PoolUse, Running, Snapshot
from hutong.core.book.stays import Stays
from hutong.core.capacity.sites import Maintenance, PowerLimit, Site, Supply
from hutong.core.control.preview import preview
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.kernel.times import utc_seconds
from hutong.core.placement.request import Policy, day_parts, mean_over
from hutong.core.work import facts as f
from hutong.core.work.fold import fold
from hutong.core.work.spec import Ask, Resources, Wish
from hutong.core.work.states import JobState

HOUR = NOW // HOUR_MS % 24
POLICIES = {
    "balanced": Policy("balanced", fit=1, price=3, wait=2, distance=1, green=3),
    "fastest": Policy("fastest", fit=1, price=0, wait=3, distance=1, green=0),
    "surest": Policy("surest", fit=1, price=3, wait=2, distance=1, green=3, reliability=9),
    "cleanest": Policy("cleanest", fit=1, price=1, wait=1, distance=1, green=0, carbon=3),
    "thrifty": Policy("thrifty", fit=1, price=1, wait=1, distance=1, green=0, energy=3),
}


def green_at(*hours: int, name: str = "one", share: int = 900_000) -> Site:
    """Return a site that has so much green supply at these hours from now, and little otherwise."""
    green = [100_000] * 24
    for hour in hours:
        green[(HOUR + hour) % 24] = share
    return replace(site(name, 64), supply=Supply(tuple(green), (500,) * 24, "a test"))


def fresh(hours: float, objective: str = "balanced", minutes: int = 60, **wish: object) -> JobRow:
    """Return a job that was submitted now and may be deferred so long."""
    row = waiting(0, 8, minutes)
    facts = [f.Fact(row.job.id, 1, NOW, "test", f.Submitted("ada", "sha256:0"))]
    asked = Wish(objective, defer_s=int(hours * 3600), **wish)  # type: ignore[arg-type]
    return replace(row, job=fold(facts), spec=replace(row.spec, wish=asked))


def decided(row: JobRow, *sites: Site, **changes: object) -> JobOutcome:
    """Return what a turn decides about a job that has just come."""
    shot: Snapshot = replace(scene(sites, [row]), due=(row,), queue=(), **changes)  # type: ignore[arg-type]
    (found,) = turn(shot, Rules(policies=POLICIES)).jobs
    return found


def started(found: JobOutcome) -> int:
    """Return when a job is to start, now if at once."""
    return found.after.retry_ms or NOW


def test_a_job_waits_for_the_green_hour_and_says_so() -> None:
    found = decided(fresh(12), green_at(5))
    assert found.after.state is JobState.QUEUED
    assert found.due_ms == found.after.queued_ms == NOW + 5 * HOUR_MS
    assert found.after.waiting_code == "greener"
    assert found.after.waiting_text == "waits for greener hours: 90 % green at one then, 10 % now"
    assert not found.commands


@pytest.mark.parametrize(("hours", "green"), [(12, 5), (4, 5), (0, 5), (12, 0)])
def test_a_check_beforehand_tells_of_the_same_hour_and_a_look_at_a_job_in_the_queue_of_none(
    hours: float, green: int
) -> None:
    row, place = fresh(hours), green_at(green)
    shot, rules = scene((place,), [row]), Rules(policies=POLICIES)
    after = decided(row, place).after
    told = preview(shot, row.spec, row.project, rules, "ada", fresh=True)
    if after.retry_ms:
        assert told.text == f"{after.waiting_text}; until {utc_seconds(after.retry_ms)}"
        assert (told.code, told.fundable, told.decision.choice is not None) == ("greener", True, True)
    else:
        assert (told.code, told.text) == ("", "")
    assert preview(shot, row.spec, row.project, rules, "ada").code == ""


def test_when_its_hour_has_come_it_is_placed() -> None:
    found = decided(fresh(12), green_at(5))
    row = replace(fresh(12), job=found.after)
    shot = scene((green_at(5),), [row], now_ms=NOW + 5 * HOUR_MS)
    shot = replace(
        shot, due=(row,), queue=(), statuses={"one": replace(shot.statuses["one"], seen_ms=shot.now_ms)}
    )
    (then,) = turn(shot, Rules(policies=POLICIES)).jobs
    assert then.after.live is not None


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (fresh(0), "it did not say that it may wait"),
        (fresh(4), "the green hour comes too late"),
        (fresh(12, "fastest"), "its policy does not weigh green"),
        (fresh(12, start_before_s=5 * 3600), "it must start before"),
    ],
)
def test_others_start_at_once(row: JobRow, why: str) -> None:
    assert decided(row, green_at(5)).after.live is not None, why


def test_a_small_gain_is_not_worth_waiting_for() -> None:
    assert decided(fresh(12), green_at(5, share=150_000)).after.live is not None
    assert decided(fresh(12), green_at(0, 5)).after.live is not None


def test_the_nearer_of_equals_is_taken_and_the_greener_place_counts() -> None:
    assert decided(fresh(12), green_at(3, 9)).after.queued_ms == NOW + 3 * HOUR_MS
    found = decided(fresh(12), green_at(9), green_at(6, name="two"))
    assert found.after.queued_ms == NOW + 6 * HOUR_MS
    assert "at two" in found.after.waiting_text
    assert decided(fresh(12), green_at(9), green_at(0, name="two")).after.live is not None


def test_no_job_waits_for_a_place_that_will_be_closed() -> None:
    closed = replace(
        green_at(5), maintenance=(Maintenance(NOW + 5 * HOUR_MS, NOW + 7 * HOUR_MS, "cooling", False),)
    )
    assert decided(fresh(12), closed).after.live is not None


def test_no_job_waits_for_an_hour_at_which_the_cards_are_booked_by_others() -> None:
    held = booking(60, 5 * 60, 8 * 60, "project/b")
    one = replace(green_at(5, 9), bookings=(held,))
    assert started(decided(fresh(12), one)) == NOW // HOUR_MS * HOUR_MS + 9 * HOUR_MS
    own = replace(held, holder="project/a")
    assert started(decided(fresh(12), replace(one, bookings=(own,)))) < NOW + 6 * HOUR_MS, "its own"
    small = replace(held, cards=56)
    assert started(decided(fresh(12), replace(one, bookings=(small,)))) < NOW + 6 * HOUR_MS, "enough is left"


def test_no_job_waits_for_an_hour_without_the_power_for_it() -> None:
    at_ms = NOW + 4 * HOUR_MS
    limit = PowerLimit("p", 4, at_ms, at_ms + 4 * HOUR_MS, "a peak")
    one = replace(green_at(5, 9), power_limits=(limit,))
    assert started(decided(fresh(12), one)) == NOW // HOUR_MS * HOUR_MS + 9 * HOUR_MS
    wide = replace(limit, limit_kw=40)
    assert started(decided(fresh(12), replace(one, power_limits=(wide,)))) < NOW + 6 * HOUR_MS


def test_no_job_waits_for_an_hour_at_which_its_quota_is_used_up_by_what_will_still_run() -> None:
    one, project = green_at(5, 9), ProjectId("a")
    quota = Quota("project", "a", 1000, (Allotment("H100", 12, borrow=0),))

    def late(hours: int) -> int:
        """Return when the job starts if another of its project runs for so many hours."""
        runs = (Running(project, "one", "p0", 8, NOW + hours * HOUR_MS),)
        held = (Holding(project, "one", "p0", 8),)
        use = (PoolUse("one", "p0", 8),)
        return started(decided(fresh(12), one, running=runs, holdings=held, use=use, quotas=(quota,)))

    assert late(3) < NOW + 6 * HOUR_MS, "it will be over by then"
    assert late(7) == NOW // HOUR_MS * HOUR_MS + 9 * HOUR_MS


def test_where_nothing_can_be_had_at_any_hour_a_job_is_queued_at_once() -> None:
    quota = Quota("project", "a", 1000, (Allotment("H100", 4, borrow=0),))
    found = decided(fresh(12), green_at(5), quotas=(quota,))
    assert found.after.retry_ms == 0
    assert found.after.waiting_code == "quota"


def test_a_wait_is_no_part_of_the_run_that_must_get_through() -> None:
    stays = {"one": Stays(0, 1000 * 10**6)}  # a break in 6.3 node-hours: an hour gets through, six may not
    found = decided(fresh(12, "surest"), green_at(5), stays=stays)
    assert found.after.queued_ms == NOW + 5 * HOUR_MS


def clean_at(*hours: int, name: str = "one", grams: int = 100, green: int = 0, **changes: object) -> Site:
    """Return a site that emits so little at these hours from now, and 600 g/kWh otherwise."""
    emits = [600] * 24
    for hour in hours:
        emits[(HOUR + hour) % 24] = grams
    supply = Supply((green,) * 24, tuple(emits), "a test")
    return replace(site(name, 64, **changes), supply=supply)  # type: ignore[arg-type]


def test_by_carbon_alone_a_job_waits_for_the_hour_with_the_least() -> None:
    found = decided(fresh(12, "cleanest"), clean_at(5, 9, grams=300))
    assert found.after.queued_ms == NOW + 5 * HOUR_MS
    text = "waits for greener hours: 0 % green at one then, 0 % now, 50 % less CO2e"
    assert found.after.waiting_text == text
    found = decided(fresh(12, "cleanest"), clean_at(9), clean_at(5, grams=300, name="two"))
    assert found.after.queued_ms == NOW + 9 * HOUR_MS, "the least counts, wherever it is"
    assert decided(fresh(12, "balanced"), clean_at(5)).after.live is not None, "its policy does not weigh it"
    assert decided(fresh(12, "cleanest"), clean_at(0, 5)).after.live is not None, "it is as clean now"


def cheap_at(*hours: int, name: str = "one", yuan: float = 0.3, **changes: object) -> Site:
    """Return a site that pays so much for a kWh at these hours from now, and 1.20 yuan otherwise."""
    prices = [1_200_000] * 24
    for hour in hours:
        prices[(HOUR + hour) % 24] = int(yuan * 10**6)
    found = site(name, 64, **changes)  # type: ignore[arg-type]
    return replace(found, supply=Supply((0,) * 24, (500,) * 24, "a test", price_micro_per_kwh=tuple(prices)))


def test_by_the_price_of_electricity_alone_a_job_waits_for_the_cheapest_hour() -> None:
    found = decided(fresh(12, "thrifty"), cheap_at(5, 9, yuan=0.6))
    assert found.after.queued_ms == NOW + 5 * HOUR_MS
    text = "waits for cheaper electricity: 0 % green at one then, 0 % now, 50 % less for electricity"
    assert found.after.waiting_text == text
    found = decided(fresh(12, "thrifty"), cheap_at(9), cheap_at(5, yuan=0.6, name="two"))
    assert found.after.queued_ms == NOW + 9 * HOUR_MS, "the least counts, wherever it is"
    assert decided(fresh(12, "balanced"), cheap_at(5)).after.live is not None, "its policy does not weigh it"
    assert decided(fresh(12, "thrifty"), cheap_at(0, 5)).after.live is not None, "it is as cheap now"
    assert decided(fresh(12, "thrifty"), green_at(5)).after.live is not None, "no site says a price"


def test_greener_can_mean_dearer_and_is_said() -> None:
    place = cheap_at(5, yuan=1.8)
    green = [0] * 24
    green[(HOUR + 5) % 24] = 1_000_000
    place = replace(place, supply=replace(place.supply, green_ppm=tuple(green)))
    policies = {"balanced": Policy("balanced", fit=1, price=0, wait=0, distance=0, green=9, energy=1)}
    shot = replace(scene((place,), [fresh(12)]), due=(fresh(12),), queue=())
    (found,) = turn(shot, Rules(policies=policies)).jobs
    text = "waits for greener hours: 100 % green at one then, 0 % now, 50 % more for electricity"
    assert found.after.waiting_text == text


def test_a_clean_grid_does_not_make_up_for_a_card_that_takes_longer() -> None:
    """By nameplate an Ascend 910B needs 3.2 times an H100's time at half its power: 1.6 times its energy."""
    both = Resources((Ask("H100", 8), Ask("Ascend910B", 8)))
    row = fresh(12, "cleanest")
    row = replace(row, spec=replace(row.spec, resources=both))
    here, there = clean_at(), clean_at(5, grams=450, name="two", chip="Ascend910B")
    assert decided(row, here, there).after.live is not None, "450 g x 1.58 is more than 600 g"
    found = decided(row, here, clean_at(5, grams=200, name="two", chip="Ascend910B"))
    assert found.after.queued_ms == NOW + 5 * HOUR_MS
    assert found.after.waiting_text.endswith("at two then, 0 % now, 47 % less CO2e")


def test_greener_can_mean_more_carbon_and_is_said() -> None:
    policies = {"balanced": Policy("balanced", fit=1, price=0, wait=0, distance=0, green=9, carbon=1)}
    row = fresh(12)
    dirty = clean_at(5, grams=900)
    green = [0] * 24
    green[(HOUR + 5) % 24] = 1_000_000
    place = replace(dirty, supply=replace(dirty.supply, green_ppm=tuple(green)))
    shot = replace(scene((place,), [row]), due=(row,), queue=())
    (found,) = turn(shot, Rules(policies=policies)).jobs
    assert found.after.waiting_text.endswith("100 % green at one then, 0 % now, 50 % more CO2e")


def test_where_the_power_of_its_cards_is_unknown_no_hour_is_cleaner() -> None:
    row = fresh(12, "cleanest")
    row = replace(row, spec=replace(row.spec, resources=Resources((Ask("X9", 8),))))
    assert decided(row, clean_at(5, chip="X9")).after.live is not None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5000), min_size=24, max_size=24), st.integers(1, 48), st.integers(1, 600))
def test_no_job_waits_for_more_carbon(grams: list[int], hours: int, minutes: int) -> None:
    place = replace(site("one", 64), supply=Supply((0,) * 24, tuple(grams), "a test"))
    found = decided(fresh(hours, "cleanest", minutes), place)
    if found.after.live is None:
        now, then = (
            mean_over(place.supply.mg_per_kwh, day_parts(start_ms, minutes * 60_000))
            for start_ms in (NOW, found.after.queued_ms)
        )
        assert then < now
        assert found.after.waiting_text.endswith("less CO2e")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 1_000_000), min_size=24, max_size=24),
    st.floats(0, 48),
    st.integers(1, 3000),
)
def test_a_start_is_never_later_than_allowed_and_never_worse(
    green: list[int], hours: float, minutes: int
) -> None:
    place = replace(site("one", 64), supply=Supply(tuple(green), (500,) * 24, "a test"))
    found = decided(fresh(hours, minutes=minutes), place)
    if found.after.live is None:
        assert found.after.waiting_code == "greener"
        assert NOW < found.after.queued_ms <= NOW + int(hours * 3600) * 1000
        assert found.after.queued_ms % HOUR_MS == 0
