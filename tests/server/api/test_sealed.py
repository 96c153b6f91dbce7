"""Sealed reports at the door: signed by a registered key, chained, repeats harmless, tampering shown."""

from pathlib import Path
from typing import Any

import pytest
from tests.server.api.test_agent import Centre

from hutong.adapters.identity.signing import SigningKey
from hutong.core.kernel.chain import GENESIS, canonical, seal
from hutong.server.loop import Loop


class Sealer:
    """A site's agent with a key."""

    def __init__(self, platform: Any, folder: Path) -> None:
        self.platform = platform
        self.headers = platform.agent("haidian")
        services = platform.services
        Centre(platform, self.headers, Loop(services.store, services.rules, services.clock, "t"))
        self.key = SigningKey.open(folder / "seal.key")
        self.prev, self.seq = GENESIS, 0

    def make(self, hour: int, held: int = 5, **change: Any) -> dict[str, str]:
        pools = [{"pool": "a100", "held_card_ms": held, "busy_card_ms": 3, "method": "test"}]
        event: dict[str, Any] = {
            "seq": self.seq + 1, "prev": self.prev, "site": "haidian", "key": self.key.id,
            "hour": hour, "seen_ms": 3_600_000, "pools": pools, **change,
        }  # fmt: skip
        event["hash"] = seal(event)
        return {"text": canonical(event).decode(), "signature": self.key.sign(event["hash"])}

    def next(self, hour: int, held: int = 5) -> dict[str, str]:
        made = self.make(hour, held)
        self.seq, self.prev = self.seq + 1, made["text"].split('"hash":"')[1][:64]
        return made

    def send(self, *docs: dict[str, str]) -> Any:
        return self.platform.http.post("/v1/agent/sealed", json={"reports": list(docs)}, headers=self.headers)

    def register(self, public: str = "") -> Any:
        body = {"public": public or self.key.public}
        return self.platform.http.put("/v1/sites/haidian/keys", json=body, headers=self.platform.operator)

    def check(self, after: str = "") -> Any:
        query = f"?after={after}" if after else ""
        answer = self.platform.http.get(
            f"/v1/sites/haidian/sealed/check{query}", headers=self.platform.operator
        )
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def sealer(platform: Any, li: dict[str, str], tmp_path: Path) -> Sealer:
    return Sealer(platform, tmp_path)


def test_signed_reports_are_kept_once_and_checked(sealer: Sealer) -> None:
    assert sealer.register().status_code == 200
    first, second = sealer.next(10), sealer.next(11)
    for _ in range(2):
        answer = sealer.send(first, second)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"seq": 2, "hash": sealer.prev}
    head = sealer.platform.http.get("/v1/agent/sealed", headers=sealer.headers).json()
    assert head == {"seq": 2, "hash": sealer.prev}
    found = sealer.check()
    assert (found["reports"], found["signed"], found["unsigned"], found["faults"]) == (2, 2, 0, [])
    assert sealer.check(found["head"])["reports"] == 0


def test_a_site_without_a_key_is_kept_unsigned_and_shown_so(sealer: Sealer) -> None:
    assert sealer.send(sealer.next(10)).status_code == 200
    found = sealer.check()
    assert (found["signed"], found["unsigned"], found["faults"]) == (0, 1, [])


def test_a_gap_a_fork_and_a_replay_under_another_number_are_conflicts(sealer: Sealer) -> None:
    first = sealer.next(10)
    assert sealer.send(first).status_code == 200
    assert sealer.send(sealer.make(11, seq=3)).json()["code"] == "gap"
    assert sealer.send(sealer.make(11, seq=1, prev=GENESIS)).json()["code"] == "fork"
    assert sealer.send(sealer.make(11, prev="1" * 64)).json()["code"] == "fork"
    assert sealer.check()["reports"] == 1


def test_what_is_not_sealed_rightly_is_refused_with_the_reason(sealer: Sealer) -> None:
    good = sealer.make(10)
    assert (
        sealer.send(
            {**good, "text": good["text"].replace('"held_card_ms":5', '"held_card_ms":6')}
        ).status_code
        == 422
    )
    assert sealer.send({**good, "text": " " + good["text"]}).json()["code"] == "bad_seal"
    assert sealer.send(sealer.make(10, seen_ms=3_600_001)).json()["code"] == "bad_seal"
    assert sealer.send(sealer.make(10, site="elsewhere")).status_code == 403
    assert sealer.check()["reports"] == 0


def test_only_a_registered_key_seals_and_a_retired_one_no_more(sealer: Sealer, tmp_path: Path) -> None:
    sealer.register()
    first = sealer.next(10)
    assert sealer.send({**first, "signature": "00" * 64}).status_code == 403
    assert sealer.send(first).status_code == 200
    old, sealer.key = sealer.key, SigningKey.open(tmp_path / "other.key")
    assert sealer.send(sealer.make(11)).status_code == 403
    sealer.register()
    path = f"/v1/sites/haidian/keys/{old.id}"
    assert sealer.platform.http.delete(path, headers=sealer.platform.operator).status_code == 200
    assert sealer.register(old.public).json()["code"] == "key_retired"
    assert sealer.send(first).status_code == 200  # what came before may be told again
    assert sealer.send(sealer.next(11)).status_code == 200
    assert sealer.check()["signed"] == 2
    sealer.key = old
    assert sealer.send(sealer.make(12)).status_code == 403
    keys = sealer.platform.http.get("/v1/sites/haidian/keys", headers=sealer.platform.operator).json()
    assert [bool(each["retired"]) for each in sorted(keys["items"], key=lambda key: key["id"] != old.id)] == [
        True,
        False,
    ]


def test_a_key_file_that_others_may_read_or_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "k"
    key = SigningKey.open(path)
    assert SigningKey.open(path).public == key.public
    path.chmod(0o644)
    with pytest.raises(Exception, match="read by others"):
        SigningKey.open(path)
    path.chmod(0o600)
    path.write_text("zz")
    with pytest.raises(Exception, match="no Ed25519 key"):
        SigningKey.open(path)
