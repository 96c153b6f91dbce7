"""Followers: a rank on another node runs as long as its supervisor's line, and says truly how it ended."""

import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hutong.adapters.engines.attempt import files, follow, line, reach, tree
from hutong.adapters.engines.attempt.launch import WRAP
from hutong.adapters.engines.attempt.line import Line, Lost

CANARY = "canary-" + "5f0a1c"
LOOPBACK = "127.0.0.1"
PLAIN = {"PATH": "/usr/bin:/bin"}


def until(good: Callable[[], object], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not good():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.01)


@dataclass
class Node:
    """A folder of an attempt and the processes that a test starts on it."""

    folder: Path
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)

    def write(self, **launcher: object) -> None:
        limits = {"address_space_bytes": 0, "file_bytes": 0, "open_files": 0, "processes": 0}
        told = {"inherited": ["GIVEN_BY_NODE"], "call_s": 60} | launcher
        order = {"config": {"limits": limits}, "spec": {"grace_s": 5}, "launcher": told}
        files.write_json(self.folder / files.ORDER, order)
        files.write_json(self.folder / files.TOKEN, {"token": secrets.token_hex(32)})
        files.write_json(self.folder / files.BEGAN, {})

    def token(self) -> bytes:
        return bytes.fromhex((files.read_json(self.folder / files.TOKEN) or {})["token"])

    def spawn(self, argv: list[str], **more: Any) -> "subprocess.Popen[bytes]":
        child = subprocess.Popen(argv, cwd="/", **more)
        self.started.append(child)
        return child

    def follow(self, rank: int = 0) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-I", "-S", follow.__file__, str(self.folder), str(rank), LOOPBACK]
        env = PLAIN | {"GIVEN_BY_NODE": "card 3", "NOT_GIVEN": "x"}
        child = self.spawn(argv, env=env, stderr=subprocess.DEVNULL)
        until((self.folder / files.follow_name(rank)).exists)
        return child

    def reach(self, script: str, rank: int = 0, **env: str) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-I", "-S", reach.__file__, str(self.folder), str(rank)]
        wrapped = {f"{WRAP}{name}": value for name, value in (PLAIN | env).items()}
        return self.spawn([*argv, "/bin/sh", "-c", script], env=wrapped, stdout=subprocess.PIPE)

    def dial(self, rank: int = 0) -> socket.socket:
        where = files.read_json(self.folder / files.follow_name(rank)) or {}
        self.sockets.append(socket.create_connection((where["address"], where["port"]), timeout=60))
        return self.sockets[-1]

    def call(self, script: str, rank: int = 0) -> Line:
        far = line.call(self.dial(rank), self.token(), rank, 10)
        far.send(line.REQUEST, json.dumps({"argv": ["/bin/sh", "-c", script], "env": PLAIN}).encode())
        return far

    def working(self) -> list[int]:
        """Return the living processes that work in the attempt's folder."""
        found = []
        for path in Path("/proc").iterdir():
            if path.name.isdigit():
                try:
                    if (path / "cwd").readlink() == self.folder / files.WORK:
                        found.append(int(path.name))
                except OSError:
                    continue
        return found

    def mark(self, name: str) -> Path:
        return self.folder / files.WORK / name


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    (tmp_path / files.WORK).mkdir()
    made = Node(tmp_path)
    made.write()
    yield made
    for child in made.started:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()
    for sock in made.sockets:
        sock.close()
    until(lambda: not made.working())


def finish(child: "subprocess.Popen[bytes]") -> tuple[int, bytes]:
    out, _ = child.communicate(timeout=60)
    return child.returncode, out


def words(out: bytes) -> list[str]:
    """Return what a rank said, without what its shell says of a child that got TERM too."""
    return [each for each in out.decode().split() if each != "Terminated"]


def test_output_code_and_environment_are_the_ranks_own(node: Node) -> None:
    follower = node.follow()
    script = "echo to $WHO from $GIVEN_BY_NODE; echo bad >&2; pwd; echo [$NOT_GIVEN$RANK_WHO]; exit 7"
    code, out = finish(node.reach(script, WHO="you"))
    assert (code, follower.wait(60)) == (7, 7)
    assert out.decode().splitlines() == ["to you from card 3", "bad", str(node.folder / "work"), "[]"]
    assert not (node.folder / files.fault_name(0)).exists()


def test_an_end_by_a_signal_is_told_as_a_shell_tells_it(node: Node) -> None:
    node.follow()
    assert finish(node.reach("kill -9 $$"))[0] == 128 + signal.SIGKILL
    assert not (node.folder / files.fault_name(0)).exists()


def test_ten_megabytes_arrive_whole(node: Node) -> None:
    node.follow()
    code, out = finish(node.reach("head -c 10485760 /dev/zero | tr '\\0' x; sha256sum /bin/sh"))
    assert code == 0
    assert out[:10485760] == b"x" * 10485760
    assert out[10485760:].split()[0].decode() == hashlib.sha256(Path("/bin/sh").read_bytes()).hexdigest()


def test_term_reaches_the_whole_tree_and_is_left_its_time(node: Node) -> None:
    node.follow()
    script = """
    sh -c 'trap "echo child; exit 0" TERM; touch child; while :; do sleep 0.05; done' &
    trap 'wait; echo parent; exit 5' TERM; touch parent; while :; do sleep 0.05; done"""
    child = node.reach(script)
    until(lambda: node.mark("child").exists() and node.mark("parent").exists())
    child.terminate()
    code, out = finish(child)
    assert (code, words(out)) == (5, ["child", "parent"])


def test_kill_ends_what_heeds_nothing_else(node: Node) -> None:
    follower = node.follow()
    child = node.reach("trap '' TERM; setsid sh -c \"trap '' TERM; touch up; sleep 600\" & wait; sleep 600")
    until(node.mark("up").exists)
    child.terminate()
    child.send_signal(signal.SIGQUIT)
    assert finish(child)[0] == 128 + signal.SIGKILL
    follower.wait(60)
    assert node.working() == []


STUBBORN = """
trap '' TERM HUP
setsid sh -c "trap '' TERM HUP; touch up; sleep 600; sleep 600" &
sleep 600; sleep 600"""


def test_nothing_outlives_the_line(node: Node) -> None:
    follower = node.follow()
    far = node.call(STUBBORN)
    until(node.mark("up").exists)
    assert len(node.working()) >= 3
    far.sock.close()
    follower.wait(60)
    assert node.working() == []


def test_nothing_outlives_a_killed_supervisor(node: Node) -> None:
    follower = node.follow()
    child = node.reach(STUBBORN)
    until(node.mark("up").exists)
    assert child.stdout is not None
    child.stdout.close()  # as the kernel does for a supervisor that was killed
    child.wait(60)
    follower.wait(60)
    assert node.working() == []


def test_an_attempt_with_an_end_runs_no_more(node: Node) -> None:
    follower = node.follow()
    node.call(STUBBORN)
    until(node.mark("up").exists)
    files.create_json(node.folder / files.END, {})
    assert follower.wait(60) == 128 + signal.SIGKILL
    assert node.working() == []


def test_a_node_that_takes_its_rank_down_is_to_blame(node: Node) -> None:
    follower = node.follow()
    child = node.reach("trap 'echo saved; exit 0' TERM; touch up; while :; do sleep 0.05; done")
    until(node.mark("up").exists)
    follower.terminate()
    code, out = finish(child)
    assert (code, words(out)) == (reach.UNREACHED, ["saved"])
    fault = files.read_json(node.folder / files.fault_name(0))
    assert fault is not None
    assert fault["category"] == "infra"


def test_a_rank_does_not_outlive_what_started_its_follower(node: Node) -> None:
    follower = node.follow()
    child = node.reach("trap 'echo saved; exit 0' TERM; touch up; while :; do sleep 0.05; done")
    until(node.mark("up").exists)
    follower.kill()
    code, out = finish(child)
    assert (code, words(out)) == (reach.UNREACHED, ["saved"])


def test_a_node_that_is_gone_is_to_blame(node: Node) -> None:
    follower = node.follow()
    child = node.reach("touch up; exec sleep 600")
    until(node.mark("up").exists)
    tree.send([follower.pid, *tree.below([follower.pid])], signal.SIGKILL)
    assert finish(child)[0] == reach.UNREACHED
    fault = files.read_json(node.folder / files.fault_name(0))
    assert fault is not None
    assert (fault["category"], fault["reason"][:20]) == ("infra", "rank 0 lost its node")


def test_a_program_that_is_not_there_is_the_nodes_fault(node: Node) -> None:
    node.follow()
    far = line.call(node.dial(), node.token(), 0, 10)
    far.send(line.REQUEST, json.dumps({"argv": ["/no/such/program"], "env": {}}).encode())
    kind, payload = far.receive()
    assert kind == line.EXIT
    assert json.loads(payload)["code"] == follow.NOT_STARTED
    assert "/no/such/program" in json.loads(payload)["fault"]


def test_who_does_not_know_the_token_is_refused_and_disturbs_nobody(node: Node) -> None:
    node.follow()
    node.dial()  # and says nothing
    with pytest.raises(Lost):
        line.call(node.dial(), secrets.token_bytes(32), 0, 10)
    node.dial().sendall(os.urandom(4096))
    with pytest.raises(Lost):  # a token of the attempt, but for another rank
        line.call(node.dial(), node.token(), 1, 10)
    assert finish(node.reach("echo served")) == (0, b"served\n")


def test_who_only_listens_where_a_follower_was_learns_nothing(node: Node) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        where = {"address": LOOPBACK, "port": listener.getsockname()[1], "pid": 1}
        files.write_json(node.folder / files.follow_name(0), where)
        child = node.reach("true", SECRET=CANARY)
        sock, _ = listener.accept()
        with sock:
            sock.sendall(os.urandom(32))
            heard = sock.recv(4096)
            sock.sendall(os.urandom(32))
            sock.settimeout(10)
            heard += sock.recv(4096)
        assert finish(child)[0] == reach.UNREACHED
    assert node.token() not in heard
    assert len(heard) == 64


def test_a_follower_takes_one_call(node: Node) -> None:
    node.follow()
    far = node.call("touch up; exec sleep 600")
    until(node.mark("up").exists)
    with pytest.raises(OSError, match="refused"):
        node.dial()
    far.send(line.KILL)
    assert far.receive()[0] == line.EXIT


def test_a_frame_that_was_altered_or_sent_again_ends_the_rank(node: Node) -> None:
    follower = node.follow()
    far = node.call("trap 'touch heard' TERM; touch up; while :; do sleep 0.05; done")
    until(node.mark("up").exists)
    far._sent = 0  # the number of a frame that was sent before
    far.send(line.TERM)
    follower.wait(60)
    assert not node.mark("heard").exists()


def test_secrets_touch_neither_disk_nor_command_lines(node: Node) -> None:
    follower = node.follow()
    child = node.reach('touch up; [ -n "$SECRET" ] && exec sleep 600', SECRET=CANARY)
    until(node.mark("up").exists)
    for pid in (child.pid, follower.pid, *tree.below([child.pid, follower.pid])):
        assert CANARY.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    for path in node.folder.rglob("*"):
        assert path.is_dir() or CANARY.encode() not in path.read_bytes()
    assert (node.folder / files.TOKEN).stat().st_mode & 0o777 == 0o600
    child.send_signal(signal.SIGQUIT)
    finish(child)


@pytest.mark.parametrize("name", [files.END, files.STOP])
def test_a_follower_of_an_attempt_that_will_not_begin_leaves(node: Node, name: str) -> None:
    (node.folder / files.BEGAN).unlink()
    follower = node.follow()
    files.create_json(node.folder / name, {})
    assert follower.wait(60) == follow.NOBODY_CALLED


def test_a_follower_that_nobody_calls_leaves(node: Node) -> None:
    node.write(call_s=0.2)
    assert node.follow().wait(60) == follow.NOBODY_CALLED
