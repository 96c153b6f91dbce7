"""One job from wish to bill over the API alone: what agents do, and what users see of it."""

import hashlib
import json
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from hutong.agent.link import HttpLink
from hutong.core.book.store import Sighting
from hutong.core.capacity.sites import PoolState
from hutong.core.capacity.spread import Spread
from hutong.core.kernel.arrays import job_at
from hutong.core.kernel.errors import Later, Refused
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.facts import Accepted, Report
from hutong.server.loop import Loop

AWARD = {"amount": {"amount": "1000"}, "starts": "2026-01-01T00:00:00Z", "ends": "2099-01-01T00:00:00Z"}
VOUCHER = {"face": {"amount": "100"}, "rate_percent": 30, "starts": AWARD["starts"], "ends": AWARD["ends"]}


@dataclass
class Centre:
    """Plays the agent of site haidian."""

    platform: Any
    headers: dict[str, str]
    loop: Loop

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.platform.http.post(f"/v1/agent/{path}", json=body, headers=self.headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def here(self, *live: str) -> None:
        sighting = {"at_ms": self.platform.clock(), "known": live, "live": live, "agent": "test/1"}
        self.call("report", {"sighting": sighting})

    def settle(self) -> None:
        for _ in range(20):
            if not self.loop.step():
                return

    def tell(self, key: str, kind: str, **event: Any) -> dict[str, Any]:
        return self.call(
            "report", {"reports": [{"key": key, "event": {"kind": kind, "attempt": 1, **event}}]}
        )

    def log(self, key: str, rank: int, offset: int, data: bytes, whole: bool = False) -> int:
        answer = self.platform.http.put(
            f"/v1/agent/logs/{key}/{rank}?offset={offset}&whole={whole}", content=data, headers=self.headers
        )
        assert answer.status_code == 200, answer.text
        size: int = answer.json()["size_bytes"]
        return size


@pytest.fixture
def centre(platform: Any, li: dict[str, str]) -> Centre:
    services = platform.services
    loop = Loop(services.store, services.rules, services.clock, "test")
    found = Centre(platform, platform.agent("haidian"), loop)
    found.here()
    platform.post("/v1/projects/physics/awards", AWARD)
    platform.post("/v1/projects/physics/vouchers", VOUCHER)
    return found


@pytest.fixture
def started(centre: Centre, submit: Callable[..., dict[str, Any]]) -> tuple[str, str]:
    """A job that runs: its id and its attempt's key."""
    job = submit(max_duration="1h", num_nodes=2)["id"]
    centre.settle()
    command = centre.call("take", {})["commands"][0]
    key = command["key"]
    centre.tell(key, "accepted", external_id="7", adopted=False)
    centre.tell(key, "started", started_ms=centre.platform.clock())
    centre.settle()
    return job, key


def end(centre: Centre, key: str, ran_ms: int = 36_000) -> None:
    now = centre.platform.clock()
    exits = [{"rank": 0, "code": 0}, {"rank": 1, "code": 0}]
    centre.tell(
        key, "ended", outcome="SUCCEEDED", category="none", reason="", started_ms=now - ran_ms, ended_ms=now,
        ran_ms=ran_ms, exits=exits,
    )  # fmt: skip


def get(platform: Any, li: dict[str, str], path: str) -> Any:
    answer = platform.http.get(path, headers=li)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_job_runs_is_metered_and_its_bill_balances(
    platform: Any, li: dict[str, str], centre: Centre, started: tuple[str, str]
) -> None:
    job, key = started
    before = get(platform, li, "/v1/projects/physics/balance")
    assert float(before["committed"]["amount"]) > 0
    assert get(platform, li, f"/v1/jobs/{job}")["state"] == "RUNNING"
    use = get(platform, li, "/v1/sites/haidian")["pools"][0]
    assert use["cards_in_use"] == 2
    end(centre, key)
    centre.tell(key, "collected", outputs=[], log_bytes=0)
    centre.settle()
    found = get(platform, li, f"/v1/jobs/{job}")
    assert found["state"] == "SUCCEEDED"
    assert found["attempts"][0]["exits"] == [
        {"rank": 0, "code": 0, "signal": 0},
        {"rank": 1, "code": 0, "signal": 0},
    ]
    bill = get(platform, li, f"/v1/jobs/{job}/bill")
    assert bill["final"] is True
    assert bill["total"]["amount"] == "0.144000"  # 2 cards x 36 s x 7.2 yuan an hour
    assert bill["lines"][0]["quantity"] == "0.020000"
    assert bill["lines"][0]["price"]["amount"] == "7.200000"
    assert bill["entries_sum"]["amount"] == "0.000000"
    paid = {each["kind"]: each["amount"]["amount"] for each in bill["paid"]}
    assert paid == {"voucher": "0.043200", "award": "0.100800"}
    assert bill["peta_hours"][0]["factor_p_per_card"] == "0.312000"
    assert bill["peta_hours"][0]["p_hours"] == "0.006240"
    assert bill["energy"]["green_percent"] == "40"
    after = get(platform, li, "/v1/projects/physics/balance")
    assert after["settled"]["amount"] == "0.144000"
    assert after["committed"]["amount"] == "0.000000"
    assert after["available"]["amount"] == "1099.856000"
    whole = get(platform, li, "/v1/projects/physics/bill")
    assert (whole["total"], whole["paid"]) == (bill["total"], bill["paid"])
    past = get(platform, li, "/v1/projects/physics/bill?to=2026-01-01T00:00:00Z")
    assert (past["total"]["amount"], past["lines"]) == ("0.000000", [])
    report = get(platform, platform.operator, "/v1/ledger/check")
    assert report["ok"] is True


def test_how_far_bytes_are_shows_with_the_job_and_nowhere_else(
    platform: Any, li: dict[str, str], centre: Centre, started: tuple[str, str]
) -> None:
    job, key = started
    move = {"key": key, "what": "results", "done_bytes": 3_100_000_000, "total_bytes": 12_000_000_000}
    platform.clock.ahead_ms += 1_000
    sighting = {"at_ms": platform.clock(), "known": [key], "live": [key], "moves": [move]}
    facts = get(platform, li, f"/v1/jobs/{job}/facts")
    centre.call("report", {"sighting": sighting})
    told = get(platform, li, f"/v1/jobs/{job}")["conditions"]["moving"]
    assert told == {"what": "results", "done_bytes": 3_100_000_000, "total_bytes": 12_000_000_000}
    assert get(platform, li, f"/v1/jobs/{job}/facts") == facts, "how far it is makes no facts"
    assert key not in platform.http.get("/v1/sites/haidian", headers=li).text
    platform.clock.ahead_ms += 1_000
    centre.here(key)
    assert get(platform, li, f"/v1/jobs/{job}")["conditions"]["moving"] is None


def test_an_agent_fetches_on_from_where_it_was(platform: Any, li: dict[str, str], centre: Centre) -> None:
    data = bytes(range(256)) * 5_000
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert platform.http.put(f"/v1/objects/{digest}", content=data, headers=li).status_code == 200

    def ask(**headers: str) -> Any:
        return platform.http.get(f"/v1/agent/objects/{digest}", headers={**centre.headers, **headers})

    whole, rest = ask(), ask(Range="bytes=1000000-")
    assert (whole.status_code, whole.content, whole.headers["accept-ranges"]) == (200, data, "bytes")
    assert (rest.status_code, rest.content) == (206, data[1_000_000:])
    assert rest.headers["content-range"] == f"bytes 1000000-{len(data) - 1}/{len(data)}"
    over = ask(Range=f"bytes={len(data)}-")
    assert (over.status_code, over.headers["content-range"]) == (416, f"bytes */{len(data)}")
    for other in ("bytes=0-5,9-10", "bytes=-5", "lines=3-"):
        assert ask(Range=other).content == data
    assert ask(Range="bytes=1000000-", **{"If-Range": '"another"'}).content == data


def test_the_receipt_says_why_and_the_decision_can_be_taken_again(
    platform: Any, li: dict[str, str], started: tuple[str, str]
) -> None:
    job, _ = started
    receipt = get(platform, li, f"/v1/jobs/{job}/receipt")
    assert receipt["chosen"] == "haidian/a100"
    assert receipt["alternatives"][0]["chosen"] is True
    assert {part["name"] for part in receipt["alternatives"][0]["parts"]} >= {"price", "green"}
    assert receipt["inputs"]["pools"][0]["cards_free"] == 16
    replayed = platform.post(f"/v1/jobs/{job}/receipt/replay", headers=li)
    assert replayed == {
        "same": True,
        "digest": receipt["digest"],
        "replayed_digest": receipt["digest"],
        "differences": [],
    }
    assert platform.http.get(f"/v1/jobs/{job}/receipt?attempt=2", headers=li).status_code == 404


def test_a_log_grows_without_holes_and_is_read_from_any_offset(
    platform: Any, li: dict[str, str], centre: Centre, started: tuple[str, str]
) -> None:
    job, key = started
    assert centre.log(key, 0, 100, b"too early") == 0
    assert centre.log(key, 0, 0, b"step 1\n") == 7
    assert centre.log(key, 0, 0, b"step 1\n") == 7
    assert centre.log(key, 0, 5, b"1\nstep 2\n") == 14
    assert centre.log(key, -1, 0, b"setting up\n", whole=True) == 11
    url = f"/v1/jobs/{job}/logs"
    answer = platform.http.get(url, headers=li)
    assert answer.text == "step 1\nstep 2\n"
    assert answer.headers["content-type"].startswith("text/plain")
    assert platform.http.get(f"{url}?offset=10", headers=li).text == "p 2\n"
    assert platform.http.get(f"{url}?offset=1000", headers=li).text == ""
    assert platform.http.get(f"{url}?rank=setup", headers=li).text == "setting up\n"
    assert platform.http.get(f"{url}?rank=-1", headers=li).text == "setting up\n"
    assert platform.http.get(f"{url}?rank=2", headers=li).status_code == 422
    assert key in centre.call("take", {})["watched"]
    assert centre.log(key, 0, 14, b"done\n", whole=True) == 19
    assert centre.log(key, 0, 0, b"step 1\n") == 19
    assert platform.http.get(url, headers=li).text == "step 1\nstep 2\ndone\n"
    names = [each.path for each in platform.services.objects.list(f"logs/physics/{job}/1/0")]
    assert names == [f"logs/physics/{job}/1/0/whole"]


def bring(centre: Centre, key: str, *logs: tuple[int, bytes], headers: Any = None) -> dict[str, Any]:
    """Report an end with its logs, as an agent does for an attempt that leaves little."""
    now_ms = centre.platform.clock()
    ended = {"kind": "ended", "attempt": 1, "outcome": "SUCCEEDED", "category": "none", "reason": "done",
             "started_ms": now_ms, "ended_ms": now_ms, "ran_ms": 1}  # fmt: skip
    collected = {"kind": "collected", "attempt": 1, "log_bytes": sum(len(data) for _, data in logs)}
    body = {
        "reports": [{"key": key, "event": each} for each in (ended, collected)],
        "logs": [{"key": key, "rank": rank, "data": b64encode(data).decode()} for rank, data in logs],
    }
    answer = centre.platform.http.post("/v1/agent/report", json=body, headers=headers or centre.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_an_agent_is_told_at_once_of_a_reader_who_came_between_two_polls(
    platform: Any,
    li: dict[str, str],
    centre: Centre,
    started: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job, key = started
    assert platform.http.get(f"/v1/jobs/{job}/logs", headers=li).status_code == 200

    async def changed(*_: object) -> bool:
        raise AssertionError("the poll waits although there is news")

    monkeypatch.setattr(platform.services.bell, "changed", changed)
    told = centre.call("take", {"after": 1 << 40, "wait_s": 20, "watched": []})
    assert (told["commands"], told["watched"]) == ([], [key])


def test_a_site_is_told_of_a_follower_before_anything_is_waited_for(
    platform: Any,
    li: dict[str, str],
    centre: Centre,
    started: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job, key = started
    told: list[object] = []

    def go_on() -> None:
        told.append(centre.call("take", {"after": 1 << 40})["watched"])
        centre.log(key, 0, 0, b"", whole=True)
        end(centre, key)
        centre.tell(key, "collected", outputs=[], log_bytes=0)

    async def changed(*_: object) -> bool:
        if not told:
            await anyio.to_thread.run_sync(go_on)
        return True

    monkeypatch.setattr(platform.services.logs, "changed", changed)
    answer = platform.http.get(f"/v1/jobs/{job}/logs?follow=1", headers=li)
    assert read_events(answer)[-1]["event"] == "end"
    assert told == [[key]]


def test_small_logs_come_with_the_report_and_may_come_again(
    platform: Any, li: dict[str, str], centre: Centre, started: tuple[str, str]
) -> None:
    job, key = started
    assert centre.call("take", {})["takes_logs"]
    centre.log(key, 0, 0, b"step")
    for news in (2, 0):
        told = bring(centre, key, (0, b"step \xff\n"), (-1, b""))
        assert (told["news"], told["repeats"], told["unkept"]) == (news, 2 - news, [])
    assert platform.http.get(f"/v1/jobs/{job}/logs?rank=setup", headers=li).text == ""
    names = [each.path for each in platform.services.objects.list(f"logs/physics/{job}/1")]
    assert names == [f"logs/physics/{job}/1/0/whole"]
    assert platform.services.objects.get(names[0]) == b"step \xff\n"
    assert platform.services.store.job(job).job.attempts[0].collected


def test_a_log_that_cannot_be_kept_does_not_hold_up_the_end(
    platform: Any, centre: Centre, started: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, key = started

    def full(*_: object) -> None:
        raise Later("the object store is full")

    monkeypatch.setattr(platform.services.objects, "put", full)
    assert bring(centre, key, (0, b"hello\n"))["unkept"] == [key]
    attempt = platform.services.store.job(job).job.attempts[0]
    assert (attempt.over, attempt.collected) == (True, False)
    monkeypatch.undo()
    told = bring(centre, key, (0, b"hello\n"))
    assert (told["news"], told["unkept"]) == (1, [])
    assert platform.services.store.job(job).job.attempts[0].collected


def read_events(answer: Any) -> list[dict[str, str]]:
    blocks = [block for block in answer.text.split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]


def test_a_followed_log_ends_with_the_attempt_and_goes_on_where_it_broke_off(
    platform: Any, li: dict[str, str], centre: Centre, started: tuple[str, str]
) -> None:
    job, key = started
    first, second = "第一步\n".encode(), b"bad \xff byte\n"
    centre.log(key, 0, 0, first)

    def go_on() -> None:
        centre.log(key, 0, len(first), second, whole=True)
        end(centre, key)
        centre.tell(key, "collected", outputs=[], log_bytes=20)

    timer = threading.Timer(0.3, go_on)
    timer.start()
    answer = platform.http.get(f"/v1/jobs/{job}/logs?follow=1", headers=li)
    timer.join()
    events = read_events(answer)
    assert events[-1]["event"] == "end"
    pieces = [json.loads(each["data"]) for each in events[:-1]]
    assert "".join(piece["text"] for piece in pieces) == "第一步\nbad ? byte\n"
    assert pieces[-1]["next"] == len(first) + len(second) == int(events[-2]["id"])
    for piece in pieces:
        assert piece["next"] == piece["offset"] + len(piece["text"].encode())
    later = platform.http.get(
        f"/v1/jobs/{job}/logs?follow=1", headers={**li, "Last-Event-ID": str(len(first))}
    )
    assert [json.loads(each["data"])["text"] for each in read_events(later)[:-1]] == ["bad ? byte\n"]


def test_facts_stream_until_the_job_is_over_and_again_from_any_of_them(
    platform: Any, li: dict[str, str], centre: Centre, started: tuple[str, str]
) -> None:
    job, key = started

    def go_on() -> None:
        end(centre, key)
        centre.tell(key, "collected", outputs=[], log_bytes=0)
        centre.settle()

    timer = threading.Timer(0.2, go_on)
    timer.start()
    events = read_events(platform.http.get(f"/v1/jobs/{job}/events", headers=li))
    timer.join()
    kinds = [json.loads(each["data"])["kind"] for each in events[:-1]]
    assert kinds[0] == "submitted"
    assert kinds[-1] == "finished"
    assert events[-1]["event"] == "end"
    assert [int(each["id"]) for each in events[:-1]] == list(range(1, len(events)))
    again = read_events(platform.http.get(f"/v1/jobs/{job}/events?after=3", headers=li))
    assert again == events[3:]


def test_kept_files_go_in_by_digest_and_come_out_by_the_attempt_s_own_list(
    platform: Any, li: dict[str, str], wang: dict[str, str], centre: Centre, started: tuple[str, str]
) -> None:
    job, key = started
    content = b"weights" * 1000
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    http, url = platform.http, f"/v1/agent/objects/{digest}"
    assert http.head(url, headers=centre.headers).status_code == 404
    wrong = http.put(url, content=b"other", headers=centre.headers)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_digest")
    assert http.head(url, headers=centre.headers).status_code == 404
    assert http.put(url, content=content, headers=centre.headers).json()["size_bytes"] == 7000
    assert http.get(url, headers=centre.headers).content == content
    end(centre, key)
    outputs = [{"path": "model/model.safetensors", "size_bytes": 7000, "digest": digest}]
    centre.tell(key, "collected", outputs=outputs, log_bytes=0)
    assert get(platform, li, f"/v1/jobs/{job}/outputs")["items"] == outputs
    answer = http.get(f"/v1/jobs/{job}/outputs/model/model.safetensors", headers=li)
    assert answer.content == content
    assert "attachment" in answer.headers["content-disposition"]
    for path in (
        "model",
        "../../hutong.sqlite",
        "%2e%2e/hutong.sqlite",
        "/etc/passwd",
        "model/%2e/model.safetensors",
    ):
        assert http.get(f"/v1/jobs/{job}/outputs/{path}", headers=li).status_code in {404, 422}, path
    assert http.get(f"/v1/jobs/{job}/outputs/model/model.safetensors", headers=wang).status_code == 404


def test_secrets_travel_with_the_start_command_only(
    platform: Any, li: dict[str, str], centre: Centre, submit: Callable[..., dict[str, Any]]
) -> None:
    platform.http.put("/v1/projects/physics/secrets/HF_TOKEN", json={"value": "hf_sesam"}, headers=li)
    job = submit(secrets={"HF_TOKEN": None})["id"]
    centre.settle()
    command = centre.call("take", {})["commands"][0]
    assert command["secrets"] == {"HF_TOKEN": "hf_sesam"}
    for path in (f"/v1/jobs/{job}", f"/v1/jobs/{job}/facts", f"/v1/jobs/{job}/receipt"):
        assert "hf_sesam" not in platform.http.get(path, headers=li).text


def test_an_agent_gets_only_its_own_site_s_commands_and_writes_only_its_own_logs(
    platform: Any, centre: Centre, started: tuple[str, str]
) -> None:
    _, key = started
    other = {**SITE_BODY, "id": "other"}
    platform.post("/v1/sites", other)
    headers = platform.agent("other")
    assert platform.http.post("/v1/agent/take", json={}, headers=headers).json()["commands"] == []
    log = platform.http.put(f"/v1/agent/logs/{key}/0?offset=0", content=b"x", headers=headers)
    assert log.status_code == 404
    event = {"kind": "ended", "attempt": 1, "outcome": "FAILED", "category": "user", "reason": "forged",
             "started_ms": 1, "ended_ms": 2, "ran_ms": 1}  # fmt: skip
    platform.http.post("/v1/agent/report", json={"reports": [{"key": key, "event": event}]}, headers=headers)
    assert bring(centre, key, (0, b"forged"), headers=headers)["unkept"] == [key]
    row = platform.services.store.job(started[0])
    assert row.job.state == "RUNNING"
    assert platform.services.objects.list(f"logs/physics/{started[0]}/1/0") == ()


def test_a_waiting_agent_hears_of_a_command_within_a_moment(
    centre: Centre, submit: Callable[..., dict[str, Any]]
) -> None:
    took: list[tuple[float, int]] = []

    def take() -> None:
        begun = time.monotonic()
        commands = centre.call("take", {"wait_s": 20})["commands"]
        took.append((time.monotonic() - begun, len(commands)))

    thread = threading.Thread(target=take)
    thread.start()
    submit()
    centre.settle()
    thread.join(60)
    assert took
    seconds, commands = took[0]
    assert commands == 1
    assert seconds < 10


def test_an_award_is_given_once_however_often_it_is_sent(platform: Any, li: dict[str, str]) -> None:
    once = {**platform.operator, "Idempotency-Key": "award-2026-1"}
    url = "/v1/projects/physics/awards"
    first = platform.post(url, AWARD, headers=once)
    assert platform.post(url, AWARD, headers=once) == first
    other = {**AWARD, "amount": {"amount": "2000"}}
    assert platform.http.post(url, json=other, headers=once).status_code == 409
    balance = get(platform, li, "/v1/projects/physics/balance")
    assert balance["available"]["amount"] == "1000.000000"
    for change, path in (
        ({"amount": {"amount": "0"}}, "/amount/amount"),
        ({"ends": AWARD["starts"]}, "/ends"),
        ({"starts": "yesterday"}, "/starts"),
    ):
        answer = platform.http.post(url, json={**AWARD, **change}, headers=platform.operator)
        assert answer.status_code == 422
        assert answer.json()["problems"][0]["path"] == path


SITE_BODY: dict[str, Any] = {
    "id": "haidian", "name_zh": "海淀", "name_en": "Haidian", "region": "beijing", "distance_km": 10,
    "pools": [{"id": "a100", "accelerator": "A100", "nodes": 2, "cards_per_node": 8,
               "price_per_card_hour": {"amount": "7.2"}, "pue": "1.2"}],
    "supply": {"green_ppm": [400_000] * 24, "grams_per_kwh": [550] * 24, "source": "test"},
}  # fmt: skip


def test_a_job_waits_where_free_cards_are_known_to_be_scattered(
    platform: Any, li: dict[str, str], centre: Centre, submit: Callable[..., dict[str, Any]]
) -> None:
    pool = {"pool": "a100", "cards_up": 16, "cards_elsewhere": 8, "spread": {"levels": [0, 0, 0, 0, 2]}}

    def say(**changes: Any) -> None:
        platform.clock.ahead_ms += 1_000
        centre.call("report", {"sighting": {"at_ms": platform.clock(), "pools": [{**pool, **changes}]}})

    say()
    assert get(platform, li, "/v1/sites/haidian")["pools"][0]["nodes_by_free_cards"] == [0, 0, 0, 0, 2]
    job = submit(resources={"accelerators": "A100:8"})["id"]
    centre.settle()
    waits = get(platform, li, f"/v1/jobs/{job}")
    assert (waits["state"], waits["attempts"]) == ("QUEUED", [])
    assert waits["conditions"]["waiting_code"] == "scattered"
    assert "0 nodes have 8 free, 1 needed" in waits["conditions"]["waiting_text"]
    say(spread={"levels": [1, 0, 0, 0, 0, 0, 0, 0, 1]})
    centre.settle()
    receipt = get(platform, li, f"/v1/jobs/{job}/receipt")
    assert receipt["chosen"] == "haidian/a100"
    assert platform.post(f"/v1/jobs/{job}/receipt/replay", headers=li)["same"] is True
    say(spread=None)
    assert get(platform, li, "/v1/sites/haidian")["pools"][0]["nodes_by_free_cards"] is None


def test_the_agent_s_own_line_understands_the_door(
    platform: Any, centre: Centre, submit: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    token = centre.headers["Authorization"].removeprefix("Bearer ")
    link = HttpLink("http://testserver", token, transport=platform.http._transport)
    job = submit()["id"]
    centre.settle()
    delivery = link.take(0, 0.0)
    command = delivery.commands[0]
    assert (command.job, command.kind) == (job, "start")
    key = command.key
    spread = Spread((1, 0, 0, 0, 0, 0, 0, 0, 1), ((1, 8, 1),))
    seen = Sighting(
        platform.clock() + 1, frozenset(), frozenset(), pools=(PoolState("a100", 16, 0, 5, spread),)
    )
    platform.clock.ahead_ms += 1_000
    assert link.report([Report(key, Accepted(1, "9", adopted=False))], seen).news == 1
    assert platform.services.store.statuses()["haidian"].pools == seen.pools
    content = b"bytes" * 100_000
    source = tmp_path / "file"
    source.write_bytes(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert link.has_object(digest) is False
    link.put_object(digest, source)
    link.get_object(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert link.put_log(key, 0, 0, b"hello\n", whole=True) == 6
    with pytest.raises(Refused):
        link.put_log(AttemptKey(key[:-1] + "9"), 0, 0, b"x", whole=False)


def test_a_receipt_says_what_would_have_been_at_another_hour_and_by_another_policy(
    platform: Any, li: dict[str, str], centre: Centre, started: tuple[str, str]
) -> None:
    job, key = started
    url = f"/v1/jobs/{job}/receipt/what-if"
    walltime = get(platform, li, f"{url}?at=2026-11-29T04:00:00Z")
    assert (walltime["measured"], walltime["ran_s"]) == (False, "3600")
    end(centre, key)
    centre.settle()
    found = get(platform, li, f"{url}?policy=balanced&at=2026-11-29T04:00:00%2B08:00")
    assert (found["measured"], found["ran_s"]) == (True, "36")
    assert found["then"]["place"] == found["instead"]["place"] == "haidian/a100"
    assert found["instead"]["start"] == "2026-11-28T20:00:00.000Z"
    assert found["then"]["cost"] == found["instead"]["cost"] == {"amount": "0.144000", "currency": "CNY"}
    assert found["then"]["energy"]["green_percent"] == "40"
    for wrong in ("at=noon", "at=2026-11-29T04:00:00", "policy=kindest", "attempt=7"):
        assert platform.http.get(f"{url}?{wrong}", headers=li).status_code in {404, 422}, wrong


def test_jobs_of_an_array_start_with_their_index_and_no_more_at_once_than_it_says(
    platform: Any, li: dict[str, str], centre: Centre
) -> None:
    spec = {"resources": {"accelerators": "A100:1"}, "run": "x", "envs": {"LR": "1"}, "array": "4-8:2%2"}
    array = platform.post("/v1/arrays", {"project": "physics", "spec": spec}, headers=li)["id"]
    centre.settle()
    first, second = centre.call("take", {})["commands"]
    assert first["spec"]["array"] is None
    told = dict(first["spec"]["envs"])
    number = told.pop("SLURM_ARRAY_JOB_ID")
    assert number.isdigit()
    assert told == {
        "LR": "1", "HUTONG_ARRAY_INDEX": "4", "HUTONG_ARRAY_ID": array, "SLURM_ARRAY_TASK_ID": "4",
        "SLURM_ARRAY_TASK_MIN": "4", "SLURM_ARRAY_TASK_MAX": "8", "SLURM_ARRAY_TASK_COUNT": "3",
        "SLURM_ARRAY_TASK_STEP": "2",
    }  # fmt: skip
    assert dict(second["spec"]["envs"])["HUTONG_ARRAY_INDEX"] == "6"
    assert dict(second["spec"]["envs"])["SLURM_ARRAY_JOB_ID"] == number
    centre.tell(first["key"], "started", started_ms=platform.clock())
    end(centre, first["key"])
    centre.tell(first["key"], "collected")
    centre.settle()
    started = {each["job"] for each in centre.call("take", {})["commands"]}
    assert started == {second["job"], job_at(array, 3)}
    assert get(platform, li, f"/v1/arrays/{array}")["states"] == {"DISPATCHED": 2, "SUCCEEDED": 1}
