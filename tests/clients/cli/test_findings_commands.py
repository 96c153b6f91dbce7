"""`hutong utilisation`, `hutong findings` and `hutong sealed`: shown, explained, decided, exit codes."""

import json
from dataclasses import dataclass

import httpx2
import pytest
from tests.clients.cli.conftest import House

from hutong.adapters.identity.signing import SigningKey
from hutong.config import Settings, now_ms
from hutong.core.book.received import Fate, Kept, Received
from hutong.core.kernel.chain import GENESIS, canonical, seal
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.core.ledger.metering import Limits
from hutong.server.findings import SETTLED_MS, FindingsDesk
from hutong.server.services import open_services
from hutong.wire.base import rfc3339


@dataclass(frozen=True)
class Watched:
    """A house in which a site sealed an hour of a day, and two records tell one use of it."""

    house: House
    day: str
    agent: str


@pytest.fixture
def watched(house: House) -> Watched:
    day = now_ms() // DAY_MS - 1
    headers = {"Authorization": f"Bearer {house.admin}"}
    with httpx2.Client(base_url=house.url, trust_env=False) as http:
        secret = http.post("/v1/sites/haidian/tokens", headers=headers).json()["secret"]
        mine = {"Authorization": f"Bearer {secret}"}
        head = http.get("/v1/agent/sealed", headers=mine).json()
        if not head["seq"]:
            key = SigningKey.open(house.folder / "seal.key")
            pool = {"pool": "h100", "held_card_ms": HOUR_MS, "busy_card_ms": HOUR_MS // 2, "method": "test"}
            event = {
                "seq": 1, "prev": GENESIS, "site": "haidian", "key": key.id, "hour": day * 24,
                "seen_ms": HOUR_MS, "pools": [pool],
            }  # fmt: skip
            event["hash"] = digest = seal(event)
            doc = {"text": canonical(event).decode(), "signature": key.sign(digest)}
            assert http.post("/v1/agent/sealed", json={"reports": [doc]}, headers=mine).status_code == 200
    services = open_services(Settings(data=house.folder / "data"))
    try:
        begin = day * DAY_MS + HOUR_MS
        for name in ("r1", "r2"):
            told = Received("haidian", name, 1, "ht-x", "card_ms", HOUR_MS, begin, begin + HOUR_MS)
            services.store.receive(Kept(told, Fate.SUSPENDED, "no such attempt", "site", begin))
        late = (day + 1) * DAY_MS + SETTLED_MS
        desk = FindingsDesk(services.store, Limits(), lambda: late)
        while desk.step():
            pass
    finally:
        services.close()
    return Watched(house, rfc3339(day * DAY_MS)[:10], secret)


def test_levels_and_the_chain_are_shown(watched: Watched) -> None:
    run = watched.house.run
    shown = run("utilisation", "--site", "haidian", "--from", watched.day, admin=True)
    assert (shown.code, "unsigned reports: haidian" in shown.out, "counted by: test" in shown.out) == (
        0, True, True
    )  # fmt: skip
    row = next(line for line in shown.out.splitlines() if "haidian/h100" in line)
    assert row.split() == [
        "haidian/h100", "16.0", "16.0", "16.0", "1.0", "(6.2", "%)", "0.5", "(50.0", "%)", "-"
    ]  # fmt: skip
    checked = run("sealed", "verify", "haidian", "--json", admin=True)
    assert checked.code == 0
    assert json.loads(checked.out)["unsigned"] == 1
    wrong = run("sealed", "verify", "haidian", "--after", "1:" + "0" * 64, admin=True)
    assert (wrong.code, "not the one that was noted" in wrong.out) == (1, True)
    assert run("sealed", "verify", "haidian", "--after", "x", admin=True).code == 2
    public = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"
    key = json.loads(run("sealed", "key", "haidian", public, "--json", admin=True).out)["id"]
    assert "registered" in run("sealed", "key", "haidian", public, admin=True).out
    assert key in run("sealed", "keys", "haidian", admin=True, env={"COLUMNS": "200"}).out
    assert "retired" in run("sealed", "key", "haidian", key, "--retire", admin=True).out


def test_findings_are_looked_for_listed_explained_and_decided(watched: Watched) -> None:
    run = watched.house.run
    looked = run("findings", "look", "--day", watched.day, "--site", "haidian", admin=True)
    assert (looked.code, "replayed ht-x" in looked.out) == (1, True)
    found = json.loads(run("findings", "list", "--json", admin=True).out)
    ghost, replayed = sorted(found, key=lambda each: str(each["kind"]))
    listed = run("findings", "list", admin=True, env={"COLUMNS": "200"})
    assert replayed["id"] in listed.out
    told = run(
        "findings", "explain", replayed["id"], "-m", "a restart wrote it twice", "--centre",
        env={"HUTONG_TOKEN": watched.agent},
    )  # fmt: skip
    assert (told.code, "explained" in told.out, "site:haidian" in told.out) == (0, True, True)
    own = run("findings", "list", "--centre", "--json", env={"HUTONG_TOKEN": watched.agent})
    assert len(json.loads(own.out)) == 2
    assert run("findings", "explain", ghost["id"], "--text", "by letter", admin=True).code == 0
    done = run("findings", "settle", replayed["id"], "--text", "seen in the log", "--json", admin=True)
    assert json.loads(done.out)["state"] == "settled"
    assert run("findings", "settle", ghost["id"], "--text", "it was so", "--confirm", admin=True).code == 0
    assert "No findings wait." in run("findings", "list", admin=True).out
    again = run("findings", "settle", ghost["id"], "--text", "no", admin=True)
    assert (again.code, "confirmed already" in again.err) == (2, True)
    shown = run("findings", "show", ghost["id"], admin=True)
    assert (shown.code, "by letter" in shown.out, "it was so" in shown.out) == (0, True, True)
    every = json.loads(run("findings", "list", "--all", "--json", admin=True).out)
    assert {each["state"] for each in every} == {"settled", "confirmed"}
    assert run("findings", "list").code == 2


def test_what_cannot_be_asked_is_the_callers_fault(watched: Watched) -> None:
    run = watched.house.run
    assert run("findings", "look", "--day", "monday", admin=True).code == 2
    assert run("findings", "show", "x", admin=True).code == 2
    nobodys = "haidian.2026-01-01.0000000000000000"
    assert run("findings", "settle", nobodys, "--text", "x", admin=True).code == 2
