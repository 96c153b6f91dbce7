"""Forecasts: what the forecaster writes down, what a job then shows, what is learnt when it has started."""

from collections.abc import Callable
from typing import Any

from hutong.core.book.snapshot import Limits
from hutong.core.kernel.quantities import HOUR_MS
from hutong.server.forecaster import Forecaster
from hutong.server.loop import Loop
from hutong.wire.base import parse_rfc3339

AWARD = {"amount": {"amount": "1000"}, "starts": "2026-01-01T00:00:00Z", "ends": "2099-01-01T00:00:00Z"}
WIDE = {"accelerators": "A100:8"}


def test_a_waiting_job_shows_its_place_and_start_and_the_record_learns(
    platform: Any, li: dict[str, str], submit: Callable[..., dict[str, Any]]
) -> None:
    services, clock = platform.services, platform.clock
    loop = Loop(services.store, services.rules, clock, "test")
    forecaster = Forecaster(services.store, services.rules, clock)
    agent = platform.agent("haidian")

    def agent_says(path: str, body: dict[str, Any]) -> Any:
        answer = platform.http.post(f"/v1/agent/{path}", json=body, headers=agent)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def forecast(job: str) -> Any:
        answer = platform.http.get(f"/v1/jobs/{job}", headers=li)
        assert answer.status_code == 200, answer.text
        return answer.json()["forecast"]

    def settle() -> None:
        while loop.step():
            pass

    platform.post("/v1/projects/physics/awards", AWARD)
    agent_says("report", {"sighting": {"at_ms": clock(), "known": [], "live": [], "agent": "test/1"}})
    jobs = [submit(num_nodes=2, resources=WIDE, max_duration="1h")["id"] for _ in range(3)]
    settle()
    assert forecast(jobs[1]) is None, "none was made"
    forecaster.step()
    assert forecast(jobs[0]) is None, "it does not wait"
    second, third = forecast(jobs[1]), forecast(jobs[2])
    assert (second["place"], third["place"], second["samples"]) == (1, 2, 0)
    gap_ms = parse_rfc3339(third["late"]) - parse_rfc3339(second["late"])
    assert gap_ms == HOUR_MS, "each runs for an hour"
    forecaster.limits = Limits(queue=1)
    forecaster.step()
    assert set(forecaster._tracked) == set(jobs[1:]), "who is beyond the head of the queue waits on"
    forecaster.limits = Limits()
    platform.http.post(f"/v1/jobs/{jobs[0]}/cancel", json={}, headers=li)
    clock.ahead_ms += 60_000
    settle()
    forecaster.step()
    kept = services.store.get("forecast", "queue").doc
    assert set(kept["jobs"]) == {jobs[2]}
    (ratios,) = kept["ratios"].values()
    assert 0 < ratios[0] < 100_000, "it waited a minute of the hour that was planned"
    assert forecast(jobs[2])["place"] == 1
    clock.ahead_ms += 301_000
    assert forecast(jobs[2]) is None, "it is too old"
    again = Forecaster(services.store, services.rules, clock)
    again.step()
    assert services.store.get("forecast", "queue").doc["ratios"] == kept["ratios"], "a new loop knows it too"
