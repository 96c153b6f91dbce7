"""A job's energy from end to end: it runs, is billed, counted by its engine, and has its share of a meter."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.server.api.test_agent import AWARD, Centre, end
from tests.server.api.test_energy import KWH, METER

from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.server.energy import EnergyDesk
from hutong.server.loop import Loop
from hutong.wire.base import rfc3339

IPMI = "slurm/ipmi: whole nodes"
SHARED = "not counted: it may have shared its nodes"


class Ward:
    """A job that ran for 36 s on two cards of a metered site, seen four hours later."""

    def __init__(self, platform: Any, centre: Centre, job: str, key: str) -> None:
        self.platform, self.centre, self.job, self.key = platform, centre, job, key
        self.desk = EnergyDesk(platform.services.store, platform.clock)
        self.upto_ms: int = platform.clock()
        end(centre, key)
        centre.tell(key, "collected", outputs=[], log_bytes=0)
        centre.settle()
        platform.post("/v1/energy/meters", METER)
        platform.clock.ahead_ms += 4 * HOUR_MS
        hour = (self.upto_ms - 40_000) // HOUR_MS  # it may have begun in the hour before
        times = [rfc3339((hour + at) * HOUR_MS) for at in range(3)]
        told = [{"start": times[at], "end": times[at + 1], "value": "1"} for at in range(2)]
        platform.post("/v1/energy/meters/feed-1/readings", {"readings": told})
        self.hours = len(range(hour, self.upto_ms // HOUR_MS + 1))

    def told(self, **more: Any) -> str:
        record = {
            "record": "bj:7:1",
            "key": self.key,
            "card_ms": 2 * 38_000,
            "from_ms": self.upto_ms - 38_000,
        }
        answer = self.centre.call("usage", {"records": [{**record, "upto_ms": self.upto_ms, **more}]})
        return str(answer["fates"][0])

    def energy(self) -> Any:
        self.desk.step()
        answer = self.platform.http.get(f"/v1/jobs/{self.job}/energy", headers=self.platform.operator)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def balance(self) -> Any:
        start = rfc3339(self.upto_ms - DAY_MS)
        answer = self.platform.http.get(
            f"/v1/energy/sites/haidian/balance?start={start}", headers=self.platform.operator
        )
        return answer.json()


@pytest.fixture
def ward(platform: Any, li: dict[str, str], submit: Callable[..., dict[str, Any]]) -> Ward:
    here = platform.services
    centre = Centre(platform, platform.agent("haidian"), Loop(here.store, here.rules, here.clock, "t"))
    centre.here()
    platform.post("/v1/projects/physics/awards", AWARD)
    job = submit(max_duration="1h", num_nodes=2)["id"]
    centre.settle()
    key = centre.call("take", {})["commands"][0]["key"]
    centre.tell(key, "accepted", external_id="7", adopted=False)
    centre.tell(key, "started", started_ms=platform.clock() - 36_000)
    centre.settle()
    return Ward(platform, centre, job, key)


def test_a_job_s_share_of_the_meter_is_modelled_until_it_is_counted(ward: Ward) -> None:
    model_j = 2 * 36 * 400  # two A100 of 400 W for 36 s
    before = ward.energy()
    assert abs(before["it_j"] - model_j) < 2 * 400
    assert (before["counted_j"], before["counted_by"]) == (None, "")
    assert {each["method"].split(":")[0] for each in before["items"]} == {"modelled"}
    assert ward.told(energy_j=90_000, energy_basis=IPMI) == "confirmed"
    after = ward.energy()
    assert (after["counted_j"], after["counted_by"]) == (90_000, IPMI)
    assert {each["method"] for each in after["items"]} == {f"counted: {IPMI}, spread over its time"}
    # All of it but what fell into two seconds before the ranks ran, if those were in another hour.
    assert 90_000 - 5_000 < after["it_j"] <= 90_000
    assert after["booked_j"] == before["booked_j"]  # the bill keeps its figure
    whole = ward.balance()
    assert whole["metered_j"] == 2 * KWH == whole["jobs_j"] + whole["idle_j"] + whole["overhead_j"]
    assert whole["jobs_j"] == after["it_j"]
    assert sum("jobs=counted;" in each["basis"] for each in whole["items"]) == len(after["items"])


def test_a_count_that_changes_is_a_revision_and_the_hour_follows(ward: Ward) -> None:
    for energy_j in (90_000, 60_000):
        for _ in range(2):
            ward.told(energy_j=energy_j, energy_basis=IPMI)
            assert ward.energy()["counted_j"] == energy_j
    ward.told(energy_j=None, energy_basis=SHARED)
    found = ward.energy()
    assert (found["counted_j"], found["counted_by"]) == (None, SHARED)
    assert all(each["method"].endswith(SHARED) for each in found["items"])


def test_what_a_person_dismissed_counts_for_nothing(ward: Ward) -> None:
    assert ward.told(energy_j=90_000, energy_basis=IPMI, key=None) == "suspended"
    assert ward.energy()["counted_j"] is None
    body = {"source": "haidian", "record": "bj:7:1", "action": "dismiss", "reason": "a test"}
    ward.platform.post("/v1/ledger/suspense/resolve", body)
    assert ward.energy()["counted_j"] is None


def test_embodied_carbon_is_in_sci_where_it_is_stated_and_left_out_where_not(ward: Ward) -> None:
    before = ward.energy()
    assert (before["embodied_mg"], before["sci_mg_per_card_hour"] > 0) == (None, True)
    told = {
        "grams_per_card": 180_000,
        "lifetime_hours": 36_000,
        "covers": "card and host",
        "source": "its maker",
    }
    http, operator = ward.platform.http, ward.platform.operator
    for _ in range(2):
        assert http.put("/v1/energy/embodied/haidian/a100", json=told, headers=operator).status_code == 200
    after = ward.energy()
    assert after["embodied_mg"] == 72_000 * 180_000 // (36_000 * 3600)  # 5 g an hour, for 72 card-seconds
    rise = after["sci_mg_per_card_hour"] - before["sci_mg_per_card_hour"]
    assert abs(rise - 5_000) <= 50
    (kept,) = http.get("/v1/energy/embodied", headers=operator).json()["items"]
    assert kept == {**told, "site": "haidian", "pool": "a100"}
    for path, body, status in (
        ("haidian/none", told, 404), ("none/a100", told, 404),
        ("haidian/a100", {**told, "lifetime_hours": 0}, 422), ("haidian/a100", {**told, "covers": "x"}, 422),
    ):  # fmt: skip
        assert http.put(f"/v1/energy/embodied/{path}", json=body, headers=operator).status_code == status


def test_a_table_or_a_residual_mix_that_changes_settles_the_open_month_again(ward: Ward) -> None:
    ward.energy()
    http, operator = ward.platform.http, ward.platform.operator
    assert ward.desk.step() == 0
    table = {"cooling": "air", "month_milli": [2000] * 12, "source": "the operator"}
    http.put("/v1/energy/pue/haidian/a100", json=table, headers=operator).raise_for_status()
    assert ward.desk.step() == 2
    assert all("it=pue 2.000" in each["basis"] for each in ward.balance()["items"])
    year = rfc3339(ward.upto_ms - 40_000)[:4]
    mix = {"residual_mg_per_kwh": 1000, "source": "the ministry"}
    http.put(f"/v1/energy/factors/beijing/{year}", json=mix, headers=operator).raise_for_status()
    assert ward.desk.step() == 2
    assert "market=residual" in ward.balance()["items"][0]["basis"]
    assert ward.platform.services.store.check_ledger().faults == ()


@pytest.mark.parametrize("wrong", [{"energy_j": -1}, {"energy_j": 10**16}, {"energy_basis": "a\nb"}])
def test_a_count_that_cannot_be_is_refused(ward: Ward, wrong: dict[str, Any]) -> None:
    record = {"record": "r", "card_ms": 1, "from_ms": 0, "upto_ms": 1, **wrong}
    answer = ward.platform.http.post(
        "/v1/agent/usage", json={"records": [record]}, headers=ward.centre.headers
    )
    assert answer.status_code == 422
