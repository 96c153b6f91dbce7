"""`hutong exec` and `hutong forward` as people type them, against a real job under a real supervisor."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.server.serving import wait_for
from tests.server.tunnels.conftest import Reachable

SLEEP = "echo $$ > up; exec sleep 600"


def environ(world: Reachable, headers: dict[str, str] | None = None) -> dict[str, str]:
    token = (headers or world.li)["Authorization"].removeprefix("Bearer ")
    return {**os.environ, "HUTONG_URL": world.config.url, "HUTONG_TOKEN": token}


def hutong(
    world: Reachable, *words: str, feed: bytes = b"", **more: Any
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "hutong.main", *words], input=feed, capture_output=True, timeout=120,
        env=environ(world, **more), check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One platform with boxes for the whole module, and one job in it."""
    from tests.server.tunnels.conftest import opened_world

    with opened_world(tmp_path_factory.mktemp("world"), isolation="bwrap") as world:
        world.job = world.run(SLEEP, type="task", envs={"GREETING": "hello"})  # type: ignore[attr-defined]
        yield world


def test_a_command_has_its_streams_its_input_and_its_exit_code(boxed: Any) -> None:
    done = hutong(
        boxed, "exec", boxed.job, "--", "sh", "-c", "cat; echo bad >&2; exit 7", feed=b"fed\n" * 1000
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"fed\n" * 1000, b"bad\n", 7)


def test_a_command_stands_where_the_rank_stands(boxed: Any) -> None:
    script = (
        "pwd; cat up >/dev/null && echo beside; echo $GREETING $HUTONG_JOB_ID; ls /root 2>&1 | wc -l; id -u"
    )
    done = hutong(boxed, "exec", boxed.job, "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    folder, beside, greeting, _, uid = done.stdout.decode().splitlines()
    assert folder.endswith("/work")
    assert beside == "beside"
    assert greeting == f"hello {boxed.job}"
    assert uid == "65534", "the box is the rank's own kind of box"


def test_a_command_in_a_box_without_network_reaches_the_job_and_nothing_else(boxed: Any) -> None:
    script = "import socket; print(sorted(name for _, name in socket.if_nameindex()))"
    done = hutong(boxed, "exec", boxed.job, "--", "python3", "-c", script)
    assert done.stdout == b"['lo']\n", done.stderr


def test_what_cannot_be_started_says_so(boxed: Any) -> None:
    done = hutong(boxed, "exec", boxed.job, "--", "no-such-program")
    assert done.returncode in {1, 127}
    assert b"no-such-program" in done.stderr


def test_a_rank_that_is_not_there_is_refused_in_words(boxed: Any) -> None:
    done = hutong(boxed, "exec", boxed.job, "--rank", "3", "--", "true")
    assert done.returncode == 1
    assert b"rank 3" in done.stderr


def test_strangers_have_no_line(boxed: Any) -> None:
    wang = boxed.platform.person("wang", "biology")
    done = hutong(boxed, "exec", boxed.job, "--", "true", headers=wang)
    assert done.returncode == 2
    assert b"there is no job" in done.stderr


def test_operators_see_jobs_but_do_not_reach_into_them(boxed: Any) -> None:
    done = hutong(boxed, "exec", boxed.job, "--", "true", headers=boxed.platform.operator)
    assert done.returncode == 2
    assert b"job.open" in done.stderr


def test_a_terminal_is_one_and_has_the_size_of_ours(boxed: Any) -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "hutong.main", "exec", boxed.job, "--", "sh"],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**environ(boxed), "TERM": "xterm"},
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    screen = Screen(ours)
    try:
        screen.expect(rb"[$#] ")
        subprocess.run(["stty", "rows", "33", "cols", "101"], stdin=ours, check=True)
        child.send_signal(signal.SIGWINCH)

        def resized() -> bool:
            os.write(ours, b"stty size; tty; echo done-$((1+1))\n")
            return b"33 101" in screen.expect(rb"done-2")

        wait_for(resized, 60)
        assert b"not a tty" not in screen.seen
        os.write(ours, b"exit 5\n")
        code = child.wait(60)
        assert code == 5, screen.rest()
    finally:
        child.kill()
        child.wait()
        os.close(ours)


class Screen:
    """What a terminal has shown."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.seen = b""

    def rest(self) -> bytes:
        """Return all that has been shown, the last words too."""
        os.set_blocking(self._handle, False)
        try:
            self.seen += os.read(self._handle, 65536)
        except OSError:
            return self.seen
        return self.seen

    def expect(self, pattern: bytes, within_s: float = 60.0) -> bytes:
        """Read until something new matches; return all that is new."""
        fresh = b""
        deadline = time.monotonic() + within_s
        os.set_blocking(self._handle, False)
        while not re.search(pattern, fresh):
            assert time.monotonic() < deadline, (pattern, self.seen[-2000:])
            try:
                piece = os.read(self._handle, 4096)
            except BlockingIOError:
                time.sleep(0.02)
                continue
            fresh += piece
            self.seen += piece
        return fresh


def test_what_a_command_started_ends_with_its_line(boxed: Any) -> None:
    mark = f"{time.monotonic_ns()}"
    child = subprocess.Popen(
        [sys.executable, "-m", "hutong.main", "exec", boxed.job, "--", "sh", "-c",
         f"setsid sleep 7777.{mark} & sleep 7777.{mark}"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ(boxed),
    )  # fmt: skip
    wait_for(lambda: len(running(mark)) >= 2, 60)
    child.kill()
    child.communicate()
    wait_for(lambda: not running(mark), 60)


def running(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == b"sleep" and any(mark.encode() in word for word in words):
            found.append(path.parent.name)
    return found


def test_a_port_of_the_job_becomes_one_of_this_machine(
    opened: Callable[..., Reachable], tmp_path: Path
) -> None:
    world = opened(tmp_path)
    job = world.serve_http()
    visitor = world.visit(job)
    visitor.until_up()
    row = world.platform.services.store.job(job)
    child = subprocess.Popen(
        [sys.executable, "-u", "-m", "hutong.main", "forward", job, str(row.job.live.port), "--listen", "0"],
        stdout=subprocess.PIPE, env=environ(world),
    )  # fmt: skip
    try:
        assert child.stdout is not None
        here = int(re.search(rb"127.0.0.1:(\d+)", child.stdout.readline())[1])  # type: ignore[index]
        with socket.create_connection(("127.0.0.1", here), timeout=60) as line:
            line.sendall(b"GET /forwarded HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            line.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: line.recv(65536), b""))
        assert b"GET /forwarded" in said
    finally:
        child.terminate()
        child.wait(60)
        child.stdout.close()  # type: ignore[union-attr]
