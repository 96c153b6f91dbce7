"""Deliveries and use, hour by hour: no joule twice; tables of PUE, and carbon both ways."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.energy.carbon import by_location_mg, by_market_mg, sci_mg
from hutong.core.energy.contracts import Contract, ContractKind, Source, end_contract, match_hour
from hutong.core.energy.pue import Cooling, PueTable, site_pue
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import PoolId, SiteId
from hutong.core.kernel.quantities import HOUR_MS

SITES = ("east", "north", "west")
WIND = Contract("wind", ContractKind.PPA, Source.WIND, "bj", SITES, "a supplier", 0)
contracts = st.lists(
    st.builds(
        Contract,
        id=st.sampled_from("abcdef"),
        kind=st.sampled_from(ContractKind),
        source=st.sampled_from(Source),
        region=st.just("bj"),
        sites=st.permutations(SITES).flatmap(lambda all_: st.integers(1, 3).map(lambda n: tuple(all_[:n]))),
        supplier=st.just("s"),
        from_ms=st.sampled_from([0, 5 * HOUR_MS, 5 * HOUR_MS + 1]),
        until_ms=st.sampled_from([0, 6 * HOUR_MS, 6 * HOUR_MS - 1]),
    ),
    max_size=5,
    unique_by=lambda each: each.id,
)
amounts = st.integers(0, 10**12)


@given(
    contracts,
    st.dictionaries(st.sampled_from("abcdef"), amounts),
    st.dictionaries(st.sampled_from(SITES), amounts),
)
def test_no_joule_is_matched_twice(
    known: list[Contract], delivered: dict[str, int], used: dict[str, int]
) -> None:
    found = match_hour(known, delivered, used, 5)
    for contract in known:
        mine = [each for each in found if each.contract == contract.id]
        assert sum(each.energy_j for each in mine) <= delivered.get(contract.id, 0)
        assert {each.site for each in mine} <= set(contract.sites)
        assert contract.holds_in(5) or not mine
    for site in SITES:
        assert sum(each.energy_j for each in found if each.site == site) <= used.get(site, 0)
    assert all(each.energy_j > 0 and each.hour == 5 for each in found)
    assert len({(each.contract, each.site) for each in found}) == len(found)
    left = {s: used.get(s, 0) - sum(e.energy_j for e in found if e.site == s) for s in SITES}
    for contract in known:  # nothing is left over that one of its sites could have used
        rest = delivered.get(contract.id, 0) - sum(e.energy_j for e in found if e.contract == contract.id)
        assert not contract.holds_in(5) or not rest or not any(left[site] for site in contract.sites)


def test_direct_lines_come_first_and_a_contract_serves_its_sites_in_order() -> None:
    line = replace(WIND, id="line", kind=ContractKind.DIRECT, sites=("west",))
    found = match_hour([WIND, line], {"wind": 100, "line": 30}, {"east": 60, "north": 10, "west": 50}, 5)
    assert [(each.contract, each.site, each.energy_j) for each in found] == [
        ("line", "west", 30), ("wind", "east", 60), ("wind", "north", 10), ("wind", "west", 20),
    ]  # fmt: skip


def test_a_contract_ends_later_never_before_and_is_not_reopened() -> None:
    ended = end_contract(WIND, 50, 40)
    assert ended.until_ms == 50
    assert end_contract(ended, 50, 90) == ended
    for until_ms, now_ms in ((30, 40), (99, 60)):
        with pytest.raises(Conflict):
            end_contract(ended, until_ms, now_ms)


def test_carbon_by_location_and_by_market() -> None:
    kwh = 3_600_000
    assert by_location_mg(2 * kwh, 550_000) == 1_100_000
    assert by_market_mg(2 * kwh, kwh, None, 550_000) == 550_000
    assert by_market_mg(2 * kwh, kwh, 700_000, 550_000) == 700_000
    assert by_market_mg(2 * kwh, 2 * kwh, 700_000, 550_000) == 0
    assert sci_mg(1_100_000, 100_000, 4000) == 300_000
    assert sci_mg(1, 0, 0) is None


TABLE = PueTable("east", "a", Cooling.COLD_PLATE, (1200, *(1100,) * 10, 1200), 500_000, "the centre")
POOL = Pool(PoolId("a"), "A100", 1, 8, 1, 1300, "cuda")
EAST = Site(
    SiteId("east"), "东", "East", "bj", 1, "slurm", (POOL, replace(POOL, id=PoolId("b"), accelerator="H100")),
    Supply((0,) * 24, (500,) * 24, "test"),
)  # fmt: skip


def test_pue_follows_the_month_and_the_load() -> None:
    assert [TABLE.at(0, load) for load in (1_000_000, 500_000, 250_000, 0)] == [1200, 1300, 1500, 3100]
    assert TABLE.at(24 * 45, 1_000_000) == 1100
    assert [TABLE.at(0, 2_000_000), replace(TABLE, fixed_ppm=0).at(0, 1)] == [1200, 1200]
    assert replace(TABLE, month_milli=(5000,) * 12, fixed_ppm=10**6).at(0, 1) == 10_000


def test_a_site_has_the_mean_of_its_pools_by_power() -> None:
    assert site_pue(EAST, {}, {}, 0, HOUR_MS) == 1300
    full = {"A100": 8 * HOUR_MS}
    weights = {"a": 400, "b": 700}
    mean = (weights["a"] * 1200 + weights["b"] * 1300) // sum(weights.values())
    assert site_pue(EAST, {TABLE.id: TABLE}, full, 0, HOUR_MS) == mean
    assert site_pue(replace(EAST, pools=()), {}, {}, 0, HOUR_MS) == 1000
