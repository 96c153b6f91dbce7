"""`hutong reconcile`: three columns, each difference with what to do, and an exit code for a timer."""

import json

import httpx2
from tests.clients.cli.conftest import House

from hutong.config import now_ms
from hutong.core.kernel.quantities import DAY_MS
from hutong.wire.base import rfc3339


def test_drift_is_shown_and_is_the_exit_code(house: House) -> None:
    day = now_ms() // DAY_MS - 4
    name = rfc3339(day * DAY_MS)[:10]
    calm = house.run("reconcile", "--day", name, "--source", "haidian", admin=True)
    assert (calm.code, "not read" in calm.out) == (0, True)
    headers = {"Authorization": f"Bearer {house.admin}"}
    with httpx2.Client(base_url=house.url, trust_env=False) as http:
        secret = http.post("/v1/sites/haidian/tokens", headers=headers).json()["secret"]
        tally = {"day": day, "count": 1, "card_ms": 3_600_000, "others": 7, "read_ms": now_ms()}
        sent = http.post(
            "/v1/agent/usage", json={"days": [tally]}, headers={"Authorization": f"Bearer {secret}"}
        )
    assert sent.json() == {"fates": []}
    found = house.run("reconcile", "--day", name, "--source", "haidian", admin=True, env={"COLUMNS": "200"})
    assert found.code == 1
    assert "1 / 1.000 h" in found.out
    assert "accounting holds 1 starts" in found.out
    told = house.run("reconcile", "--day", name, "--json", admin=True)
    assert told.code == 1
    assert json.loads(told.out)["items"][0]["differences"][0]["kind"] == "unread"


def test_a_day_that_is_none_is_the_callers_fault(house: House) -> None:
    assert house.run("reconcile", "--day", "monday", admin=True).code == 2
    assert house.run("reconcile").code == 2
