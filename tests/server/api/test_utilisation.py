"""Levels and findings at the door: what agents sealed, added up with its definitions; witnesses compared."""

from pathlib import Path
from typing import Any

import pytest
from tests.server.api.test_sealed import Sealer

from hutong.core.book.received import Fate, Kept, Received
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.wire.base import rfc3339


class Watch(Sealer):
    """A site that seals, and somebody who asks."""

    @property
    def day(self) -> int:
        return int(self.platform.clock() // DAY_MS - 1)

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.platform.http.get(path, headers=self.platform.operator)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def watch(platform: Any, li: dict[str, str], tmp_path: Path) -> Watch:
    return Watch(platform, tmp_path)


def test_levels_are_summed_with_their_definitions(watch: Watch) -> None:
    watch.register()
    held = 8 * HOUR_MS
    assert watch.send(*(watch.next(watch.day * 24 + at, held) for at in range(3))).status_code == 200
    found = watch.get("/v1/utilisation")
    (pool,) = found["items"]
    assert (pool["pool"], pool["cards"], pool["signed"]) == ("a100", 16, True)
    assert pool["seen_card_ms"] == pool["available_card_ms"] == 3 * 16 * HOUR_MS
    assert pool["allocated_card_ms"] == 3 * held
    assert pool["allocated_of_available_ppm"] == 500_000
    assert (pool["busy_card_ms"], pool["methods"]) == (9, ["test"])
    assert {"available", "allocated", "busy", "effective"} <= found["definitions"].keys()


def test_a_site_that_tells_nothing_has_no_levels(watch: Watch) -> None:
    (pool,) = watch.get("/v1/utilisation?site=haidian")["items"]
    assert (pool["seen_card_ms"], pool["busy_card_ms"], pool["allocated_of_seen_ppm"]) == (0, None, None)
    assert watch.get("/v1/findings/look") == {
        "day": rfc3339(watch.day * DAY_MS)[:10], "judged": [], "found": 0, "items": []
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/utilisation?site=nowhere", 404),
        ("/v1/utilisation?from=2026-13-01", 422),
        ("/v1/utilisation?from=2026-01-01&to=2026-03-01", 422),
        ("/v1/utilisation?to=yesterday", 422),
        ("/v1/findings/look?site=nowhere", 404),
        ("/v1/findings?site=nowhere", 404),
        ("/v1/findings/haidian.2026-11-01.0000000000000000", 404),
        ("/v1/findings/x", 422),
        ("/v1/findings/look?day=2999-01-01", 422),
        ("/v1/findings/look?day=x", 422),
    ],
)
def test_what_cannot_be_asked_is_refused(watch: Watch, path: str, status: int) -> None:
    watch.get(path, status)


def test_records_of_no_attempt_that_overlap_are_found(watch: Watch) -> None:
    begin = watch.day * DAY_MS + HOUR_MS
    for name in ("r1", "r2"):
        told = Received("haidian", name, 1, "ht-x", "card_ms", 8 * HOUR_MS, begin, begin + HOUR_MS)
        watch.platform.services.store.receive(Kept(told, Fate.SUSPENDED, "no such attempt", "site", begin))
    watch.send(watch.next(watch.day * 24))
    found = watch.get("/v1/findings/look")
    assert found["judged"] == ["haidian"]
    assert {"replayed": "ht-x"}.items() <= {each["kind"]: each["about"] for each in found["items"]}.items()
    assert {each["kind"] for each in found["items"]} == {"replayed", "ghost"}


def test_announced_maintenance_is_not_available_and_a_fault_is(watch: Watch) -> None:
    platform, day = watch.platform, watch.day + 2
    begin = day * DAY_MS
    for start, end in ((begin, begin + HOUR_MS), (begin + HOUR_MS // 2, begin + 3 * HOUR_MS // 2)):
        body = {"start": rfc3339(start), "end": rfc3339(end), "reason": "cooling"}
        platform.post("/v1/sites/haidian/maintenance", body)
    platform.clock.ahead_ms += 2 * DAY_MS
    pool = {"pool": "a100", "held_card_ms": HOUR_MS, "up_card_ms": 4 * HOUR_MS}
    for at in range(3):
        assert watch.send(watch.make(day * 24 + at, pools=[pool])).status_code == 200
        watch.seq, watch.prev = watch.seq + 1, watch.check()["head"].partition(":")[2]
    (found,) = watch.get("/v1/utilisation")["items"]
    assert found["seen_card_ms"] == 3 * 16 * HOUR_MS
    # The first hour is planned whole, but one card ran; of the second one half; in the third nodes are down.
    assert found["available_card_ms"] == HOUR_MS + 8 * HOUR_MS + 16 * HOUR_MS
    assert found["up_card_ms"] == 12 * HOUR_MS
