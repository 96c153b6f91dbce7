"""A site's accounting at the door, and the three columns of a day: scheduler, records and ledger."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.server.api.test_agent import AWARD, Centre, end
from tests.server.conftest import SITE

from hutong.core.kernel.quantities import DAY_MS
from hutong.server.loop import Loop
from hutong.server.metering import limits_of
from hutong.server.reconciling import Reconciler
from hutong.wire.base import rfc3339


class Ward:
    """A centre with accounting, a job that ran there for 36 s on 2 cards, and an operator who compares."""

    def __init__(self, centre: Centre, key: str) -> None:
        self.centre, self.platform, self.key = centre, centre.platform, key
        end(centre, key)
        centre.tell(key, "collected", outputs=[], log_bytes=0)
        centre.settle()
        self.upto_ms: int = self.platform.clock()

    @property
    def day(self) -> int:
        return self.upto_ms // DAY_MS

    def record(self, **more: Any) -> dict[str, Any]:
        told = {"record": "bj:7:1", "key": self.key, "card_ms": 2 * 38_000}
        return {**told, "from_ms": self.upto_ms - 38_000, "upto_ms": self.upto_ms, **more}

    def tally(self, count: int = 1, card_ms: int = 2 * 38_000) -> dict[str, Any]:
        return {"day": self.day, "count": count, "card_ms": card_ms, "others": 3, "read_ms": self.upto_ms}

    def tell(self, *records: dict[str, Any], days: tuple[dict[str, Any], ...] = ()) -> list[str]:
        found: list[str] = self.centre.call("usage", {"records": records, "days": days})["fates"]
        return found

    def get(self, path: str) -> Any:
        answer = self.platform.http.get(path, headers=self.platform.operator)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def day_of(self) -> Any:
        day = self.platform_day()
        (item,) = self.get(f"/v1/reconciliation?day={day}&source=haidian")["items"]
        return item

    def platform_day(self) -> str:
        return rfc3339(self.day * DAY_MS)[:10]


@pytest.fixture
def centre(platform: Any, li: dict[str, str]) -> Centre:
    services = platform.services
    found = Centre(
        platform, platform.agent("haidian"), Loop(services.store, services.rules, services.clock, "t")
    )
    found.here()
    platform.post("/v1/projects/physics/awards", AWARD)
    return found


@pytest.fixture
def ward(centre: Centre, submit: Callable[..., dict[str, Any]]) -> Ward:
    submit(max_duration="1h", num_nodes=2)
    centre.settle()
    key = centre.call("take", {})["commands"][0]["key"]
    centre.tell(key, "accepted", external_id="7", adopted=False)
    centre.tell(key, "started", started_ms=centre.platform.clock() - 36_000)
    centre.settle()
    return Ward(centre, key)


def test_a_day_on_which_all_agree_has_no_drift(ward: Ward) -> None:
    for _ in range(2):
        assert ward.tell(ward.record(), days=(ward.tally(),)) == ["confirmed"]
    found = ward.day_of()
    assert found["scheduler"] == found["usage"] == {"count": 1, "card_ms": 76_000}
    assert found["ledger"] == {"count": 1, "card_ms": 72_000}
    assert (found["unbilled_card_ms"], found["others"], found["drifts"]) == (4_000, 3, 0)
    assert found["differences"] == []


def test_cards_that_accounting_does_not_count_are_those_of_the_attempt(ward: Ward) -> None:
    assert ward.tell(ward.record(card_ms=None)) == ["confirmed"]
    assert ward.day_of()["usage"]["card_ms"] == 2 * 38_000


def test_a_record_without_an_attempt_waits_for_a_person_who_may_match_it(ward: Ward) -> None:
    assert ward.tell(ward.record(key=None)) == ["suspended"]
    (each,) = [each for each in ward.day_of()["differences"] if each["kind"] == "suspended"]
    assert "names no attempt" in each["reason"]
    body = {
        "source": "haidian",
        "record": "bj:7:1",
        "action": "match",
        "key": ward.key,
        "reason": "by its time",
    }
    answer = ward.platform.http.post("/v1/ledger/suspense/resolve", json=body, headers=ward.platform.operator)
    assert answer.json()["fate"] == "confirmed", answer.text
    assert ward.get("/v1/ledger/suspense")["items"] == []
    assert ward.tell(ward.record(key=None), days=(ward.tally(),)) == ["confirmed"]
    found = ward.day_of()
    assert (found["differences"], found["usage"], found["ledger"]["count"]) == ([], found["scheduler"], 1)


def test_a_great_difference_waits_and_a_person_corrects_the_book_by_it(ward: Ward) -> None:
    hours = ward.record(from_ms=ward.upto_ms - 38_000, card_ms=2 * 10 * 3_600_000)
    assert ward.tell(hours) == ["suspended"]
    (each,) = [each for each in ward.day_of()["differences"] if each["kind"] == "suspended"]
    assert "corrected without a person" in each["reason"]
    body = {"source": "haidian", "record": "bj:7:1", "action": "match", "reason": "the site showed its log"}
    answer = ward.platform.http.post("/v1/ledger/suspense/resolve", json=body, headers=ward.platform.operator)
    assert answer.json()["fate"] == "corrected", answer.text
    assert ward.get("/v1/ledger/check")["ok"]


def test_a_small_difference_corrects_the_book_once(ward: Ward) -> None:
    less = ward.record(card_ms=2 * 30_000)
    assert [ward.tell(less), ward.tell(less)] == [["corrected"], ["corrected"]]
    assert ward.day_of()["ledger"]["card_ms"] == 2 * 30_000
    assert ward.tell(ward.record(card_ms=2 * 36_000)) == ["corrected"]  # the next revision: as it was metered
    assert ward.day_of()["ledger"]["card_ms"] == 2 * 36_000
    assert ward.get("/v1/ledger/check")["ok"]


def test_what_is_missing_may_be_late_for_two_days_and_then_is_drift_also_on_the_meter(ward: Ward) -> None:
    ward.tell(days=(ward.tally(),))
    found = ward.day_of()
    assert {each["kind"] for each in found["differences"]} == {"unread", "unrecorded"}
    assert (found["drifts"], found["found"]) == (0, 2)
    ward.platform.clock.ahead_ms += 4 * DAY_MS - ward.upto_ms % DAY_MS
    assert ward.day_of()["drifts"] == 2
    services = ward.platform.services
    clock = lambda: (ward.day + 3) * DAY_MS  # noqa: E731 - the first moment at which the day is complete
    reconciler = Reconciler(services.store, limits_of(services.settings), clock)
    assert [reconciler.step(), reconciler.step()] == [2, 2]
    metrics = ward.platform.http.get("/metrics").text
    assert 'hutong_reconciliation_drift{site="haidian"} 2.0' in metrics


def test_clocks_and_spans_that_cannot_be_are_told(ward: Ward) -> None:
    hour = 3_600_000
    assert ward.tell(ward.record(upto_ms=ward.upto_ms + hour, from_ms=ward.upto_ms)) == ["suspended"]
    assert "clock is wrong" in ward.get("/v1/ledger/suspense")["items"][0]["reason"]
    bad = {"records": [ward.record(from_ms=ward.upto_ms + 1)]}
    answer = ward.platform.http.post("/v1/agent/usage", json=bad, headers=ward.centre.headers)
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["path"] == "/records/0/upto_ms"


@pytest.mark.parametrize(
    ("query", "status"), [("day=yesterday", 422), ("day=2999-01-01", 422), ("source=x", 404)]
)
def test_what_cannot_be_compared_says_why(ward: Ward, query: str, status: int) -> None:
    answer = ward.platform.http.get(f"/v1/reconciliation?{query}", headers=ward.platform.operator)
    assert answer.status_code == status, answer.text


def test_another_site_s_attempt_is_not_confirmed_by_this_one(ward: Ward) -> None:
    ward.platform.post("/v1/sites", {**SITE, "id": "miyun"})
    other = ward.platform.agent("miyun")
    answer = ward.platform.http.post("/v1/agent/usage", json={"records": [ward.record()]}, headers=other)
    assert answer.json()["fates"] == ["suspended"]
    assert "ran at haidian" in ward.get("/v1/ledger/suspense")["items"][0]["reason"]
