"""Energy at the door: from readings to a balance, contracts, certificates, progress, a job's share."""

from dataclasses import replace
from typing import Any

import pytest
from tests.server.walking import Walk

from hutong.core.book.meters import SETTLE_AFTER_MS
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.server.energy import EnergyDesk
from hutong.wire.base import rfc3339

KWH = 3_600_000
METER = {
    "id": "feed-1",
    "measures": "facility",
    "site": "haidian",
    "most_per_hour": "1000",
    "source": "the grid",
}
WIND = {
    "id": "wind-1", "kind": "ppa", "source": "wind", "region": "beijing", "sites": ["haidian"],
    "supplier": "a farm", "starts": "2026-01-01T00:00:00Z",
}  # fmt: skip
GEC = {
    "id": "gec-1", "scheme": "gec", "series": "2026-W", "first": 1, "last": 100, "source": "wind",
    "region": "hebei", "starts": "2026-01-01T00:00:00Z", "ends": "2026-02-01T00:00:00Z",
    "expires": "2090-01-01T00:00:00Z", "bought_from": "the exchange",
}  # fmt: skip
PUE = {"cooling": "air", "month_milli": [1250] * 12, "source": "the operator"}
EMBODIED = {"grams_per_card": 150_000, "lifetime_hours": 50_000, "covers": "card", "source": "the maker"}
READINGS = "POST /v1/energy/meters/{meter}/readings"
PORTIONS = "/v1/energy/certificates/{certificate}/portions"


class Ward:
    """A platform with a meter, at the end of an hour that is wholly past."""

    def __init__(self, platform: Any) -> None:
        self.platform = platform
        self.hour = (platform.clock() - 3 * HOUR_MS) // HOUR_MS
        self.desk = EnergyDesk(platform.services.store, platform.clock)
        platform.post("/v1/energy/meters", METER)

    def reading(self, value: str | None, hour: int = 0, hours: int = 1) -> dict[str, Any]:
        start_ms = (self.hour + hour) * HOUR_MS
        return {"start": rfc3339(start_ms), "end": rfc3339(start_ms + hours * HOUR_MS), "value": value}

    def tell(self, *values: dict[str, Any], meter: str = "feed-1", status: int = 200, **more: Any) -> Any:
        answer = self.platform.http.post(
            f"/v1/energy/meters/{meter}/readings",
            json={"readings": values, **more},
            headers=self.platform.operator,
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    def get(self, path: str, status: int = 200, headers: dict[str, str] | None = None) -> Any:
        answer = self.platform.http.get(path, headers=headers or self.platform.operator)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def ward(platform: Any, li: dict[str, str]) -> Ward:
    return Ward(platform)


def test_readings_become_a_balance_that_sums_to_the_meter(ward: Ward) -> None:
    assert ward.tell(ward.reading("120.5"), ward.reading("1", 1)) == {"news": 2, "repeats": 0, "hours": 2}
    assert ward.tell(ward.reading("120.5")) == {"news": 0, "repeats": 1, "hours": 0}
    ward.platform.post("/v1/energy/contracts", WIND)
    ward.platform.post("/v1/energy/contracts", WIND)
    delivered = {**METER, "id": "d", "measures": "delivered", "site": None, "contract": "wind-1"}
    ward.platform.post("/v1/energy/meters", delivered)
    ward.tell(ward.reading("20.5"), meter="d")
    assert ward.desk.step() == 2
    assert ward.desk.step() == 0
    found = ward.get("/v1/energy/sites/haidian/balance")
    assert found["metered_j"] == 121.5 * KWH == found["jobs_j"] + found["idle_j"] + found["overhead_j"]
    first, second = found["items"]
    assert (first["metered_j"], first["it_j"], first["green_j"]) == (433_800_000, 361_500_000, 73_800_000)
    assert first["basis"] == "it=pue 1.200; jobs=modelled; market=grid mean"
    assert second["green_j"] == 0
    ward.platform.http.put(
        "/v1/energy/pue/haidian/a100", json=PUE, headers=ward.platform.operator
    ).raise_for_status()
    residual = {"residual_mg_per_kwh": 600_000, "source": "the ministry"}
    for year in (2025, 2026, 2027):
        ward.platform.http.put(
            f"/v1/energy/factors/beijing/{year}", json=residual, headers=ward.platform.operator
        ).raise_for_status()
    ward.tell(ward.reading("100"), correct=True, reason="a wrong factor")
    ward.desk.step()
    first = ward.get("/v1/energy/sites/haidian/balance")["items"][0]
    assert (first["basis"], first["market_mg"]) == (
        "it=pue 1.250; jobs=modelled; market=residual",
        47_700_000,
    )
    assert [each["revision"] for each in ward.get("/v1/energy/meters/feed-1/readings")["items"]] == [1, 2, 1]
    page = ward.get("/v1/energy/meters/feed-1/readings?limit=2")
    (last,) = ward.get(f"/v1/energy/meters/feed-1/readings?limit=2&cursor={page['next']}")["items"]
    assert last["value"] == KWH


def test_bad_readings_name_what_is_wrong_and_store_nothing(ward: Ward) -> None:
    cases = [
        (ward.reading("1000.1"), 422, "bad_reading", "/readings/1"),
        (ward.reading("0.00000001"), 422, "bad_value", "/readings/1/value"),
        ({**ward.reading("1"), "end": "monday"}, 422, "bad_time", "/readings/1/end"),
        (ward.reading("1", 9), 422, "bad_reading", "/readings/1"),
        (ward.reading("1", -1, 2), 409, "readings_overlap", "/readings"),
        (ward.reading(None), 409, "reading_differs", "/readings/1"),
    ]
    for wrong, status, code, path in cases:
        told = ward.tell(ward.reading("1", -1), wrong, status=status)
        assert (told["code"], told["problems"][0]["path"]) == (code, path)
    assert ward.tell(ward.reading("1"), unit="L", status=422)["code"] == "bad_unit"
    assert ward.tell(ward.reading("1"), correct=True, status=422)["code"] == "no_reason"
    assert ward.tell(ward.reading("1"), meter="none", status=404)["code"] == "not_found"
    assert ward.get("/v1/energy/meters/feed-1/readings")["items"] == []
    assert ward.get("/v1/energy/sites/haidian/balance?start=2026-01-01T00:00:00Z", 422)["code"] == "bad_span"
    assert ward.get("/v1/energy/sites/none/balance", 404)["code"] == "not_found"


@pytest.mark.parametrize(
    ("path", "body", "change", "field"),
    [
        ("meters", METER, {"site": "none"}, "/site"),
        ("meters", METER, {"measures": "delivered"}, "/site"),
        ("meters", METER, {"contract": "none", "site": None, "measures": "delivered"}, "/contract"),
        ("meters", METER, {"wraps_at": "5"}, "/wraps_at"),
        ("contracts", WIND, {"region": "hebei"}, "/sites/0"),
        ("contracts", WIND, {"sites": ["none"]}, "/sites/0"),
        ("contracts", WIND, {"ends": "2025-01-01T00:00:00Z"}, "/ends"),
        ("certificates", GEC, {"last": 0}, "/last"),
        ("certificates", GEC, {"ends": "2099-01-01T00:00:00Z"}, "/until"),
        ("certificates", GEC, {"contract": "none"}, "/contract"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(
    ward: Ward, path: str, body: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    asked = {**body, "id": "another", **change}
    answer = ward.platform.http.post(f"/v1/energy/{path}", json=asked, headers=ward.platform.operator)
    assert (answer.status_code, answer.json()["problems"][0]["path"]) == (422, field)


def test_certificates_are_registered_and_retired_once(ward: Ward) -> None:
    here, http = ward.platform, ward.platform.http
    month = rfc3339(here.clock())[:7]
    here.post("/v1/energy/certificates", GEC)
    here.post("/v1/energy/certificates", GEC)
    again = http.post(
        "/v1/energy/certificates",
        json={**GEC, "id": "gec-2", "first": 100, "last": 300},
        headers=here.operator,
    )
    assert (again.status_code, again.json()["code"]) == (409, "serial_known")
    portion = {"id": "p1", "site": "haidian", "month": month, "mwh": 2}
    here.post("/v1/energy/certificates/gec-1/portions", portion)
    retire = "/v1/energy/certificates/gec-1/portions/p1/retire"
    assert here.post(retire, {"reference": "R-1"})["retired_mwh"] == 2
    again = http.post(retire, json={"reference": "R-2"}, headers=here.operator)
    assert (again.status_code, again.json()["code"]) == (409, "retired")
    gone = http.delete("/v1/energy/certificates/gec-1/portions/p1", headers=here.operator)
    assert gone.status_code == 409
    ward.tell(ward.reading("1000"))
    ward.desk.step()
    start_of_month = month == rfc3339(ward.hour * HOUR_MS)[:7]
    found = ward.get("/v1/energy/sites/haidian/progress?year=" + rfc3339(ward.hour * HOUR_MS)[:4])
    assert (found["used_j"], found["by_hour_ppm"]) == (1000 * KWH, 0)
    assert found["by_volume_ppm"] == (1_000_000 if start_of_month else 0)
    assert {each["value_milli"] for each in found["indicators"]} == {None}
    assert ward.get("/v1/energy/sites/haidian/progress?year=2001")["by_hour_ppm"] is None


def test_certificates_that_say_their_hour_meet_it(ward: Ward) -> None:
    starts, ends = (rfc3339((ward.hour + at) * HOUR_MS) for at in (0, 1))
    year, month = starts[:4], starts[:7]
    for name, region, times in (
        ("this", "beijing", (starts, ends)), ("elsewhere", "hebei", (starts, ends)),
        ("other", "beijing", (GEC["starts"], GEC["ends"])),
    ):  # fmt: skip
        told = {**GEC, "id": name, "series": name, "region": region, "starts": times[0], "ends": times[1]}
        ward.platform.post("/v1/energy/certificates", told)
        portion = {"id": "p", "site": "haidian", "month": month, "mwh": 1}
        ward.platform.post(f"/v1/energy/certificates/{name}/portions", portion)
        retire = f"/v1/energy/certificates/{name}/portions/p/retire"
        ward.platform.post(retire, {"reference": "R"})
    ward.platform.post("/v1/energy/meters", {**METER, "id": "feed-2", "most_per_hour": "9000"})
    ward.tell(ward.reading("8000"), meter="feed-2")
    ward.desk.step()
    found = ward.get(f"/v1/energy/sites/haidian/progress?year={year}")
    assert (found["by_hour_ppm"], found["by_volume_ppm"]) == (125_000, 375_000)


def test_a_job_has_its_share_beside_its_bill(ward: Ward, submit: Any, li: dict[str, str], wang: Any) -> None:
    job = submit()["id"]
    found = ward.get(f"/v1/jobs/{job}/energy", headers=li)
    assert (found["booked_j"], found["metered_hours"], found["sci_mg_per_card_hour"]) == (0, 0, None)
    ward.get(f"/v1/jobs/{job}/energy", 404, headers=wang)


def test_who_may_not(ward: Ward, li: dict[str, str]) -> None:
    for path in ("meters", "contracts", "certificates", "factors", "pue", "sites/haidian/balance"):
        ward.get(f"/v1/energy/{path}", 403, headers=li)
    answer = ward.platform.http.post("/v1/energy/meters", json={**METER, "id": "x"}, headers=li)
    assert answer.status_code == 403


WALK = (
    ("POST /v1/energy/meters", METER, "energy_meter.create"),
    (READINGS, None, "energy_meter.read"),
    ("POST /v1/energy/meters/{meter}/end", {"ends": "2090-01-01T00:00:00Z"}, "energy_meter.change"),
    ("POST /v1/energy/contracts", WIND, "energy_contract.create"),
    ("POST /v1/energy/contracts/{contract}/end", {"ends": "2090-01-01T00:00:00Z"}, "energy_contract.change"),
    ("POST /v1/energy/certificates", GEC, "certificate.create"),
    (f"POST {PORTIONS}", {"id": "p1", "site": "haidian", "month": "2026-11", "mwh": 2}, "certificate.change"),
    (f"DELETE {PORTIONS}/{{portion}}", None, "certificate.change"),
    (f"POST {PORTIONS}", {"id": "p1", "site": "haidian", "month": "2026-11", "mwh": 3}, "certificate.change"),
    (f"POST {PORTIONS}/{{portion}}/retire", {"reference": "R-1"}, "certificate.change"),
    (
        "PUT /v1/energy/factors/{region}/{year}",
        {"residual_mg_per_kwh": 1, "source": "s"},
        "energy_factor.create",
    ),
    ("PUT /v1/energy/pue/{site}/{pool}", PUE, "energy_pue.create"),
    ("PUT /v1/energy/embodied/{site}/{pool}", EMBODIED, "energy_embodied.create"),
)
ROUTES = tuple(dict.fromkeys(route for route, *_ in WALK))


def test_what_is_changed_about_energy_is_told(platform: Any, li: dict[str, str]) -> None:
    walk = Walk(platform.http, platform.services.store, {"admin": platform.operator})
    names = {
        "meter": "feed-1", "contract": "wind-1", "certificate": "gec-1", "portion": "p1", "site": "haidian",
        "pool": "a100", "region": "beijing", "year": "2026",
    }  # fmt: skip
    start_ms = (platform.clock() - DAY_MS) // HOUR_MS * HOUR_MS
    reading = {"start": rfc3339(start_ms), "end": rfc3339(start_ms + HOUR_MS), "value": "5"}
    for route, body, told in WALK:
        walk("admin", route, body or ({"readings": [reading]} if route == READINGS else None), told, **names)
        if not route.startswith("DELETE") and not route.endswith(("portions", "retire")):
            walk("admin", route, body or {"readings": [reading]}, "", **names)  # a repeat is no change
    walk.done(ROUTES)


def test_an_hour_is_left_alone_until_its_use_is_booked(ward: Ward) -> None:
    now_ms = ward.platform.clock()
    hour = now_ms // HOUR_MS - 1
    ward.tell(ward.reading("5", hour - ward.hour))
    early = replace(ward.desk, clock=lambda: (hour + 1) * HOUR_MS + SETTLE_AFTER_MS - 1)
    assert early.step() == 0
    assert replace(ward.desk, clock=lambda: (hour + 1) * HOUR_MS + SETTLE_AFTER_MS).step() == 1
