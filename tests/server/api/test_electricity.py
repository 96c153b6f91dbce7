"""What a centre pays for electricity, through the API: declared, changed, weighed, and told by receipts."""

from typing import Any

import pytest
from rich.console import Console
from tests.server.conftest import SITE, SPEC

from hutong.clients.cli.receipts import show_what_if
from hutong.core.book.store import Sighting
from hutong.core.control.rules import Rules
from hutong.core.kernel.ids import SiteId
from hutong.core.placement.request import Policy
from hutong.server.loop import Loop
from hutong.wire.base import Money
from hutong.wire.money import EnergyShare
from hutong.wire.receipts import Course, WhatIf

THRIFTY = Rules(policies={"balanced": Policy("balanced", 1, 0, 0, 0, 0, energy=9)})


def prices(*yuan: str) -> dict[str, Any]:
    """Return prices as the wire has them, of each hour or the same in all."""
    return {"amounts": list(yuan) if len(yuan) == 24 else list(yuan) * 24, "currency": "CNY"}


def put(platform: Any, body: dict[str, Any], site: str = "haidian") -> Any:
    """Change a site's prices as an operator."""
    return platform.http.put(f"/v1/sites/{site}/electricity", json=body, headers=platform.operator)


def test_prices_come_with_a_site_and_can_be_changed(platform: Any, li: dict[str, str]) -> None:
    other = {**SITE, "id": "tianjin", "supply": {**SITE["supply"], "price_per_kwh": prices("0.62")}}
    made = platform.post("/v1/sites", other)
    assert made["price_per_kwh_now"] == {"amount": "0.620000", "currency": "CNY"}
    assert platform.post("/v1/sites", other) == made, "a repeat changes nothing"
    by_hour = [f"0.{hour:02d}" for hour in range(24)]
    changed = put(platform, {"price_per_kwh": prices(*by_hour)}, "tianjin").json()
    hour = platform.clock() // 3_600_000 % 24
    assert changed["price_per_kwh_now"]["amount"] == f"0.{hour:02d}0000"
    assert put(platform, {"price_per_kwh": None}, "tianjin").json()["price_per_kwh_now"] is None
    body = {"price_per_kwh": prices("0.5")}
    assert platform.http.put("/v1/sites/tianjin/electricity", json=body, headers=li).status_code == 403
    assert platform.http.get("/v1/sites/haidian", headers=li).json()["price_per_kwh_now"] is None


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/price_per_kwh"),
        ({"price_per_kwh": {"amounts": ["0.5"] * 23}}, "/price_per_kwh/amounts"),
        ({"price_per_kwh": prices("-0.5")}, "/price_per_kwh/amounts/0"),
        ({"price_per_kwh": prices("100")}, "/price_per_kwh/amounts/0"),
        ({"price_per_kwh": {**prices("0.5"), "currency": "EUR"}}, "/price_per_kwh/currency"),
    ],
)
@pytest.mark.usefixtures("li")
def test_what_cannot_be_meant_names_the_field(platform: Any, body: dict[str, Any], path: str) -> None:
    answer = put(platform, body)
    assert answer.status_code == 422, answer.text
    assert path in [each["path"] for each in answer.json()["problems"]]
    assert put(platform, {"price_per_kwh": None}, "nowhere").status_code == 404


def test_a_job_goes_where_electricity_is_cheap_and_is_told_what_the_centre_pays(
    platform: Any, li: dict[str, str]
) -> None:
    platform.post("/v1/sites", {**SITE, "id": "tianjin", "distance_km": 900})
    put(platform, {"price_per_kwh": prices("0.8")})
    put(platform, {"price_per_kwh": prices("0.4")}, "tianjin")
    services, clock = platform.services, platform.clock
    award = {"amount": {"amount": "1000"}, "starts": "2026-01-01T00:00:00Z", "ends": "2099-01-01T00:00:00Z"}
    platform.post("/v1/projects/physics/awards", award)
    loop = Loop(services.store, THRIFTY, clock, "test")
    none: frozenset[Any] = frozenset()
    for name in ("haidian", "tianjin"):
        services.store.report(SiteId(name), [], Sighting(clock(), none, none), clock())
    job = platform.post("/v1/jobs", {"project": "physics", "spec": SPEC}, headers=li)["id"]
    while loop.step():
        pass
    assert services.store.job(job).job.live.site == "tianjin"
    receipt = platform.http.get(f"/v1/jobs/{job}/receipt", headers=li).json()
    told = {each["site"]: each["parts"][-1] for each in receipt["alternatives"]}
    assert {name: each["value_ppm"] for name, each in told.items()} == {"tianjin": 10**6, "haidian": 500_000}
    assert told["tianjin"]["name"] == "energy"
    assert told["tianjin"]["raw"].startswith("the centre pays 0.")
    found = platform.http.get(f"/v1/jobs/{job}/receipt/what-if", headers=li).json()
    kwh, paid = found["then"]["energy"]["kwh"], found["then"]["electricity"]
    assert float(paid["amount"]) == pytest.approx(0.4 * float(kwh), abs=1e-3)


def test_a_what_if_shows_the_electricity_where_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    share = EnergyShare(kwh="2", green_kwh="1", green_percent="50", co2e_g="900", method="modelled")
    course = Course(
        start="2026-11-29T08:00:00Z", policy="cheapest", place="bj/a", accelerator="H100", cards=8,
        cost=Money.of(10**7), energy=share,
    )  # fmt: skip
    dear = course.model_copy(update={"electricity": Money.of(1_200_000)})
    for then, said in ((course, ""), (dear, "electricity, paid by the centre ¥1.20 not known")):
        found = WhatIf(ran_s="3600", measured=True, then=then, instead=course)
        show_what_if(found, Console(width=200))
        rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        assert [row for row in rows if row.startswith("electricity")] == ([said] if said else [])
