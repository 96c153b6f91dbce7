"""Scenarios' registries: a city is data; every figure of the centres of Beijing is one of its sources."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hutong.clients.cli.scenario import read_whole
from hutong.core.capacity.centres import Centre, PhaseState, check_changes, check_plans
from hutong.core.capacity.rollups import delays, roll_up
from hutong.server.api.shapes.centres import read_centre
from hutong.server.api.shapes.sites import read_site

FOLDER = Path(__file__).parents[2] / "scenarios"
CITIES = ("beijing", "kajaani")
DAY = "2026-11-29"


def registry(city: str) -> list[Centre]:
    return [read_centre(each, "o", 0, "op") for each in read_whole(FOLDER / city).centres]


@pytest.mark.parametrize("city", CITIES)
def test_a_city_is_data(city: str) -> None:
    sites = [read_site(each) for each in read_whole(FOLDER / city).sites]
    centres = registry(city)
    assert {name for centre in centres for name in centre.sites} == {str(site.id) for site in sites}
    regions = {str(site.id): site.region for site in sites}
    for centre in centres:
        assert {regions[name] for name in centre.sites} <= {centre.region}
        for phase in centre.phases:
            check_changes(phase.changes, DAY)
            check_plans(phase.plans, DAY)
            assert not phase.proved_at(DAY), "nobody of these centres showed anything to Hutong"


def test_every_figure_of_beijing_is_one_of_its_sources() -> None:
    sources: dict[str, Any] = yaml.safe_load((FOLDER / "beijing" / "sources.yaml").read_text())
    figures = {each["id"]: each for each in sources["figures"]}
    text = (FOLDER / "beijing" / "centres.yaml").read_text()
    named = set(re.findall(r"\[([a-z0-9]+(?:-[a-z0-9]+)+|partners|cuihu)\]", text))
    assert named - figures.keys() <= {"-"} | set(re.findall(r"sites: \[([a-z-]+)\]", text))
    stated = {(c.id, p.id): p.capacity.stated.gops / 10**6 for c in registry("beijing")
              for p in c.phases if p.capacity.stated}  # fmt: skip
    value = {id: float(each["value"]) for id, each in figures.items()}
    assert stated == {
        ("shangzhuang", "1"): value["shangzhuang-1"],
        ("shangzhuang", "2"): value["shangzhuang-2"] - value["shangzhuang-1"],
        ("yizhuang", "1"): value["yizhuang-1"],
        ("digital-economy", "2000"): value["digital-economy-1"],
        ("jingxi", "2"): value["jingxi-1"],
        ("jingxi", "1000"): value["jingxi-5"] - value["jingxi-1"],
        ("beijing-clusters", "1"): 10_000, ("beijing-clusters", "2"): 10_000,
        ("tianjin-ai", "1"): value["tianjin-1"],
        ("tianjin-ai", "1000"): value["tianjin-2"] - value["tianjin-1"],
        ("wuqing", "1"): value["wuqing-1"], ("wuqing", "2"): value["wuqing-2"] - value["wuqing-1"],
        ("zhangjiakou", "27"): value["zjk-p-2023"], ("ulanqab", "1"): value["ulanqab-1"],
    }  # fmt: skip


def test_what_both_cities_come_to() -> None:
    served = {
        each.key: each.rows[0].declared.likely // 10**6
        for each in roll_up(registry("beijing"), DAY, "region")
    }
    assert served == {
        "Beijing": 4_000, "Tianjin": 2_200, "Zhangjiakou, Hebei": 7_600, "Ulanqab, Inner Mongolia": 600,
    }  # fmt: skip
    late = {each.centre.id: each.late_days for each in delays(registry("beijing"), DAY)}
    assert late == {"shangzhuang": 973, "wuqing": 882}
    lumi = {each.key: each for each in roll_up(registry("kajaani"), DAY, "chip")}
    assert (lumi["MI250X"].cards, lumi["MI250X"].rows[0].declared.likely) == (11_912, 11_912 * 383_000)
    (phase,) = (each.phase for each in delays(registry("kajaani"), DAY))
    assert phase.state_at("2022-12-31") is PhaseState.ACCEPTED
    assert [each.late_days for each in delays(registry("kajaani"), DAY)] == [365]
