"""The files that init proposes: one that the agent reads as it is, one that no platform takes as it is."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from hutong.adapters.engines.inspection import Found, FoundPool, Setting
from hutong.adapters.engines.ray.config import RayConfig
from hutong.adapters.engines.slurm.config import SlurmConfig
from hutong.agent.config import read_agent
from hutong.agent.proposal import agent_text, reviews, site_text
from hutong.clients.cli.site_commands import read_sites
from hutong.core.kernel.errors import Later, Refused
from hutong.main import cli
from hutong.wire.sites import NewSite

POOL = FoundPool(
    "h100", "H100", 4, 8, 96, 1 << 40,
    (Setting("partition", "gpu", "also in old"), Setting("gres", "gpu:h100"), Setting("cpus_per_card", 12),
     Setting("constraint", "", "no feature tells them apart")),
)  # fmt: skip
ODD = FoundPool("zz9", "zz9", 1, 1, 8, 1 << 30, (Setting("partition", 'we"ird\\'),), ("'zz9' is unknown",))
FOUND = Found(
    "slurm", {}, (Setting("root", "/shared/算力", "not shared"),), (POOL, ODD), ("accounting is off",)
)


def agent(tmp_path: Path) -> str:
    return agent_text(
        FOUND, "east", "https://hutong.example", tmp_path, tmp_path / "token", tmp_path / "a.toml"
    )


def test_the_agents_file_is_read_as_it_was_meant(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(agent(tmp_path))
    (tmp_path / "token").write_text("secret\n")
    config = read_agent(tmp_path / "agent.toml")
    assert (config.site, config.url, config.token) == ("east", "https://hutong.example", "secret")
    assert isinstance(config.engine, SlurmConfig)
    assert config.engine.folder.root == Path("/shared/算力")
    assert config.engine.pools["h100"].cpus_per_card == 12
    assert config.engine.pools["h100"].constraint == ""
    assert config.engine.pools["zz9"].partition == 'we"ird\\'


def test_a_ray_clusters_pool_is_read_as_it_was_meant(tmp_path: Path) -> None:
    share = {"GPU": 1, "accelerator_type:H100": 0.001}
    pool = FoundPool("h100", "H100", 4, 8, 96, 1 << 40, (Setting("per_card", share),))
    lines = (Setting("root", "/shared"), Setting("url", "http://head:8265"))
    (tmp_path / "token").write_text("secret\n")
    found = Found("ray", {}, lines, (pool,))
    text = agent_text(found, "east", "https://hutong.example", tmp_path, tmp_path / "token", tmp_path / "a")
    (tmp_path / "agent.toml").write_text(text)
    engine = read_agent(tmp_path / "agent.toml").engine
    assert isinstance(engine, RayConfig)
    assert engine.pools["h100"].per_card == share


def test_every_doubt_stands_in_the_file_and_in_the_list(tmp_path: Path) -> None:
    text = agent(tmp_path)
    listed = reviews(FOUND)
    assert len(listed) == 5
    for doubt in ("not shared", "also in old", "no feature tells them apart", "'zz9' is unknown"):
        assert f"# review: {doubt}" in text
        assert any(doubt in each for each in listed)
    assert listed[0] == "accounting is off"


def filled(**pool: object) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(site_text(FOUND, "east"))
    document |= {"name_zh": "东", "name_en": "East", "region": "Beijing", "distance_km": 5}
    document["supply"] = {"green_ppm": [1] * 24, "grams_per_kwh": [1] * 24, "source": "measured"}
    document["pools"] = [{**each, **pool} for each in document["pools"]]
    return document


def test_no_site_is_entered_before_its_operator_has_filled_everything_in(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(site_text(FOUND, "east"))
    with pytest.raises(Refused) as caught:
        read_sites(path)
    places = {each.path for each in caught.value.problems}
    assert {"/0/pools/0/price_per_card_hour/amount", "/0/pools/1/pue", "/0/supply/green_ppm"} <= places


def test_a_price_that_nobody_set_is_no_price(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(filled(pue="1.2")))
    with pytest.raises(Refused) as caught:
        read_sites(path)
    prices = {f"/0/pools/{index}/price_per_card_hour/amount" for index in range(2)}
    assert {each.path for each in caught.value.problems} == prices


def test_filled_in_it_is_a_registration() -> None:
    site = NewSite.model_validate(filled(pue="1.2", price_per_card_hour={"amount": "8.5"}))
    assert (site.engine, site.pools[0].nodes, site.pools[0].cards_per_node) == ("slurm", 4, 8)


def test_a_cluster_that_does_not_answer_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        def inspect(self) -> Found:
            raise Later("scontrol: fatal: Could not establish a configuration source", 5)

    monkeypatch.setattr("hutong.agent.inspectors.new_inspector", lambda *_: Silent())
    monkeypatch.chdir(tmp_path)
    words = ["agent", "init", "--site", "east", "--url", "https://hutong.example", "--engine", "slurm"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2
    assert "slurm does not answer: scontrol: fatal" in done.stderr
    assert "--engine local" in done.stderr
    assert not list(tmp_path.iterdir())
