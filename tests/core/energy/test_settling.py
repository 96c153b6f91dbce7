"""A region's hour, settled: the parts of every site sum to its meter, and nothing green is used twice."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.book.energy import DueHour, JobUse, part_in
from hutong.core.book.meters import SETTLE_AFTER_MS, Counts, Measures, Meter, MeterHour, settled_from_ms
from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.energy.certificates import MWH_J, RetiredFor
from hutong.core.energy.contracts import Contract, ContractKind, Source
from hutong.core.energy.counted import Taken
from hutong.core.energy.progress import by_month, indicators, progress_of
from hutong.core.energy.settling import FINAL_AFTER_MS, MODELLED, OPEN_DAYS, Known, open_hours, settle
from hutong.core.kernel.ids import PoolId, SiteId
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS

HOUR = 5
KWH = 3_600_000
POOL = Pool(PoolId("a"), "A100", 1, 8, 1, 1250, "cuda")
SUPPLY = Supply((250_000,) * 24, (500,) * 24, "test")
EAST = Site(SiteId("east"), "东", "East", "bj", 1, "slurm", (POOL,), SUPPLY)
WEST = replace(EAST, id=SiteId("west"))
WIND = Contract("wind", ContractKind.PPA, Source.WIND, "bj", ("east", "west"), "s", 0)
NOW = settled_from_ms(HOUR)


def meter(name: str, measures: Measures = Measures.FACILITY, site: str = "east") -> Meter:
    contract = "wind" if measures is Measures.DELIVERED else ""
    return Meter(name, measures, Counts.INTERVAL, "bj", 10**12, "t", "" if contract else site, contract)


def hour(of: Meter, value: int, covered_ms: int = HOUR_MS) -> MeterHour:
    return MeterHour(of.id, of.site, of.contract, "bj", of.measures, HOUR, value, covered_ms, 0)


def known(*told: tuple[Meter, int], uses: dict[str, list[JobUse]] | None = None, **more: object) -> Known:
    base = Known(
        [each for each, _ in told],
        [hour(each, value) for each, value in told],
        (EAST, WEST),
        uses or {},
        (WIND,),
        {},
    )
    return replace(base, **more)  # type: ignore[arg-type]


EAST_FEED, WEST_FEED = meter("e"), meter("w", site="west")
DELIVERED = meter("d", Measures.DELIVERED)
USE = {"east": [JobUse("k1", "p", "A100", HOUR_MS), JobUse("k2", "q", "A100", HOUR_MS // 2)]}


def test_the_numbers_of_one_hour() -> None:
    found = settle(DueHour("bj", HOUR, 1), known((EAST_FEED, KWH), (DELIVERED, KWH // 4), uses=USE), NOW)
    (row,) = found.sites
    it, overhead = KWH * 4 // 5, KWH // 5
    assert (row.metered_j, row.it_j, row.overhead_j) == (KWH, it, overhead)
    # 400 W for an hour and for half of one
    assert (row.jobs_j, row.idle_j, row.modelled_j) == (2_160_000, it - 2_160_000, 2_160_000)
    assert (row.green_j, row.grid_green_j) == (KWH // 4, KWH * 3 // 16)
    assert (row.location_mg, row.market_mg) == (500_000, 375_000)
    assert row.basis == "it=pue 1.250; jobs=modelled; market=grid mean"
    assert [(each.key, each.project, each.it_j) for each in found.jobs] == [
        ("k1", "p", 1_440_000), ("k2", "q", 720_000),
    ]  # fmt: skip
    assert found.again_ms == NOW + FINAL_AFTER_MS
    last = settle(DueHour("bj", HOUR, 1), known((EAST_FEED, KWH)), NOW + FINAL_AFTER_MS)
    assert last.again_ms == 0
    assert NOW == (HOUR + 1) * HOUR_MS + SETTLE_AFTER_MS


def test_an_it_meter_wins_over_the_model_and_too_much_is_scaled_and_said() -> None:
    it = meter("i", Measures.IT)
    found = settle(DueHour("bj", HOUR, 1), known((EAST_FEED, KWH), (it, 1_000_000), uses=USE), NOW)
    (row,) = found.sites
    assert (row.it_j, row.jobs_j, row.idle_j, row.overhead_j) == (1_000_000, 1_000_000, 0, KWH - 1_000_000)
    assert row.basis.startswith("it=metered; jobs=scaled")
    assert [each.it_j for each in found.jobs] == [666_667, 333_333]


def test_counters_stand_where_they_are_and_the_model_elsewhere_and_each_job_says_which() -> None:
    taken = {"east": {"k1": Taken(1_000_000, "slurm/ipmi: whole nodes"), "k2": Taken(None, "not counted: x")}}
    base = known((EAST_FEED, KWH), uses=USE, taken=taken)
    found = settle(DueHour("bj", HOUR, 1), base, NOW)
    (row,) = found.sites
    assert (row.jobs_j, row.modelled_j) == (1_720_000, 1_720_000)
    assert "jobs=counted 1 of 2;" in row.basis
    assert [(each.it_j, each.method) for each in found.jobs] == [
        (1_000_000, "counted: slurm/ipmi: whole nodes, spread over its time"),
        (720_000, f"{MODELLED}; not counted: x"),
    ]
    small = settle(DueHour("bj", HOUR, 1), replace(base, hours=[hour(EAST_FEED, 1_500_000)]), NOW)
    assert [each.it_j for each in small.jobs] == [1_000_000, 200_000]
    assert "jobs=counted 1 of 2,scaled;" in small.sites[0].basis
    less = settle(DueHour("bj", HOUR, 1), replace(base, hours=[hour(EAST_FEED, 1_000_000)]), NOW)
    assert [each.it_j for each in less.jobs] == [800_000, 0]
    assert "jobs=counted 1 of 2,counters beyond IT;" in less.sites[0].basis
    all_ = {"east": {name: Taken(5, "b") for name in ("k1", "k2")}}
    assert "jobs=counted;" in settle(DueHour("bj", HOUR, 1), replace(base, taken=all_), NOW).sites[0].basis


def test_a_month_stays_open_for_some_days_and_a_change_settles_no_more_than_that() -> None:
    december = 334 * DAY_MS  # of 1970
    assert open_hours(december + 20 * DAY_MS) == (334 * 24, 354 * 24 + 1)
    assert open_hours(december + OPEN_DAYS * DAY_MS - 1)[0] == 304 * 24
    assert open_hours(december + OPEN_DAYS * DAY_MS)[0] == 334 * 24
    longest = max(last - first for first, last in (open_hours(day * DAY_MS) for day in range(400, 1900)))
    assert longest <= 1000  # as many as a store marks at once


def test_a_meter_that_is_silent_or_partly_so_is_told() -> None:
    second = meter("e2")
    more = known((EAST_FEED, KWH))
    found = settle(DueHour("bj", HOUR, 1), replace(more, meters=(EAST_FEED, second)), NOW)
    assert (found.sites[0].covered_ms, "hour=partial" in found.sites[0].basis) == (0, True)
    gone = replace(second, until_ms=HOUR * HOUR_MS)
    found = settle(DueHour("bj", HOUR, 1), replace(more, meters=(EAST_FEED, gone)), NOW)
    assert found.sites[0].covered_ms == HOUR_MS
    assert settle(DueHour("bj", HOUR, 1), known((DELIVERED, 5)), NOW).sites == ()


joules = st.integers(0, 10**11)
uses = st.lists(
    st.builds(
        JobUse, st.sampled_from("abcdef"), st.just("p"), st.sampled_from(["A100", "H100", "unknown"]),
        st.integers(1, 10**10),
    ),
    max_size=6, unique_by=lambda each: (each.key, each.sku),
)  # fmt: skip


@settings(max_examples=60)
@given(joules, joules, st.none() | joules, joules, uses, uses, st.none() | st.integers(0, 10**6))
def test_whatever_meters_say_the_sums_hold(
    east: int,
    west: int,
    it: int | None,
    green: int,
    one: list[JobUse],
    two: list[JobUse],
    residual: int | None,
) -> None:
    told = [(EAST_FEED, east), (WEST_FEED, west), (DELIVERED, green)]
    told += [(meter("i", Measures.IT), it)] if it is not None else []
    two = [replace(each, key=each.key.upper()) for each in two]
    base = known(*told, uses={"east": one, "west": two}, residual_mg_per_kwh=residual)
    found = settle(DueHour("bj", HOUR, 1), base, NOW)
    for row, metered in zip(found.sites, (east, west), strict=True):
        assert row.jobs_j + row.idle_j + row.overhead_j == row.metered_j == metered
        mine = [each for each in found.jobs if each.site == row.site]
        assert sum(each.it_j for each in mine) == row.jobs_j
        assert sum(each.it_j + each.overhead_j for each in mine) <= metered
        assert sum(each.green_j for each in mine) <= row.green_j <= metered
        assert sum(each.location_mg for each in mine) <= row.location_mg
        assert sum(each.energy_j for each in found.matches if each.site == row.site) == row.green_j
    assert sum(each.energy_j for each in found.matches) == sum(row.green_j for row in found.sites) <= green


def test_progress_by_the_hour_and_by_volume_and_the_indicators() -> None:
    it = meter("i", Measures.IT)
    base = known((EAST_FEED, 10**10), (it, 8 * 10**9), (DELIVERED, 4 * 10**9))
    rows = settle(DueHour("bj", HOUR, 1), base, NOW).sites
    found = progress_of(rows, RetiredFor("east", 0, 1), 24)
    assert (found.hours, found.hours_known, found.by_hour_j) == (24, 1, 4 * 10**9)
    assert found.by_volume_j == 4 * 10**9 + KWH * 1000
    left = 6 * 10**9
    assert found.market_mg == rows[0].market_mg * (left - KWH * 1000) // left
    assert (
        progress_of(rows, RetiredFor("east", 0, 10**6), 24).by_volume_j == found.used_j
    )  # never more than was used
    assert progress_of((), RetiredFor("east", 0, 5), 24).by_volume_j == 0
    assert list(by_month(rows)) == [0]
    told = {each.name: each for each in indicators(rows, 1, found.by_volume_j, {"water": True})}
    assert (told["PUE"].value_milli, told["WUE"].value_milli) == (1250, 0)
    assert told["REF"].value_milli == 760
    assert "no meter" in told["ERF"].why
    assert told["PUE"].interim
    gaps = {each.name: each for each in indicators(rows, 2, 0, {})}
    assert {each.value_milli for each in gaps.values()} == {None}
    assert "1 of 2 hours" in gaps["REF"].why
    modelled = settle(DueHour("bj", HOUR, 1), known((EAST_FEED, 10**10)), NOW).sites
    assert "IT meter" in indicators(modelled, 1, 0, {})[0].why  # an assumed PUE does not come out again


@given(joules, joules, st.dictionaries(st.integers(0, 9), st.integers(1, 40), max_size=4), st.integers(0, 40))
def test_certificates_of_the_hour_meet_their_hour_and_never_more_than_the_month(
    used: int, green: int, hourly: dict[int, int], others_mwh: int
) -> None:
    rows = settle(DueHour("bj", HOUR, 1), known((EAST_FEED, used), (DELIVERED, green)), NOW).sites
    retired = RetiredFor("east", 0, sum(hourly.values()) + others_mwh, tuple(sorted(hourly.items())))
    found = progress_of(rows, retired, 24)
    delivered = min(used, green)
    assert found.by_hour_j == delivered + min(used - delivered, hourly.get(HOUR, 0) * MWH_J)
    assert found.by_hour_j <= found.by_volume_j <= used


@given(st.integers(-(10**12), 10**12), st.integers(0, 5 * HOUR_MS), st.integers(1, 5 * HOUR_MS))
def test_the_parts_of_a_record_sum_to_it(quantity: int, from_ms: int, length_ms: int) -> None:
    upto_ms = from_ms + length_ms
    hours = range(from_ms // HOUR_MS, -(-upto_ms // HOUR_MS))
    parts = [part_in(quantity, (from_ms, upto_ms), (each * HOUR_MS, (each + 1) * HOUR_MS)) for each in hours]
    assert sum(parts) == quantity
    assert part_in(quantity, (5, 5), (0, 10)) == quantity
