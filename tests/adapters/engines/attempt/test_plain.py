"""Plain attempts as a batch system starts them: begun by little, ended as the whole supervisor ends them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench.centres import wait_until
from hypothesis import given
from hypothesis import strategies as st

from hutong.adapters.engines.attempt import batch, carry, codec, files, plain

LOG_BYTES = 300_000
BOTH = pytest.mark.parametrize("whole", [False, True], ids=["plain", "whole"])


def make(folder: Path, run: str, whole: bool, **spec: object) -> Path:
    """Write an attempt's folder; `whole` leaves all of it to the whole supervisor, as does any setup."""
    folder.mkdir(exist_ok=True)
    order = {
        "key": "01JQZ5V0000000000000000000-a1",
        "job": "01JQZ5V0000000000000000000",
        "checkpoints": str(folder),
        "project": "bench",
        "attempt": 1,
        "accelerator": "H100",
        "cards_per_node": 1,
        "spec": {
            "num_nodes": 1, "run": run, "setup": ":" if whole else "", "envs": {"WHO": "小明"}, "outputs": "",
            "ports": [], "listens": False, "network": True, "max_duration_s": 60, "grace_s": 5,
            "retries": False,
        } | spec,
        "secret_names": [],
        "staged": [],
        "launcher": {"kind": "test", "judge": ["true"], "inherited": ["PATH"], "identity": ["NODE"]},
        "config": {
            "boxed": False, "note": "said before", "readable": [], "devices": [], "path": [], "payloads": "/",
            "limits": {"open_files": 99}, "log_most_bytes": LOG_BYTES, "service_host": "", "envs": {},
        },
    }  # fmt: skip
    files.write_json(folder / files.ORDER, order)
    return folder


def begin(folder: Path) -> "subprocess.Popen[bytes]":
    argv = [sys.executable, "-I", "-S", batch.__file__, str(folder)]
    return subprocess.Popen(argv, env={**os.environ, "NODE": "n1"}, stdout=subprocess.PIPE)


def carry_out(folder: Path) -> tuple[int, dict[str, Any], str]:
    """Return the code of the supervisor, the end that it wrote, and the log."""
    child = begin(folder)
    said = child.communicate(timeout=60)[0]
    end = files.read_json(folder / files.END) or {}
    assert json.loads(said) == end
    assert files.read_json(folder / files.BEGAN) == {
        "pid": json.loads((folder / files.BEGAN).read_bytes())["pid"],
        "began_ms": json.loads((folder / files.BEGAN).read_bytes())["began_ms"],
        "identity": "n1",
    }
    return child.returncode, end, (folder / files.log_name(0)).read_text()


def wait_for(folder: Path, true: Callable[[], object]) -> None:
    wait_until(true, 60, lambda: sorted(path.name for path in folder.iterdir()))


def imported(folder: Path) -> bool:
    """Return whether the whole supervisor was needed: it alone tells what the launchers have said."""
    argv = [sys.executable, "-I", "-S", "-X", "importtime", batch.__file__, str(folder)]
    done = subprocess.run(argv, env={**os.environ, "NODE": "n1"}, capture_output=True, text=True, timeout=60)
    told = done.stderr + (folder / files.NOTES).read_text()
    assert "attempt.plain" in told
    return "attempt.supervise" in told


@BOTH
def test_a_rank_that_ends_well(tmp_path: Path, whole: bool) -> None:
    script = 'echo "$WHO in ${PWD##*/}, $(ulimit -n) files"; echo oops >&2; cat; echo "$HUTONG_OUTPUTS"'
    code, end, log = carry_out(make(tmp_path, script, whole))
    assert (code, end["outcome"], end["category"], end["reason"]) == (0, "SUCCEEDED", "none", "")
    assert end["exits"] == [{"rank": 0, "code": 0, "signal": 0}]
    assert 0 < end["started_ms"] <= end["ended_ms"]
    assert log == f"[hutong] said before\n小明 in work, 99 files\noops\n{tmp_path}/work/outputs\n"
    told = files.read_json(tmp_path / files.exit_name(0)) or {}
    assert (told["rank"], told["code"], told["signal"]) == (0, 0, 0)
    started = files.read_json(tmp_path / files.STARTED) or {}
    assert (started["started_ms"], started["hosts"]) == (end["started_ms"], [])
    assert files.read_beat(tmp_path) == end["ran_ms"] > 0
    assert (tmp_path / "work" / "outputs").is_dir()


def test_a_rank_that_ends_well_needs_no_more_than_little(tmp_path: Path) -> None:
    assert not imported(make(tmp_path / "plain", "true", whole=False))
    assert imported(make(tmp_path / "failed", "false", whole=False))


@BOTH
@pytest.mark.parametrize(
    ("run", "code", "number"), [("exit 3", 3, 0), ("kill -KILL $$", 137, 9), ("kill -TERM $$", 143, 15)]
)
def test_a_rank_that_fails(tmp_path: Path, whole: bool, run: str, code: int, number: int) -> None:
    returned, end, log = carry_out(make(tmp_path, f"echo before; {run}", whole))
    assert (returned, end["outcome"], end["category"]) == (1, "FAILED", "user")
    assert end["exits"] == [{"rank": 0, "code": code, "signal": number}]
    assert log.endswith("said before\nbefore\n")


@BOTH
def test_nothing_of_a_rank_outlives_it(tmp_path: Path, whole: bool) -> None:
    script = "setsid sleep 600 & echo $! > left; echo done"
    _, end, log = carry_out(make(tmp_path, script, whole))
    assert end["outcome"] == "SUCCEEDED"
    assert log.endswith("done\n")
    pid = int((tmp_path / "work" / "left").read_text())
    assert not Path(f"/proc/{pid}").exists()


@BOTH
def test_output_is_kept_whole_up_to_its_bound(tmp_path: Path, whole: bool) -> None:
    _, end, log = carry_out(make(tmp_path / "in", "head -c 250000 /dev/zero | tr '\\0' x; echo", whole))
    assert (end["outcome"], log.count("x")) == ("SUCCEEDED", 250_000)
    _, end, log = carry_out(make(tmp_path / "over", "head -c 900000 /dev/zero | tr '\\0' x", whole))
    assert end["outcome"] == "SUCCEEDED"
    assert log.endswith(f"\n[hutong] the log ends here: it reached {LOG_BYTES} bytes\n")
    assert len(log.partition("\n[hutong] the log ends")[0]) == LOG_BYTES


@BOTH
def test_walltime_counts_from_the_start(tmp_path: Path, whole: bool) -> None:
    _, end, _ = carry_out(make(tmp_path, "sleep 60", whole, max_duration_s=1, grace_s=0))
    assert (end["outcome"], end["category"]) == ("FAILED", "user")
    assert end["reason"].startswith("walltime")
    assert end["ran_ms"] >= 1000


@BOTH
def test_a_stop_is_heard_with_its_grace(tmp_path: Path, whole: bool) -> None:
    run = "trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    child = begin(make(tmp_path, run, whole))
    log = tmp_path / files.log_name(0)
    wait_for(tmp_path, lambda: log.exists() and "up" in log.read_text())
    stop = {"attempt": 1, "category": "cancelled", "reason": "enough", "grace_s": 30, "at_ms": 1}
    files.create_json(tmp_path / files.STOP, stop)
    child.communicate(timeout=60)
    end = files.read_json(tmp_path / files.END) or {}
    assert (end["outcome"], end["reason"]) == ("CANCELLED", "enough")
    told = log.read_text().splitlines()
    assert [line for line in told if line != "Terminated"][-2:] == [
        "up",
        "told",
    ]  # bash may tell of its sleep


@BOTH
def test_a_batch_system_that_takes_the_job_away_says_why(tmp_path: Path, whole: bool) -> None:
    child = begin(make(tmp_path, "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done", whole))
    log = tmp_path / files.log_name(0)
    wait_for(tmp_path, lambda: log.exists() and "up" in log.read_text())
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode == 1
    assert not (tmp_path / files.END).exists()
    left = files.read_json(tmp_path / files.LEFT) or {}
    assert left["ran_ms"] > 0


@BOTH
def test_a_supervisor_that_is_killed_leaves_no_rank(tmp_path: Path, whole: bool) -> None:
    child = begin(make(tmp_path, "echo $$ > me; sleep 600", whole))
    mine = tmp_path / "work" / "me"
    wait_for(tmp_path, lambda: mine.exists() and mine.read_text().strip())
    os.kill(json.loads((tmp_path / files.BEGAN).read_bytes())["pid"], signal.SIGKILL)
    child.communicate(timeout=60)
    assert not Path(f"/proc/{mine.read_text().strip()}").exists()
    assert not (tmp_path / files.END).exists()


@BOTH
def test_outputs_that_leave_the_folder_are_refused(tmp_path: Path, whole: bool) -> None:
    folder = make(tmp_path, "true", whole, outputs="../out")
    begin(folder).communicate(timeout=60)
    end = files.read_json(folder / files.END) or {}
    assert (end["outcome"], end["category"], end["started_ms"]) == ("FAILED", "user", 0)
    assert not (tmp_path.parent / "out").exists()


def test_a_second_copy_leaves_at_once(tmp_path: Path) -> None:
    folder = make(tmp_path, "echo once", whole=False)
    carry_out(folder)
    (folder / files.END).unlink()
    again = begin(folder)
    again.communicate(timeout=60)
    assert again.returncode == carry.FENCED
    assert (folder / files.log_name(0)).read_text().count("once") == 1


def test_what_cannot_be_started_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be started: FileNotFoundError"):
        plain.spawn([str(tmp_path / "missing")], {}, str(tmp_path), {}, boxed=False)
    with pytest.raises(OSError, match="cannot be started"):
        plain.spawn(["/bin/true"], {}, str(tmp_path / "nowhere"), {}, boxed=False)


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"num_nodes": 2}}, {"spec": {"setup": "make"}}, {"spec": {"listens": True}},
        {"spec": {"ports": [80]}}, {"staged": [["a", "file", "/a"]]}, {"secret_names": ["TOKEN"]},
        {"launcher": {"prefix": ["srun"]}}, {"launcher": {"visible": "NPU"}}, {"launcher": {"image": True}},
        {"launcher": {"judge": []}},
    ],
)  # fmt: skip
def test_what_is_not_plain(tmp_path: Path, change: dict[str, Any]) -> None:
    order = files.read_json(make(tmp_path, "true", whole=False) / files.ORDER) or {}
    assert plain.is_plain(order)
    for name, value in change.items():
        order[name] = {**order[name], **value} if isinstance(value, dict) else value
    assert not plain.is_plain(order)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_json_for_little_is_json(value: object) -> None:
    assert codec.dumps(value) == json.dumps(value, separators=(",", ":")).encode()
    assert codec.loads(codec.dumps(value)) == json.loads(json.dumps(value))
    assert codec.loads(b" " + json.dumps(value, indent=1).encode() + b"\n") == json.loads(json.dumps(value))


@pytest.mark.parametrize("text", [b"", b"{", b"[1] 2", b"nul", b'{"a":}', b'"\xff"', b"\xff"])
def test_what_is_no_json_is_refused_as_ever(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (what json raises)
        json.loads(text)
    with pytest.raises(ValueError):  # noqa: PT011
        codec.loads(text)
    with pytest.raises(TypeError):
        codec.dumps({"a": object()})
