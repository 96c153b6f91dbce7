"""What a user may rely on about training: it learns, resumes exactly, stops cleanly, and leaves no pickle."""

import hashlib
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

TINY = [
    "--dim", "32", "--layers", "1", "--ctx", "16", "--batch", "4", "--vocab", "512", "--megabytes", "0.2",
    "--checkpoint-every", "10",
]  # fmt: skip


def read_lines(log: Path, kind: str = "") -> list[dict[str, Any]]:
    """The JSON lines of a log, of one kind if it is named."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith('{"hutong"')]
    return [line for line in lines if not kind or line["hutong"] == kind]


def gang(center: Any, folder: Path, *options: str) -> list[subprocess.Popen[str]]:
    """Start two nodes of one process each, as torchrun is run in the example job."""
    port = center.port()
    processes = []
    for rank in (0, 1):
        env = center.env(folder, rank=rank, nodes=2, port=port)
        torchrun = [
            center.python.with_name("torchrun"), "--nnodes", "2", "--nproc-per-node", "1",
            "--node-rank", str(rank), "--master-addr", "127.0.0.1", "--master-port", str(port),
            center.payloads / "train.py",
        ]  # fmt: skip
        processes.append(center.start([*torchrun, *TINY, *options], folder, env, f"rank{rank}"))
    return processes


def alone(center: Any, folder: Path, *options: str, log: str = "log") -> subprocess.Popen[str]:
    command = [center.python, center.payloads / "train.py", *TINY, *options]
    return center.start(command, folder, center.env(folder), log)


def await_file(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, f"ended with {process.returncode} before {path.name}"
        assert time.monotonic() < deadline, f"no {path.name} in time"
        time.sleep(0.01)


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "outputs" / "model" / "model.safetensors").read_bytes()).hexdigest()


def test_two_nodes_learn_and_leave_a_model_with_lineage(center: Any, tmp_path: Path) -> None:
    for process in gang(center, tmp_path, "--steps", "80"):
        assert process.wait(120) == 0, (tmp_path / "rank0").read_text()
    lines = read_lines(tmp_path / "rank0")
    first, last = lines[0], lines[-1]
    assert (first["hutong"], first["world"], first["device"]) == ("start", 2, "cpu")
    assert (last["hutong"], last["step"]) == ("result", 80)
    assert last["tokens"] == 80 * 2 * 4 * 16
    assert last["loss_before"] == pytest.approx(first["validation_loss"], abs=1e-4)
    assert 6.0 < last["loss_before"] < 6.6  # ln 512 is 6.24: it knows nothing yet
    assert last["loss_after"] < last["loss_before"] - 0.5
    assert not read_lines(tmp_path / "rank1")
    model = tmp_path / "outputs" / "model"
    lineage = json.loads((model / "lineage.json").read_text())
    assert (lineage["job"], lineage["attempt"], lineage["steps"]) == ("01JOB", 2, 80)
    assert lineage["corpus"]["sha256"] == last["corpus_sha256"]
    assert lineage["loss_after"] == last["loss_after"]
    assert lineage["versions"]["torch"]
    assert {path.name for path in model.iterdir()} == {
        "config.json", "generation_config.json", "lineage.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip


def test_a_killed_run_goes_on_as_if_nothing_had_happened(center: Any, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert alone(center, whole, "--steps", "300").wait(120) == 0
    process = alone(center, broken, "--steps", "300")
    await_file(broken / "checkpoints" / "checkpoint.safetensors", process)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    assert not (broken / "outputs" / "model").exists()
    assert alone(center, broken, "--steps", "300", log="again").wait(120) == 0
    first = read_lines(broken / "again", "start")[0]
    assert first["resumed"]
    assert 0 < first["step"] < 300
    assert first["step"] % 10 == 0
    assert first["validation_loss"] == first["saved_validation_loss"]
    assert digest(broken) == digest(whole)
    results = [read_lines(log, "result")[0] for log in (whole / "log", broken / "again")]
    assert results[0]["loss_before"] == results[1]["loss_before"]
    assert results[0]["loss_after"] == results[1]["loss_after"]


@pytest.mark.slow
def test_a_node_that_dies_ends_the_other_which_saves_its_step(center: Any, tmp_path: Path) -> None:
    first, second = gang(center, tmp_path, "--steps", "1000000")
    await_file(tmp_path / "checkpoints" / "checkpoint.safetensors", first)
    center.kill(second.pid)
    assert first.wait(60) != 0
    assert "another rank is gone" in (tmp_path / "rank0").read_text()
    again = gang(center, tmp_path, "--steps", "1000000", "--seconds", "0.5")
    assert [process.wait(120) for process in again] == [0, 0]
    assert read_lines(tmp_path / "rank0", "start")[0]["resumed"]


def test_a_worker_does_not_outlive_its_torchrun(center: Any, tmp_path: Path) -> None:
    first, second = gang(center, tmp_path, "--steps", "1000000")
    await_file(tmp_path / "checkpoints" / "checkpoint.safetensors", first)
    workers = (center.family(first.pid) | center.family(second.pid)) - {first.pid, second.pid}
    assert len(workers) == 2
    second.kill()
    assert first.wait(60) != 0
    assert read_lines(tmp_path / "rank0", "stopped")
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker is still there"
        time.sleep(0.02)


def test_a_signal_ends_a_rank_that_waits_for_another(center: Any, tmp_path: Path) -> None:
    port = center.port()
    env = center.env(tmp_path, nodes=2, port=port)
    process = center.start([center.python, center.payloads / "train.py", *TINY], tmp_path, env)
    deadline = time.monotonic() + 60
    while not is_listening(port):  # it is rank 0, and rank 1 never comes
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == -signal.SIGTERM


def is_listening(port: int) -> bool:
    """Whether some process listens on a TCP port, without calling it."""
    tables = (Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6"))
    rows = (line.split() for table in tables for line in table)
    return any(int(row[1].rpartition(":")[2], 16) == port and row[3] == "0A" for row in rows)


def test_a_stopped_run_saves_says_so_and_resumes(center: Any, tmp_path: Path) -> None:
    process = alone(center, tmp_path, "--steps", "1000000")
    await_file(tmp_path / "checkpoints" / "checkpoint.safetensors", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    stopped = read_lines(tmp_path / "log", "stopped")[0]
    assert stopped["signal"] == 15
    options = ("--steps", "1000000", "--seconds", "0.2")
    assert alone(center, tmp_path, *options, log="again").wait(60) == 0
    first = read_lines(tmp_path / "again", "start")[0]
    assert (first["step"], first["validation_loss"]) == (stopped["step"], stopped["validation_loss"])
    assert read_lines(tmp_path / "again", "result")[0]["step"] > stopped["step"]


def test_progress_comes_at_most_twice_a_second(center: Any, tmp_path: Path) -> None:
    options = ("--steps", "1000000", "--seconds", "2.2", "--checkpoint-every", "0")
    assert alone(center, tmp_path, *options).wait(60) == 0
    lines = read_lines(tmp_path / "log", "progress")
    assert 2 <= len(lines) <= 5
    assert all(line["steps"] == 1_000_000 and line["tokens_per_s"] > 0 for line in lines)
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})


def test_a_checkpoint_of_another_model_is_refused(center: Any, tmp_path: Path) -> None:
    assert alone(center, tmp_path, "--steps", "5").wait(60) == 0
    assert alone(center, tmp_path, "--steps", "5", "--layers", "2", log="two").wait(60) == 1
    assert "of another run (shape differ)" in (tmp_path / "two").read_text()


@pytest.mark.parametrize(
    ("options", "name"),
    [(["--dim", "40"], "--dim"), (["--steps", "0"], "--steps"), (["--vocab", "7"], "--vocab")],
)
def test_wrong_options_are_named(options: list[str], name: str, center: Any, tmp_path: Path) -> None:
    assert center.start([center.python, center.payloads / "train.py", *options], tmp_path, {}).wait(60) == 2
    assert f"error: {name}:" in (tmp_path / "log").read_text()
