"""The planner: plans that can be checked by hand, what binds and its worth, proof, and honest refusals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.ids import PoolId, SiteId
from hutong.core.placement.request import Policy
from hutong.sim.plan.file import PlanFile, read_plan
from hutong.sim.plan.headroom import headroom
from hutong.sim.plan.model import Found, cheapest, options_of, with_green
from hutong.sim.plan.proof import check_outages, demand, prove, proved
from hutong.sim.settled import Agreed, PowerLimit

NODE_P = 8 * 0.989
NODE_MW = 8 * 700 / 1e6
POLICY = Policy("balanced", fit=1, price=3, wait=2, distance=1, green=3)


def site(name: str, nodes: int, km: int = 10, green: int = 500_000, chip: str = "H100") -> Site:
    """Return a centre of its own region with one pool; PUE 1."""
    pool = Pool(PoolId("main"), chip, nodes, 8, 10**7, 1000, "cuda")
    supply = Supply((green,) * 24, (500,) * 24, "a test")
    return Site(SiteId(name), name, name, name, km, "local", (pool,), supply)


NEAR, FAR = site("near", 2), site("far", 0, km=400, green=900_000)


def document(peak: float = 10 * NODE_P, **changes: Any) -> dict[str, Any]:
    """Return a plan of one phase of a year: ten nodes' work all day, energy dearer near the city."""
    region = {"most_mw": 100, "adds": ["H100"]}
    return {
        "assumed": "all of it", "ends": "2027-01-01", "busy_percent": 100, "discount_percent": 5,
        "upkeep_percent": 10, "wait_p90_minutes": 60,
        "phases": [
            {"name": "one", "begins": "2026-01-01", "green_percent": 0,
             "peak_p": {"low": peak / 2, "likely": peak, "high": 2 * peak}}
        ],
        "work": [{"name": "any", "share": 1, "max_km": 1000}],
        "cards": {"H100": {"node_yuan": 2_000_000}},
        "regions": {"near": {**region, "yuan_per_kwh": 1.0}, "far": {**region, "yuan_per_kwh": 0.1}},
        **changes,
    }  # fmt: skip


def plan_of(**changes: Any) -> PlanFile:
    """Return the plan of a document."""
    return PlanFile.model_validate(document(**changes))


def built(found: Found, stage: int = 0) -> dict[str, int]:
    """Return the nodes of a stage by centre."""
    counts: dict[str, int] = {}
    for option, nodes in zip(found.options, found.stages[stage].nodes, strict=True):
        counts[option.site] = counts.get(option.site, 0) + nodes
    return counts


def test_the_cheapest_plan_by_hand() -> None:
    found = cheapest(plan_of(), [NEAR, FAR])
    assert found.feasible
    assert built(found) == {"near": 2, "far": 8}, "what is missing is built where energy is cheap"
    hours = 365 / 365.25 * 365.25 * 24
    energy = (8 * NODE_MW * 0.1 + 2 * NODE_MW * 1.0) * 1000 * hours / 1e6
    years = 365 / 365.25
    assert found.cost_million == pytest.approx(8 * 2 + 10 * 2 * 0.1 * years + energy, rel=1e-6)
    assert found.stages[0].build_million == pytest.approx(16)
    assert found.stages[0].used_p == pytest.approx(10 * NODE_P)


def test_a_latency_class_stays_near() -> None:
    work = [{"name": "quick", "share": 0.5, "max_km": 50}, {"name": "slow", "share": 0.5, "max_km": 1000}]
    assert built(cheapest(plan_of(work=work), [NEAR, FAR])) == {"near": 5, "far": 5}


def test_power_binds_and_has_its_price() -> None:
    regions = document()["regions"]
    regions["far"]["most_mw"] = 3.5 * NODE_MW
    found = cheapest(plan_of(regions=regions), [NEAR, FAR])
    assert built(found) == {"near": 7, "far": 3}
    (price,) = [each for each in found.prices if each.limit == "power in far"]
    saved = (1.0 - 0.1) * 1000 * 8760 / 1e6  # each MW of work that moves there saves the difference of energy
    assert price.saves_million == pytest.approx(saved, rel=1e-3)


def test_the_green_target_binds_and_a_point_more_costs() -> None:
    regions = document()["regions"]
    regions["far"]["yuan_per_kwh"] = 5.0
    plan = plan_of(regions=regions)
    assert built(cheapest(plan, [NEAR, FAR])) == {"near": 10, "far": 0}
    found = cheapest(with_green(plan, 70), [NEAR, FAR])
    assert found.stages[0].green_percent == pytest.approx(70)
    (price,) = [each for each in found.prices if each.limit == "green share"]
    moved = 10 * NODE_MW / 40  # a point is a fortieth of what lies between 50 and 90 %
    assert price.saves_million == pytest.approx(moved * 1000 * 8760 * (5.0 - 1.0) / 1e6, rel=1e-2)


def test_deferrable_work_moves_to_green_hours_and_spares_nodes() -> None:
    noon = replace(NEAR, supply=Supply((0,) * 10 + (1_000_000,) * 4 + (0,) * 10, (500,) * 24, "a test"))
    shape = [1.0] * 10 + [3.0] * 4 + [1.0] * 10
    work = [{"name": "any", "share": 1, "max_km": 1000, "by_hour": shape}]
    waits = [{**work[0], "deferrable": True}]
    regions = {"near": document()["regions"]["near"]}
    rigid = cheapest(plan_of(work=work, regions=regions), [noon])
    moved = cheapest(plan_of(work=waits, regions=regions), [noon])
    assert sum(moved.stages[0].nodes) < sum(rigid.stages[0].nodes)
    green = cheapest(with_green(plan_of(work=waits, regions=regions), 60), [noon])
    assert green.stages[0].green_percent == pytest.approx(60, abs=0.5)


def test_what_cannot_be_done_says_what_is_short() -> None:
    regions = document()["regions"]
    for each in regions.values():
        each["most_mw"] = 3 * NODE_MW
    found = cheapest(plan_of(regions=regions), [NEAR, FAR])
    assert not found.feasible
    assert found.stages[0].short_p == pytest.approx(4 * NODE_P)
    assert found.stages[0].short_of == ("any",)
    assert {each.limit for each in found.prices} >= {"power in near", "power in far"}
    assert {each.saves_million for each in found.prices} == {None}, "what is short has no price"
    grey = cheapest(with_green(plan_of(), 95), [NEAR, FAR])
    assert not grey.feasible
    assert grey.stages[0].ungreen_mw > 0


def test_a_limit_below_what_stands_is_named() -> None:
    regions = document()["regions"]
    regions["near"]["most_mw"] = NODE_MW
    with pytest.raises(Refused, match="below what stands") as caught:
        cheapest(plan_of(regions=regions), [NEAR, FAR])
    assert caught.value.problems[0].path == "/regions/near/most_mw"


def test_phases_keep_what_was_built_and_the_market_gives_so_many_a_phase() -> None:
    phases = [
        {"name": f"p{at}", "begins": f"{2026 + at}-01-01", "green_percent": 0,
         "peak_p": {"low": p, "likely": p * NODE_P, "high": 99 * NODE_P}}
        for at, p in enumerate((4, 10))
    ]  # fmt: skip
    cards = {"H100": {"node_yuan": 2_000_000, "most_nodes_a_phase": 5}}
    found = cheapest(plan_of(phases=phases, cards=cards, ends="2030-01-01"), [NEAR, FAR])
    assert [sum(stage.added) for stage in found.stages] == [3, 5], (
        "three a phase early, for five are not enough"
    )
    assert all(now >= was for now, was in zip(found.stages[1].nodes, found.stages[0].nodes, strict=True))


def test_headroom_is_how_far_the_work_may_grow_and_names_what_breaks() -> None:
    found = cheapest(plan_of(), [NEAR, replace(FAR, pools=(replace(FAR.pools[0], nodes=10),))])
    factor, limits = headroom(found, plan_of(), 0)
    assert factor == pytest.approx(1.2, abs=0.01), "twelve nodes for the work of ten"
    assert limits == ("cards within reach of any",)


@settings(max_examples=15, deadline=None)
@given(st.floats(1, 100), st.floats(0.1, 1))
def test_less_work_never_costs_more(peak: float, part: float) -> None:
    whole = cheapest(plan_of(peak=peak), [NEAR, FAR])
    less = cheapest(plan_of(peak=peak * part), [NEAR, FAR])
    assert less.cost_million <= whole.cost_million * 1.003 + 1e-6


def test_the_demand_keeps_as_many_cards_busy_as_it_should() -> None:
    trace = demand(plan_of(), 100.0, 4, 3)
    assert (trace.cards * trace.run_s).sum() / (4 * 86_400) == pytest.approx(100, rel=0.1)
    assert (trace.limit_s >= trace.run_s).all()


def test_proof_shows_what_an_outage_does() -> None:
    plan = plan_of(peak=20 * NODE_P, busy_percent=80)
    sites = [NEAR, FAR]
    found = cheapest(plan, sites)
    asked = (plan, sites, found.options, found.stages[0], POLICY)
    calm = prove(*asked, seeds=2, days=2)
    cut = prove(*asked, seeds=2, days=2, outages=("far@24h..40h",))
    assert calm.scale == 1
    assert cut.wait_p90.mean > calm.wait_p90.mean
    assert cut.lost_card_h.mean > 0 == calm.lost_card_h.mean
    check_outages(("far@24h..40h", "far/new@1h..2h=0.5"), sites, days=2)
    for text, says in (
        ("far@24h..40h", "begins after the 1 simulated days"),
        ("nowhere@1h..2h", "no site, pool or region is called 'nowhere'"),
        ("far/new@2h..1h", "TO is the later one"),
    ):
        with pytest.raises(Refused, match=says):
            check_outages((text,), sites, days=1)
    with pytest.raises(Refused, match="begins after the 1 simulated days"):
        prove(*asked, seeds=1, days=1, outages=("far@24h..40h",))
    with pytest.raises(Refused, match="no site, pool or region"):
        prove(*asked, seeds=1, days=1, outages=("nowhere@1h..2h",))


def test_proof_shows_what_a_limit_of_power_does() -> None:
    plan = plan_of(peak=20 * NODE_P, busy_percent=80)
    found = cheapest(plan, [NEAR, FAR])
    asked = (plan, [NEAR, FAR], found.options, found.stages[0], POLICY)
    calm = prove(*asked, seeds=2, days=2)
    limits = tuple(PowerLimit(name, 8, 0, 12 * 3600) for name in (NEAR.id, FAR.id))
    assert (
        prove(*asked, seeds=2, days=2, agreed=Agreed(power_limits=limits)).wait_p90.mean > calm.wait_p90.mean
    )
    with pytest.raises(Refused) as refused:
        prove(*asked, seeds=1, days=1, agreed=Agreed(power_limits=(PowerLimit("moon", 1, 0),)))
    assert refused.value.problems[0].path == "/power_limits/0/site"
    with pytest.raises(Refused, match="do not fit a plan"):
        prove(*asked, seeds=1, days=1, agreed=Agreed(institutions=(("uni", ()),)))


def test_cards_are_planned_less_busy_until_waits_are_short_enough_and_else_it_is_told() -> None:
    """Cards that are nearly always busy make jobs wait; the simulator says so, and more are planned."""
    plan = plan_of(peak=4 * NODE_P, busy_percent=95, wait_p90_minutes=40)
    first = prove(plan, [NEAR, FAR], (found := cheapest(plan, [NEAR, FAR])).options, found.stages[0], POLICY,
                  seeds=2, days=3)  # fmt: skip
    assert first.wait_p90.mean > 40, "or else this shows nothing"
    done = proved(plan, [NEAR, FAR], POLICY, seeds=2, days=3)
    assert done.plan.busy_percent < 95
    assert sum(done.found.stages[0].nodes) > sum(found.stages[0].nodes)
    assert done.proofs[0].wait_p90.mean < first.wait_p90.mean
    strict = proved(plan.model_copy(update={"wait_p90_minutes": -1}), [NEAR, FAR], POLICY, seeds=1, days=1)
    assert strict.late == ("one",)
    assert strict.plan.busy_percent == 65, "three steps, and no more"


def test_a_city_too_small_for_the_largest_jobs_is_run_with_those_that_fit() -> None:
    assert demand(plan_of(), 20.0, 2, 1, most=16).cards.max() == 16
    plan = plan_of(peak=1.5 * NODE_P)
    found = cheapest(plan, [NEAR, FAR])
    assert prove(plan, [NEAR, FAR], found.options, found.stages[0], POLICY, seeds=1, days=1).jobs > 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"work": [{"name": "a", "share": 0.5, "max_km": 1}]}, "do not add up"),
        ({"regions": {"near": document()["regions"]["near"]}}, "'far' is missing"),
        ({"cards": {}}, "no price in cards"),
        ({"cards": {"H100": {"node_yuan": 1}, "X9": {"node_yuan": 1}}}, "no accelerator of the catalogue"),
        ({"ends": "2025-01-01"}, "the plan ends after the last"),
        ({"colour": "red"}, "is not a plan"),
        ({"busy_percent": 0}, "is not a plan"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({**document(), **change}))
    with pytest.raises(Refused) as caught:
        read_plan(path, [NEAR, FAR])
    assert says in f"{caught.value} {caught.value.problems}"


def test_no_file_and_no_yaml_are_told(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no plan file"):
        read_plan(tmp_path / "none.yaml", [NEAR])
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(Refused, match="is not YAML"):
        read_plan(tmp_path / "bad.yaml", [NEAR])


def test_a_region_adds_its_accelerators_at_each_centre_once() -> None:
    both = [site("near", 2), replace(site("near", 3, chip="A100"), id=SiteId("near-2"))]
    regions = {"near": document()["regions"]["near"]}
    options = options_of(both, plan_of(regions=regions))
    assert [(each.site, each.accelerator, each.nodes, each.grows) for each in options] == [
        ("near", "H100", 2, True),
        ("near-2", "A100", 3, False),
        ("near-2", "H100", 0, True),
    ]
