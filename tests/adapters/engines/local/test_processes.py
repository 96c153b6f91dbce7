"""Processes of the local engine: nothing starts twice, nothing is left behind, whoever is killed when."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adapters.engines.local.conftest import Site
from tests.faults import Kills, dice, kill_midway, seconds, trials
from tests.full_disk import no_room

from hutong.adapters.engines.attempt import files, supervise, tree
from hutong.adapters.engines.base import Order
from hutong.core.kernel.errors import Later, Refused
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.states import AttemptState, Category

ESCAPE = """
import os, signal, sys, time
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            code = "import time; open('up', 'a').write('x'); time.sleep(600)"
            os.execve(sys.executable, [sys.executable, "-c", code], {})
        time.sleep(600)
time.sleep(600)
"""


def test_an_end_that_cannot_be_written_down_is_told_all_the_same(site: Site) -> None:
    """A full disk must not hide how one attempt ended, nor anything of the others."""
    dead, other = site.order("sleep 60"), site.order("sleep 60")
    for order in (dead, other):
        site.engine.submit(order)
    site.until((site.folder(dead.key) / files.STARTED).exists)
    site.until((site.folder(other.key) / files.STARTED).exists)
    never = site.order("true")
    site.engine.stop(never.key, 1, Category.CANCELLED, "asked", 0)
    os.kill(_began(site, dead.key), signal.SIGKILL)
    with no_room():
        site.until(lambda: (seen := site.see(dead.key)) is not None and seen.ended)
        ends = {seen.key: seen.ended and seen.ended.category for seen in site.engine.observe()}
    assert ends == {dead.key: Category.INFRA, other.key: None, never.key: Category.CANCELLED}
    assert not (site.folder(dead.key) / files.END).exists()
    again = site.another()
    again.until(lambda: (seen := again.see(dead.key)) is not None and seen.ended)
    assert (site.folder(dead.key) / files.END).exists()
    assert again.engine.submit(dead).adopted
    site.engine.stop(other.key, 1, Category.CANCELLED, "enough", 0)
    site.finish(other.key)


def _escaping() -> str:
    return f"cat > escape.py <<'END'\n{ESCAPE}\nEND\nexec python3 escape.py"


def _marked(folder: Path) -> list[int]:
    """Return the processes that work below a folder, whatever their environment says."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                place = (path / "cwd").readlink()
                gone = b"\nState:\tZ" in (path / "status").read_bytes()
            except OSError:
                continue
            if place.is_relative_to(folder) and not gone:
                found.append(int(path.name))
    return found


def _began(site: Site, key: AttemptKey) -> int:
    began = files.read_json(site.folder(key) / files.BEGAN)
    assert began is not None
    pid: int = began["pid"]
    return pid


def test_a_stop_reaches_grandchildren_that_hid(site: Site) -> None:
    order = site.order(_escaping())
    site.engine.submit(order)
    up = site.work(order.key) / "up"
    site.until(lambda: up.exists() and up.read_text() == "xx")
    assert len(_marked(site.work(order.key))) >= 3
    site.engine.stop(order.key, 1, Category.CANCELLED, "enough", 1)
    assert site.finish(order.key).state is AttemptState.CANCELLED
    assert _marked(site.work(order.key)) == []


def test_what_a_finished_rank_left_running_is_ended(site: Site) -> None:
    seen, _ = site.run("setsid sleep 600 & sleep 0.1; exit 0")
    assert seen.state is AttemptState.SUCCEEDED
    assert _marked(site.work(seen.key)) == []


@pytest.mark.parametrize("grace_s", [20, None], ids=["of the stop", "of the job file"])
def test_term_comes_first_and_the_grace_is_given(site: Site, grace_s: int | None) -> None:
    order = site.order("trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.05; done", grace_s=20)
    site.engine.submit(order)
    site.until(lambda: "up" in site.log(order.key))
    site.engine.stop(order.key, 1, Category.PREEMPTED, "make room", grace_s)
    end = site.finish(order.key).ended
    assert end is not None
    assert (end.outcome, end.exits[0].code) == (AttemptState.PREEMPTED, 0)
    assert site.log(order.key).splitlines()[-1] == "saved"


def test_a_killed_supervisor_is_an_end_by_the_centre(site: Site) -> None:
    order = site.order("echo up; sleep 600")
    site.engine.submit(order)
    site.until(lambda: "up" in site.log(order.key))
    assert tree.carrying(order.key)
    os.kill(_began(site, order.key), signal.SIGKILL)
    end = site.finish(order.key).ended
    assert end is not None
    assert (end.outcome, end.category) == (AttemptState.FAILED, Category.INFRA)
    assert end.started_ms > 0
    assert end.ran_ms <= end.ended_ms - end.started_ms
    assert tree.carrying(order.key) == []
    assert _marked(site.work(order.key)) == []
    assert site.engine.submit(order).adopted
    assert site.log(order.key) == "up\n"


def test_the_beat_tells_how_long_it_ran(plain: Site) -> None:
    order = plain.order("sleep 600")
    plain.engine.submit(order)
    plain.until(lambda: files.read_beat(plain.folder(order.key)) >= 1_900)
    os.kill(_began(plain, order.key), signal.SIGKILL)
    end = plain.finish(order.key).ended
    assert end is not None
    assert 1_900 <= end.ran_ms < 20_000
    assert end.ended_ms == end.started_ms + end.ran_ms


def test_a_supervisor_that_is_told_to_end_ends_its_ranks(plain: Site) -> None:
    order = plain.order("sleep 600")
    plain.engine.submit(order)
    plain.until(lambda: plain.see(order.key).state is AttemptState.RUNNING)
    os.kill(_began(plain, order.key), signal.SIGTERM)
    end = plain.finish(order.key).ended
    assert end is not None
    assert (end.outcome, end.category) == (AttemptState.FAILED, Category.INFRA)
    assert tree.carrying(order.key) == []


def test_a_kill_from_inside_is_the_users_doing(plain: Site) -> None:
    seen, _ = plain.run("kill -9 $$")
    assert seen.ended is not None
    assert (seen.ended.category, seen.ended.exits[0].signal) == (Category.USER, 9)


def test_a_claim_that_never_began_is_invisible_and_starts_later(plain: Site) -> None:
    order = plain.order("echo ran >> count")
    plain.folder(order.key).mkdir(parents=True)
    assert plain.see(order.key) is None
    assert not plain.engine.submit(order).adopted
    assert plain.finish(order.key).state is AttemptState.SUCCEEDED
    assert (plain.work(order.key) / "count").read_text() == "ran\n"


def test_a_start_whose_secrets_did_not_arrive_whole_does_not_begin(plain: Site) -> None:
    order = plain.order("echo ran")
    folder = plain.folder(order.key)
    folder.mkdir(parents=True)
    plain.engine._write_order(folder, order, {"kind": "local"})
    argv = [sys.executable, "-I", "-S", supervise.__file__, str(folder)]
    for cut in (b"", b"{", b'{"secrets": {"A": "b"}}'):
        assert subprocess.run(argv, input=cut, check=False).returncode == supervise.INCOMPLETE
    assert plain.see(order.key) is None


def test_many_submitters_at_once_start_one(plain: Site) -> None:
    order = plain.order("echo ran >> count; sleep 0.2")
    receipts = []

    def submit() -> None:
        receipts.append(plain.another().engine.submit(order))

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    plain.finish(order.key)
    assert sorted(each.adopted for each in receipts) == [False] + [True] * 5
    assert (plain.work(order.key) / "count").read_text() == "ran\n"


@pytest.mark.slow
def test_a_submitter_killed_anywhere_gives_neither_two_nor_none(
    plain: Site, record_property: Callable[[str, object], None]
) -> None:
    takes_s = seconds(plain.engine.submit, *(plain.order("true") for _ in range(3)))
    orders, kills = [], Kills(trials(14), takes_s, dice(7))
    for after_s in kills:
        order: Order = plain.order("echo ran >> count; sleep 0.1")
        kill_midway(after_s, plain.engine.submit, order)
        kills.tell(midway=plain.see(order.key) is None)
        plain.engine.submit(order)
        orders.append(order)
        assert plain.finish(order.key).state is AttemptState.SUCCEEDED
    for order in orders:
        plain.until(lambda order=order: not tree.carrying(order.key))  # type: ignore[misc]
        assert (plain.work(order.key) / "count").read_text() == "ran\n"
    record_property("counted", f"{kills}; {len(orders)} jobs ran once")
    assert kills.midway, "no kill came before the start: the test has lost its point"


def test_a_stop_that_meets_a_start_leaves_nothing_running(plain: Site) -> None:
    for index in range(6):
        order = plain.order("sleep 600")
        thread = threading.Thread(target=plain.another().engine.submit, args=(order,))
        thread.start()
        time.sleep(index * 0.012)
        plain.engine.stop(order.key, 1, Category.CANCELLED, "race", 0)
        thread.join()
        assert plain.finish(order.key).state is AttemptState.CANCELLED
        assert tree.carrying(order.key) == []


def test_a_key_that_is_none_is_refused(plain: Site) -> None:
    with pytest.raises(Refused, match="not the key"):
        plain.engine.stop(AttemptKey("../../etc"), 1, Category.CANCELLED, "", 0)


def test_a_machine_that_cannot_start_it_says_later(
    plain: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = plain.order("true")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(Later, match="no supervisor"):
        plain.engine.submit(order)
    assert plain.see(order.key) is None


def test_ended_attempts_are_read_once(plain: Site) -> None:
    order = plain.order("true")
    plain.engine.submit(order)
    plain.finish(order.key)
    text = (plain.folder(order.key) / files.END).read_text()
    for _ in range(1_000):
        folder = plain.folder(plain.order("true").key)
        folder.mkdir()
        (folder / files.END).write_text(text)
    assert len(plain.engine.observe()) == 1_001
    for path in (plain.root / "attempts").glob(f"*/{files.END}"):
        path.write_text("no longer read")
    assert len(plain.engine.observe()) == 1_001
