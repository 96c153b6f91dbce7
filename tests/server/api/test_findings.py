"""Findings at the door: kept by the desk, explained by their centre alone, decided once, all of it told."""

from pathlib import Path
from typing import Any

import pytest
from tests.server.api.test_utilisation import Watch
from tests.server.conftest import SITE
from tests.server.walking import Walk

from hutong.core.book.received import Fate, Kept, Received
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.server.findings import SETTLED_MS, FindingsDesk
from hutong.server.metering import limits_of

FINDING = "/v1/findings/{finding}"
OWN = "POST /v1/agent/findings/{finding}/explanation"
ROUTES = (f"POST {FINDING}/explanation", f"POST {FINDING}/decision", OWN)
SETTLE = {"outcome": "settled", "text": "they were announced"}
TOLD = {"text": "acceptance tests of rack 7"}


class Bench(Watch):
    """A site at which yesterday one use was told twice, and a desk that looked."""

    def __init__(self, platform: Any, folder: Path) -> None:
        super().__init__(platform, folder)
        services = platform.services
        begin = self.day * DAY_MS + HOUR_MS
        for name in ("r1", "r2"):
            told = Received("haidian", name, 1, "ht-x", "card_ms", 8 * HOUR_MS, begin, begin + HOUR_MS)
            services.store.receive(Kept(told, Fate.SUSPENDED, "no such attempt", "site", begin))
        self.desk = FindingsDesk(services.store, limits_of(services.settings), platform.clock)
        while self.desk.step():
            pass

    @property
    def day(self) -> int:
        """The last day that has ended for long enough to be looked at."""
        return int((self.platform.clock() - SETTLED_MS) // DAY_MS - 1)

    def post(self, path: str, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Any:
        answer = self.platform.http.post(path, json=body, headers=headers or self.platform.operator)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def bench(platform: Any, li: dict[str, str], tmp_path: Path) -> Bench:
    return Bench(platform, tmp_path)


def test_a_centre_explains_the_operator_decides_and_what_is_decided_waits_no_more(bench: Bench) -> None:
    first, second = bench.get("/v1/findings")["items"]
    assert {first["kind"], second["kind"]} == {"ghost", "replayed"}
    own = bench.platform.http.get("/v1/agent/findings", headers=bench.headers).json()
    assert own["items"] == [first, second]
    digest = "sha256:" + "0" * 64
    body = {**TOLD, "evidence": digest}
    for _ in range(2):  # a repeat is harmless
        told = bench.post(f"/v1/agent/findings/{first['id']}/explanation", body, headers=bench.headers)
        assert (told["state"], len(told["messages"])) == ("explained", 1)
    assert (told["messages"][0]["by"], told["messages"][0]["evidence"]) == ("site:haidian", digest)
    for _ in range(2):
        done = bench.post(f"/v1/findings/{first['id']}/decision", SETTLE)
        assert (done["state"], [each["by"] for each in done["messages"]]) == (
            "settled", ["site:haidian", "admin"]
        )  # fmt: skip
    confirm = {**SETTLE, "outcome": "confirmed"}
    assert bench.post(f"/v1/findings/{first['id']}/decision", confirm, 409)["code"] == "decided"
    assert bench.get("/v1/findings")["items"] == [second]
    assert bench.get("/v1/findings?waiting=false")["items"] == [done, second]
    assert bench.get(f"/v1/findings/{first['id']}") == done


def test_another_centre_and_a_member_may_not_know_of_it(bench: Bench, li: dict[str, str]) -> None:
    bench.platform.post("/v1/sites", {**SITE, "id": "changping"})
    other = bench.platform.agent("changping")
    name = bench.get("/v1/findings")["items"][0]["id"]
    bench.post(f"/v1/agent/findings/{name}/explanation", TOLD, 404, other)
    assert bench.platform.http.get("/v1/agent/findings", headers=other).json()["items"] == []
    for path in ("/v1/findings", f"/v1/findings/{name}"):
        assert bench.platform.http.get(path, headers=li).status_code == 403
    bench.post(f"/v1/findings/{name}/decision", SETTLE, 403, li)
    bench.post(f"/v1/findings/{name}/decision", SETTLE, 403, bench.headers)


def test_findings_are_paged_without_a_gap_over_those_that_wait_no_more(bench: Bench) -> None:
    first, second = bench.get("/v1/findings")["items"]
    page = bench.get("/v1/findings?limit=1")
    assert [each["id"] for each in page["items"]] == [first["id"]]
    assert bench.get(f"/v1/findings?limit=1&cursor={page['next']}") == {"items": [second], "next": ""}
    # An index that a kill left behind shows nothing, and hides nothing after it.
    store = bench.platform.services.store
    row = store.get("finding_waits", first["id"])
    bench.post(f"/v1/findings/{first['id']}/decision", SETTLE)
    store.put(row, 0)
    page = bench.get("/v1/findings?limit=1&site=haidian")
    assert page["items"] == []
    assert bench.get(f"/v1/findings?limit=1&cursor={page['next']}")["items"] == [second]


@pytest.mark.parametrize(
    ("body", "status"),
    [({**SETTLE, "outcome": "gone"}, 422), ({**SETTLE, "text": ""}, 422), ({**SETTLE, "text": "  "}, 422)],
)
def test_a_decision_that_is_none_changes_nothing(bench: Bench, body: Any, status: int) -> None:
    name = bench.get("/v1/findings")["items"][0]["id"]
    bench.post(f"/v1/findings/{name}/decision", body, status)
    assert bench.get(f"/v1/findings/{name}")["state"] == "open"


def test_what_is_said_and_decided_is_told(bench: Bench) -> None:
    platform = bench.platform
    walk = Walk(
        platform.http, platform.services.store,
        {"admin": platform.operator, "site:haidian": bench.headers},
    )  # fmt: skip
    first, second = (each["id"] for each in bench.get("/v1/findings")["items"])
    walk("site:haidian", OWN, TOLD, "finding.change", finding=first)
    walk("admin", f"POST {FINDING}/explanation", TOLD, "finding.change", finding=second)
    walk("admin", f"POST {FINDING}/explanation", TOLD, "", finding=second)
    walk("admin", f"POST {FINDING}/decision", SETTLE, "finding.change", finding=second)
    walk.done(ROUTES)
