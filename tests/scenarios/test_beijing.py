"""The Beijing scenario: each number has a source or says that it is assumed, and the sums agree."""

import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hutong.clients.cli.link_commands import read_links
from hutong.clients.cli.scenario import read_scenario, read_scenario_links
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.capacity.links import Link, widths
from hutong.core.capacity.sites import Pool, Site
from hutong.core.kernel.errors import Refused
from hutong.server.api.shapes.sites import read_site

FOLDER = Path(__file__).parents[2] / "scenarios" / "beijing"
SITES = [read_site(each) for each in read_scenario(FOLDER)]
TEXT = (FOLDER / "sites.yaml").read_text(encoding="utf-8")
SOURCES: dict[str, Any] = yaml.safe_load((FOLDER / "sources.yaml").read_text(encoding="utf-8"))
LINKS: dict[str, Any] = yaml.safe_load((FOLDER / "links.yaml").read_text(encoding="utf-8"))
FIGURES = {each["id"]: each for each in SOURCES["figures"]}
CAPACITY = {(each["site"], each["pool"]): each for each in SOURCES["capacity"]}
# The notice of 2024-12-20, kg CO2/kWh; typed here again so that a slip in the scenario shows.
FACTORS_2022 = {
    "Beijing": 0.5580,
    "Tianjin": 0.7041,
    "Zhangjiakou, Hebei": 0.7252,
    "Ulanqab, Inner Mongolia": 0.6849,
}
STATUSES = {"in service", "under construction", "planned"}
POOLS = [(site, pool) for site in SITES for pool in site.pools]
by_site = pytest.mark.parametrize("site", SITES, ids=lambda site: str(site.id))
by_pool = pytest.mark.parametrize(
    ("site", "pool"), POOLS, ids=[f"{site.id}/{pool.id}" for site, pool in POOLS]
)


def _gops(model: str) -> int:
    figure = ACCELERATORS[model].fp16
    assert figure is not None, f"{model} has no figure"
    assert (figure.precision, figure.sparse) == ("FP16", False)
    return figure.gops


def test_ids_are_unique_and_every_place_of_the_corridor_is_there() -> None:
    ids = Counter(site.id for site in SITES)
    assert max(ids.values()) == 1
    named = {
        "shangzhuang", "yizhuang", "digital-economy", "haidian", "chaoyang", "jingxi", "cloud-partner",
        "tianjin-ai", "wuqing", "ulanqab",
    }  # fmt: skip
    assert named <= ids.keys()
    assert sum(site.startswith("zhangjiakou-") for site in ids) >= 3
    assert {site.region for site in SITES} == FACTORS_2022.keys()


def test_each_centre_has_one_status() -> None:
    listed = [site for sites in SOURCES["status"].values() for site in sites]
    assert sorted(listed) == sorted(site.id for site in SITES)
    for site in SITES:
        planned = site.id in SOURCES["status"]["planned"]
        assert ("planned" in site.name_en) == planned
        assert not planned or [pool.nodes for pool in site.pools] == [1]
        assert (site.admission == "inactive") == planned


@by_site
def test_a_centre_says_that_it_is_an_estimate(site: Site) -> None:
    assert site.declared_only
    assert site.supply.synthetic
    assert "estimate" in site.name_en
    assert "推算" in site.name_zh


@by_pool
def test_cards_follow_from_the_published_p_by_the_rule(site: Site, pool: Pool) -> None:
    row = CAPACITY[site.id, pool.id]
    assert pool.cards_per_node == 8
    assert pool.nodes == max(1, int(row["p"] * 1e6 / _gops(pool.accelerator) / 8 + 0.5))
    if row["from"] == "assumed":
        assert row["synthetic"]
    else:
        assert FIGURES[row["from"]]["entered"]


def test_the_pools_of_a_centre_come_to_its_figure() -> None:
    entered: defaultdict[str, float] = defaultdict(float)
    for row in CAPACITY.values():
        if row["from"] not in ("assumed", "zjk-p-2023"):
            entered[row["from"]] += row["p"]
    assert entered == {figure: FIGURES[figure]["value"] for figure in entered}
    mean = FIGURES["zjk-p-2023"]["value"] / FIGURES["zjk-27"]["value"]
    shares = [row["p"] for row in CAPACITY.values() if row["from"] == "zjk-p-2023"]
    assert shares == [pytest.approx(mean, abs=0.05)] * 3
    assert CAPACITY.keys() == {(site.id, pool.id) for site, pool in POOLS}


def test_sums_by_region_are_what_the_files_claim() -> None:
    gops, cards = Counter[str](), Counter[str]()
    for site, pool in POOLS:
        gops[site.region] += pool.cards * _gops(pool.accelerator)
        cards[site.region] += pool.cards
    claims = dict(re.findall(r"^# total ([^:]+): (.+) cards$", TEXT, re.MULTILINE))
    whole = {"all": (sum(gops.values()), sum(cards.values()))}
    for region, (power, count) in {**{each: (gops[each], cards[each]) for each in gops}, **whole}.items():
        assert claims[region] == f"{power / 1e6:.1f} P, {count}"
        if region != "all":
            assert SOURCES["totals"][region] == {"p": round(power / 1e6, 1), "cards": count}
    assert claims.keys() == {*FACTORS_2022, "all"}


def test_over_nine_tenths_are_domestic_at_the_digital_economy_centre_in_either_reading() -> None:
    site = next(each for each in SITES if each.id == "digital-economy")
    for by_power in (False, True):
        parts = Counter[bool]()
        for pool in site.pools:
            weight = _gops(pool.accelerator) if by_power else 1
            parts[ACCELERATORS[pool.accelerator].domestic] += pool.cards * weight
        assert parts[True] / parts.total() > FIGURES["digital-economy-2"]["value"] / 100


def test_every_number_of_a_site_has_a_source_or_says_that_it_is_assumed() -> None:
    own = ("cards_per_node", "price_per_card_hour", "pue", "distance_km", "memory_bytes_per_node")
    for field in (*own, "cpus_per_node", "chip", "split", "green_ppm"):
        assert SOURCES["assumed"][field].startswith("assumed: ")
    number = re.compile(
        r"^ *(?:distance_km|cards_per_node|price_per_card_hour|pue|memory_\w+|cpus_\w+):.*$", re.MULTILINE
    )
    lines = number.findall(TEXT)
    assert len(lines) == len(SITES) + 5 * len(POOLS)
    assert all(line.endswith("# assumed") for line in lines)
    nodes = re.findall(r"^ *nodes: \d+  # [\d.]+ P \(([\w-]+)\)", TEXT, re.MULTILINE)
    assert len(nodes) == len(POOLS)
    assert all(each == "synthetic" or each in FIGURES for each in nodes)


def test_ids_in_comments_are_figures() -> None:
    comments = [line for line in TEXT.splitlines() if line.lstrip().startswith("#")]
    named = set(re.findall(r"\b[a-z][a-z-]*-\d+\b", " ".join(comments)))
    assert named
    assert named <= FIGURES.keys()


@pytest.mark.parametrize("row", SOURCES["figures"], ids=lambda row: str(row["id"]))
def test_a_figure_says_where_it_is_from(row: dict[str, Any]) -> None:
    assert {"what", "zh", "value", "unit", "date", "source", "status", "confidence", "entered"} <= row.keys()
    assert row["source"]
    assert set(row["source"]) <= SOURCES["sources"].keys()
    assert row["status"] in STATUSES
    assert row["confidence"] in {"A", "B", "C"}
    if row["unit"] == "P":
        assert row["precision"]
        assert row["basis"]
    if all(SOURCES["sources"][each].get("copy") for each in row["source"]):
        assert row["confidence"] == "C", "only copies were read"


def test_figures_are_told_apart_and_conflicts_name_figures() -> None:
    assert len(FIGURES) == len(SOURCES["figures"])
    for conflict in SOURCES["conflicts"]:
        assert set(conflict["figures"]) <= FIGURES.keys()
        assert conflict["about"]
        assert conflict["told"]
    used = {each for row in SOURCES["figures"] for each in row["source"]} | {*SOURCES["green"]["shapes_from"]}
    assert used == SOURCES["sources"].keys()


@by_site
def test_carbon_is_the_cited_factor_in_every_hour(site: Site) -> None:
    figure = next(
        each for each in FIGURES.values() if each.get("region") == site.region and "factor-" in each["id"]
    )
    assert figure["value"] == FACTORS_2022[site.region]
    assert site.supply.grams_per_kwh == (round(FACTORS_2022[site.region] * 1000),) * 24
    assert f"{FACTORS_2022[site.region]:.4f} kg CO2/kWh" in site.supply.source


@by_site
def test_green_hours_follow_from_the_stated_shape(site: Site) -> None:
    green = SOURCES["green"]
    region = green["regions"][site.region]
    mix = [region["wind"] * w + region["sun"] * s for w, s in zip(green["wind"], green["sun"], strict=True)]
    mean = sum(mix) / 24
    local = [round(region["mean_ppm"] * (1 + region["follows"] * (each / mean - 1))) for each in mix]
    assert site.supply.green_ppm == tuple(local[(hour + 8) % 24] for hour in range(24))
    assert region["mean_ppm"] == pytest.approx(FIGURES[region["figure"]]["value"] * 10_000)
    assert sum(site.supply.green_ppm) / 24 == pytest.approx(region["mean_ppm"], abs=24)
    assert "assumed" in site.supply.source


@by_site
def test_prices_of_electricity_follow_from_the_stated_shape_and_are_said_to_be_made_up(site: Site) -> None:
    told = SOURCES["electricity"]
    region = told["regions"][site.region]
    local = [region["flat_milli_yuan"] * told["step_milli"][each] for each in told[region["shape"]]]
    assert site.supply.price_micro_per_kwh == tuple(local[(hour + 8) % 24] for hour in range(24))
    assert "Price of electricity: assumed" in site.supply.source
    assert SOURCES["assumed"]["price_per_kwh"].startswith("assumed: ")


def test_links_join_all_regions_at_the_floor_of_their_length() -> None:
    rows = [row for row in LINKS["links"] if row["from"] != "platform"]
    pairs = {frozenset((row["from"], row["to"])) for row in rows}
    regions = sorted(FACTORS_2022)
    assert pairs == {frozenset((a, b)) for a in regions for b in regions if a < b}
    assert len(pairs) == len(rows) == len(LINKS["links"]) - 1
    several = {region for region, n in Counter(site.region for site in SITES).items() if n > 1}
    assert {row["region"] for row in LINKS["inside"]} == several
    assert LINKS["synthetic"]
    for row in (*LINKS["links"], *LINKS["inside"]):
        assert row["rtt_floor_us"] == 2 * row["km"] * 1000 // 200
        assert row["gigabits_per_s"] > 0
    assert all(text.startswith("assumed: ") for text in LINKS["assumed"].values())


def test_the_way_to_each_center_is_as_wide_as_its_narrowest_link() -> None:
    links = [
        Link(*sorted((each.one, each.other)), each.bits_per_s, each.rtt_us, each.source, each.synthetic)
        for each in read_scenario_links(FOLDER)
    ]
    assert len(links) == len(LINKS["links"]) + len(LINKS["inside"])
    assert all(each.synthetic and each.source.startswith("assumed: ") for each in links)
    narrow = [replace(each, bits_per_s=10**10) if each.one == "platform" else each for each in links]
    assert set(widths(narrow, SITES)) == {10**10}, "what the platform's own line carries"
    found = {site.region: width // 10**9 for site, width in zip(SITES, widths(links, SITES), strict=True)}
    inner = {"Beijing": 400, "Tianjin": 400, "Zhangjiakou, Hebei": 200, "Ulanqab, Inner Mongolia": 200}
    assert found == inner


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("links: 3", "a list"),
        ("links: [{from: Beijing}]", "/links/0"),
        ("links: [{from: Beijing, to: platform, gigabits_per_s: wide}]", "/links/0"),
        ("{source: x, links: [{from: Beijing, to: platform, gigabits_per_s: 0}]}", "/links/0/bits_per_s"),
        ("{source: x, inside: [{region: 3, gigabits_per_s: 1}]}", "/inside/0"),
        ("links: [", "not YAML"),
    ],
)
def test_a_file_of_links_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "links.yaml"
    path.write_text(text)
    with pytest.raises(Refused) as caught:
        read_links(path)
    assert said in f"{caught.value.message} {[each.path for each in caught.value.problems]}"


def test_a_trace_runs_through_the_scenario(tmp_path: Path) -> None:
    trace = tmp_path / "small.csv"
    rows = "".join(f"{n},u{n % 3},vc{n % 2},{2 ** (n % 9)},COMPLETED,{60 * n},3600\n" for n in range(40))
    trace.write_text("job_id,user,vc,gpu_num,state,submit_time,duration\n" + rows)
    argv = [sys.executable, "-m", "hutong.main", "simulate", "beijing", "--trace", str(trace), "--order"]
    argv += ["fifo", "--policy", "cheapest", "--policy", "greenest", "--json"]
    done = subprocess.run(argv, env={**os.environ}, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["jobs"] == 40
    assert told["cards"] == sum(pool.cards for site, pool in POOLS if site.admission == "active")
    cheapest, greenest = (each["footprint"] for each in told["runs"])
    assert cheapest["cost_yuan"] < greenest["cost_yuan"]
    assert cheapest["green_share"] < greenest["green_share"]
    assert 0 < cheapest["electricity_yuan"] < cheapest["cost_yuan"]
