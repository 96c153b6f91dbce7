"""Registers that agents read, at the door: only those that the operator gave to them, once, and told."""

from typing import Any

import pytest
from tests.server.walking import Walk

from hutong.core.kernel.quantities import HOUR_MS
from hutong.wire.base import rfc3339

METER = {
    "id": "feed-1", "measures": "facility", "counts": "register", "site": "haidian", "by_agent": True,
    "most_per_hour": "1000", "wraps_at": "1000000", "source": "the centre",
}  # fmt: skip
ROUTES = ("POST /v1/agent/meters/{meter}/readings",)


class Reader:
    """A site's agent that reads a register, at the end of an hour that is wholly past."""

    def __init__(self, platform: Any) -> None:
        self.platform = platform
        self.agent = platform.agent("haidian")
        self.hour = (platform.clock() - 3 * HOUR_MS) // HOUR_MS
        platform.post("/v1/energy/meters", METER)

    def shown(self, value: str | None, hour: int = 0) -> dict[str, Any]:
        return {"end": rfc3339((self.hour + hour) * HOUR_MS), "value": value}

    def tell(self, *readings: dict[str, Any], meter: str = "feed-1", status: int = 200, **more: Any) -> Any:
        answer = self.platform.http.post(
            f"/v1/agent/meters/{meter}/readings",
            json={"unit": "J", "readings": readings, **more},
            headers=more.pop("who", self.agent),
        )
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def reader(platform: Any, li: dict[str, str]) -> Reader:
    return Reader(platform)


def test_readings_come_once_and_are_the_meter_s(reader: Reader) -> None:
    some = (reader.shown("100"), reader.shown("350", 1))
    assert reader.tell(*some) == {"news": 2, "repeats": 0, "hours": 1}
    assert reader.tell(*some) == {"news": 0, "repeats": 2, "hours": 0}
    found = reader.platform.http.get("/v1/energy/meters/feed-1/readings", headers=reader.platform.operator)
    assert [(each["value"], each["by"]) for each in found.json()["items"]] == [
        (100, "site:haidian"), (350, "site:haidian"),
    ]  # fmt: skip


def test_an_agent_reads_what_is_its_site_s_and_was_given_to_it(reader: Reader) -> None:
    others = {**METER, "id": "grid", "by_agent": False}
    reader.platform.post("/v1/energy/meters", others)
    listed = reader.platform.http.get("/v1/agent/meters", headers=reader.agent).json()["items"]
    assert [(each["id"], each["by_agent"]) for each in listed] == [("feed-1", True)]
    for meter in ("grid", "nothing"):
        assert reader.tell(reader.shown("1"), meter=meter, status=404)["code"] == "not_found"
    site = reader.platform.http.get("/v1/sites/haidian", headers=reader.platform.operator).json()
    assert site["region"]
    person = reader.platform.operator
    for path in ("/v1/agent/meters", "/v1/agent/meters/feed-1/readings"):
        method = "GET" if path.endswith("meters") else "POST"
        body = None if method == "GET" else {"readings": [reader.shown("1")]}
        assert reader.platform.http.request(method, path, json=body, headers=person).status_code == 403


def test_what_an_agent_may_not_say_is_refused_and_nothing_is_kept(reader: Reader) -> None:
    reader.tell(reader.shown("100"))
    assert reader.tell(reader.shown("101"), status=409)["code"] == "reading_differs"
    assert reader.tell(reader.shown("101"), correct=True, reason="x", status=422)["code"] == "bad_reading"
    assert reader.tell(reader.shown(None), status=409)["code"] == "reading_differs"
    assert reader.tell(reader.shown("9" * 16, 1), status=422)["code"] == "bad_reading"
    ahead = reader.tell(reader.shown("200", 1), reader.shown("300", 9), status=503)
    assert "ahead" in ahead["detail"]
    found = reader.platform.http.get("/v1/energy/meters/feed-1/readings", headers=reader.platform.operator)
    assert [each["value"] for each in found.json()["items"]] == [100]


@pytest.mark.parametrize(
    "change",
    [{"counts": "interval", "wraps_at": None}, {"measures": "delivered", "site": None, "contract": "w"}],
)
def test_an_agent_is_given_registers_of_its_site_alone(reader: Reader, change: dict[str, Any]) -> None:
    answer = reader.platform.http.post(
        "/v1/energy/meters", json={**METER, "id": "other", **change}, headers=reader.platform.operator
    )
    assert answer.status_code == 422, answer.text


def test_what_an_agent_tells_is_in_the_audit(reader: Reader) -> None:
    walk = Walk(reader.platform.http, reader.platform.services.store, {"site:haidian": reader.agent})
    body = {"readings": [reader.shown("1")]}
    walk("site:haidian", ROUTES[0], body, "energy_meter.read", meter="feed-1")
    walk("site:haidian", ROUTES[0], body, "", meter="feed-1")
    walk.done(ROUTES)
