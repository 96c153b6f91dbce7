"""What doctor says of a good agent and of all that can be wrong with one, each with how to mend it."""

import fcntl
import os
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from testbeds.certificates import write_certificate
from tests.agent.scene import SITE, Door

from hutong.adapters.engines.inspection import Check, Level
from hutong.agent.doctor import examine
from hutong.core.kernel.ids import attempt_key, ulid
from hutong.wire.agent import PoolDoc
from hutong.wire.meters import Meter, SiteMeters

Sick = Callable[..., dict[str, Check]]


@pytest.fixture
def doctor(door: Door, tmp_path: Path) -> Sick:
    """Return a doctor for an agent of the door's site, whose file a test may spoil."""

    def ask(*, more: str = "", engine: str = "", clock_ms: int = 0, **values: str) -> dict[str, Check]:
        told = {"site": SITE, "url": door.url, "root": str(tmp_path / "home"), **values}
        token = tmp_path / "token"
        if not token.exists():
            token.touch(mode=0o600)
            token.write_text(door.token)
        path = tmp_path / "agent.toml"
        text = "".join(f'{name} = "{value}"\n' for name, value in told.items())
        path.write_text(f'{text}token_file = "{token}"\n{more}\n[engine]\nisolation = "none"\n{engine}')
        path.chmod(0o600)
        now = time.time_ns() // 1_000_000
        door.site = door.site.model_copy(update={"now_ms": now + clock_ms})
        checks = list(examine(path, quick=True))
        assert all(each.mend for each in checks if each.level is not Level.OK), checks
        return {each.name: each for each in checks}

    return ask


def bad(checks: dict[str, Check]) -> set[str]:
    return {name for name, each in checks.items() if each.level is Level.BAD}


def test_a_good_agent(doctor: Sick, door: Door) -> None:
    checks = doctor()
    assert bad(checks) == set()
    assert {"file", "platform", "token", "clock", "version", "folder", "cards of main"} <= checks.keys()
    assert checks["clock"].level is Level.OK
    assert not any(each.startswith("POST") for each in door.requests), "doctor takes no command"


def test_a_file_that_is_not_there_or_says_what_is_unknown(doctor: Sick, tmp_path: Path) -> None:
    checks = {each.name: each for each in examine(tmp_path / "nothing.toml")}
    assert bad(checks) == {"file", "configuration"}
    checks = doctor(more='colour = "red"')
    assert bad(checks) == {"configuration"}
    assert "/colour" in checks["configuration"].seen


def test_a_token_that_others_may_read(doctor: Sick, tmp_path: Path, door: Door) -> None:
    doctor()
    (tmp_path / "token").chmod(0o644)
    assert bad(doctor()) == {"token file"}
    (tmp_path / "token").chmod(0o640)
    assert doctor()["token file"].level is Level.WARN
    path = tmp_path / "inline.toml"
    path.write_text(
        f'site = "{SITE}"\nurl = "{door.url}"\nroot = "{tmp_path}/home"\ntoken = "{door.token}"\n'
    )
    path.chmod(0o644)
    assert bad({each.name: each for each in examine(path, quick=True)}) == {"file"}


def test_a_token_that_is_refused_or_another_sites(doctor: Sick, door: Door) -> None:
    door.site = door.site.model_copy(update={"site": "west"})
    assert "west" in doctor()["token"].seen
    door.token = "another"
    checks = doctor()
    assert bad(checks) == {"token"}
    assert "cards of main" not in checks


def test_a_platform_that_nobody_finds(doctor: Sick) -> None:
    checks = doctor(url="http://no-such-name.invalid:1")
    assert "is not known" in checks["platform"].seen
    assert checks["encryption"].level is Level.WARN
    with socket.socket() as probe:  # bound and not listening: nobody else takes the port meanwhile
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
        assert "cannot be reached" in doctor(url=closed)["platform"].seen
        assert "the proxy" in doctor(proxy=closed, url="http://hutong.invalid")["platform"].seen


def test_a_platform_that_is_out_of_order(doctor: Sick, door: Door) -> None:
    door.faults = [503]
    assert "does not answer well" in doctor()["platform"].seen
    door.faults = [404]
    assert bad(doctor()) == {"platform"}


def test_a_certificate_that_is_the_centres_own(doctor: Sick, door: Door, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    door.server.socket = context.wrap_socket(door.server.socket, server_side=True)
    url = door.url.replace("http:", "https:")
    assert "certificate is not trusted" in doctor(url=url)["platform"].seen
    assert bad(doctor(url=url, authorities=str(certificate))) == set()
    assert "cannot be used" in doctor(url=url, authorities=str(tmp_path / "none"))["platform"].seen


@pytest.mark.parametrize(
    ("skew_ms", "level", "word"),
    [
        (0, Level.OK, ""),
        (9_000, Level.WARN, "behind"),
        (-9_000, Level.WARN, "ahead"),
        (90_000, Level.BAD, "NTP"),
    ],
)
def test_a_clock_that_is_wrong(doctor: Sick, skew_ms: int, level: Level, word: str) -> None:
    clock = doctor(clock_ms=skew_ms)["clock"]
    assert clock.level is level
    assert word in clock.seen + clock.mend


def test_another_version_another_engine_and_a_site_that_is_drained(doctor: Sick, door: Door) -> None:
    door.site = door.site.model_copy(update={"version": "9.9", "engine": "slurm", "admission": "drain"})
    checks = doctor()
    assert {name for name in ("version", "engine", "admission") if checks[name].level is Level.WARN} == {
        "version", "engine", "admission",
    }  # fmt: skip


def test_more_cards_declared_than_seen(doctor: Sick, door: Door) -> None:
    pools = (
        PoolDoc(id="cpu", accelerator="CPU", nodes=1, cards_per_node=10_000),
        PoolDoc(id="mlu", accelerator="MLU370", nodes=1, cards_per_node=8),
    )
    door.site = door.site.model_copy(update={"pools": pools})
    assert bad(doctor()) == {"cards of cpu", "cards of mlu"}
    door.site = door.site.model_copy(update={"declared_only": True})
    assert bad(doctor()) == set()


def test_another_agent_in_the_folder_and_what_it_left(doctor: Sick, tmp_path: Path) -> None:
    assert "none works" in doctor()["agent"].seen
    home = tmp_path / "home"
    key = attempt_key(ulid(time.time_ns() // 1_000_000, os.urandom(10)), 1)
    folder = home / "engine" / "attempts" / key
    folder.mkdir(parents=True)
    (folder / "end.json").write_text("{}")
    os.utime(folder / "end.json", (time.time() - 5 * 86_400,) * 2)
    with (home / "agent.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        checks = doctor()
    assert "one works" in checks["agent"].seen
    assert checks["attempts"].level is Level.WARN
    assert key in checks["attempts"].seen


def test_a_folder_that_cannot_be_made(doctor: Sick, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    assert "folder" in bad(doctor(root=str(tmp_path / "taken" / "home")))


def test_a_log_level_that_does_not_exist(doctor: Sick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUTONG_LOG_LEVEL", "loud")
    assert bad(doctor()) == {"log level"}


def test_what_a_site_offers_is_looked_at(doctor: Sick, door: Door, tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    stores = (
        f'[inputs.stores]\nlab = {{endpoint = "{door.url}"}}\ngone = {{endpoint = "http://127.0.0.1:1"}}\n'
    )
    shared = f'[inputs.shared]\ndata = "{tmp_path}/datasets"\nlost = "{tmp_path}/none"\n'
    checks = doctor(more=stores + shared)
    assert bad(checks) == {"store gone", "shared lost"}
    assert checks["store lab"].level is Level.OK
    assert checks["shared data"].seen == f"{tmp_path}/datasets"


def test_meters_are_read_and_the_platform_is_asked_whether_it_takes_them(
    doctor: Sick, door: Door, tmp_path: Path
) -> None:
    shown = tmp_path / "shown"
    shown.write_text("12.5")
    more = f'[[meters]]\nmeter = "feed-1"\nfile = "{shown}"\n'
    assert doctor(more=more)["meters"].level is Level.WARN, "an older platform has no such route"
    meter = Meter(
        id="feed-1", measures="facility", counts="register", region="north", site=SITE, contract="",
        most_per_hour=1, wraps_at=0, category=0, source="s", synthetic=False, by_agent=True, starts=None,
        ends=None,
    )  # fmt: skip
    door.meters = SiteMeters(items=(meter,))
    assert doctor(more=more)["meter feed-1"].seen == "it shows 45000000 J"
    for change, why in (
        ({"wraps_at": 45_000_000}, "0 again"), ({"measures": "water"}, "water"),
        ({"ends": "2026-01-01T00:00:00Z"}, "ended"), ({"id": "feed-2"}, "takes no readings"),
    ):  # fmt: skip
        door.meters = SiteMeters(items=(meter.model_copy(update=change),))
        checks = doctor(more=more)
        assert bad(checks) == {"meter feed-1"}
        assert why in checks["meter feed-1"].seen
    door.meters = SiteMeters(items=(meter,))
    shown.write_text("nothing")
    assert bad(doctor(more=more)) == {"meter feed-1"}
