"""The parts of the Slurm engine that need no cluster: what is asked, devices, clocks, tokens, pools."""

import base64
import dataclasses
import json
import os
from pathlib import Path

import pytest
from tests.conformance.benches import memory_bench

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.attempt.clock import AwakeClock
from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.attempt.devices import devices_of
from hutong.adapters.engines.slurm import build
from hutong.adapters.engines.slurm.arrays import Arrays
from hutong.adapters.engines.slurm.commands import Commands
from hutong.adapters.engines.slurm.config import RestConfig, SlurmConfig, SlurmPool
from hutong.adapters.engines.slurm.engine import SlurmEngine
from hutong.adapters.engines.slurm.queue import Queue
from hutong.adapters.engines.slurm.rest import submission_body
from hutong.adapters.engines.slurm.token import Token, expiry_s
from hutong.adapters.engines.slurm.watch import Watch
from hutong.core.kernel.errors import Later, Refused
from hutong.core.kernel.ids import JobId, attempt_key

POOL = SlurmPool("ai", "npu:910c", "lab", "low", "roce", "ours", "matlab:1", 8, 1000, "", ("--exclusive",))


def _submission() -> build.Submission:
    with memory_bench() as bench:
        order = bench.order("true", num_nodes=2, setup="make", max_duration_s=600, grace_s=60)
    order = dataclasses.replace(order, key="ht-01m7q5cqg0bajn7h08qp6nt8va-a1")
    return build.submission(order, POOL, Path("/s/a"), "#!/bin/sh\n", "{}")


def test_what_sbatch_is_told() -> None:
    told = build.sbatch(_submission())
    assert told == [
        "--parsable", "--no-requeue", "--job-name=ht-01m7q5cqg0bajn7h08qp6nt8va-a1", "--comment={}",
        "--chdir=/s/a", "--output=/s/a/slurm.log", "--open-mode=append", "--nodes=2", "--ntasks-per-node=1",
        "--partition=ai", "--account=lab", "--qos=low", "--constraint=roce", "--reservation=ours",
        "--licenses=matlab:1", "--gres=npu:910c:2", "--cpus-per-task=16", "--mem=2000M", "--time=22",
        "--exclusive", "/s/a/job.sh",
    ]  # fmt: skip


def test_what_slurmrestd_is_told() -> None:
    old = submission_body(_submission(), {"PATH": "/bin"}, 38)
    assert old["script"] == "#!/bin/sh\n"
    assert (old["job"]["nodes"], old["job"]["gres"], old["job"]["no_requeue"]) == (2, "npu:910c:2", True)
    assert (old["job"]["memory_per_node"], old["job"]["time_limit"]) == (2000, 22)
    assert old["job"]["environment"] == {"PATH": "/bin"}
    new = submission_body(_submission(), {"PATH": "/bin"}, 40)["job"]
    assert (new["minimum_nodes"], new["maximum_nodes"], new["tres_per_node"]) == (2, 2, "gres/npu:910c:2")
    assert new["time_limit"] == {"set": True, "infinite": False, "number": 22}
    assert (new["environment"], new["requeue"], new["open_mode"]) == (["PATH=/bin"], False, ["APPEND"])
    assert "nodes" not in new
    assert "gres" not in new


@pytest.mark.parametrize(
    "option",
    ["--job-name=x", "--job=x", "-Jx", "-J", "--array=1-3", "--arr=1", "-a1", "--requeue", "--test-only",
     "--wait", "-W", "-M", "--clusters=b", "--uid=0", "-N3", "--nodes=3", "-n", "--ntasks=4", "--wrap=x",
     "x", "-", "--", ""],
)  # fmt: skip
def test_options_that_would_break_adoption_are_refused(option: str) -> None:
    with pytest.raises(Refused) as caught:
        build.check_pool("a", SlurmPool(options=(option,)), rest=False)
    assert caught.value.problems[0].path == "/pools/a/options"


@pytest.mark.parametrize("option", ["--exclusive", "--mail-type=FAIL", "-Cfast", "--switches=1", "--nice"])
def test_other_options_are_the_operators(option: str) -> None:
    build.check_pool("a", SlurmPool(options=(option,)), rest=False)
    with pytest.raises(Refused):
        build.check_pool("a", SlurmPool(options=(option,)), rest=True)


@pytest.mark.parametrize("gres", ["gpu:h100:8", "gpu:1,npu:2"])
def test_a_device_has_no_count(gres: str) -> None:
    with pytest.raises(Refused, match="without a count"):
        build.check_pool("a", SlurmPool(gres=gres), rest=False)


def _config(root: Path, **more: object) -> SlurmConfig:
    payloads = root / "payloads"
    payloads.mkdir(exist_ok=True)
    return SlurmConfig(FolderConfig(root / "site", payloads, isolation="none"), **more)  # type: ignore[arg-type]


def test_the_sites_folder_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is missing: make it once"):
        SlurmEngine(_config(tmp_path), lambda: 0, lambda: 0)
    odd = tmp_path / "100%"
    (odd / "site").mkdir(parents=True)
    with pytest.raises(Refused, match="reads as a pattern"):
        SlurmEngine(_config(odd), lambda: 0, lambda: 0)


def test_slurmrestd_wants_a_token(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    with pytest.raises(Refused, match="wants a token"):
        SlurmEngine(_config(tmp_path, rest=RestConfig("http://127.0.0.1:1")), lambda: 0, lambda: 0)


DETAILS = (
    "JobId=7 JobName=x NumNodes=3 NodeList=n[1-3] JOB_GRES=npu:910c:6,nic:3 "
    "  Nodes=n[1-2] CPU_IDs=0-1 Mem=0 GRES=npu:910c:2(IDX:0-1),nic:1(IDX:5)"
    "   Nodes=n3 CPU_IDs=0-1 Mem=0 GRES=nic:1(IDX:0),npu:910c:2(IDX:3,6-7) MinCPUsNode=1"
)


def _names(hosts: str) -> list[str]:
    return {"n[1-2]": ["n1", "n2"], "n3": ["n3"]}[hosts]


def test_devices_by_node() -> None:
    assert devices_of(DETAILS, "npu", ["n1", "n2", "n3"], _names) == ["0,1", "0,1", "3,6,7"]
    assert devices_of(DETAILS, "nic", ["n3", "n1"], _names) == ["0", "5"]


@pytest.mark.parametrize("text", ["", DETAILS.replace("npu", "gpu"), "slurm_load_jobs error"])
def test_a_job_that_cannot_know_its_devices_does_not_run(text: str) -> None:
    with pytest.raises(OSError, match="which npu devices"):
        devices_of(text, "npu", ["n1"], _names)


def test_a_clock_that_leaves_out_a_suspension() -> None:
    steady = [0.0]
    clock = AwakeClock(10, lambda: steady[0])
    for seconds in (5, 4):
        steady[0] += seconds
        clock.tick()
    assert clock.now() == 9
    steady[0] += 600
    assert clock.now() == 609, "nothing is known of it before the next tick"
    assert clock.tick() == 9
    steady[0] += 50
    clock.start()
    steady[0] += 3
    assert clock.tick() == 62, "where it did not tick, it was not suspended either"


def test_a_watch_counts_what_holds_without_a_break() -> None:
    now = [0]
    watch = Watch(lambda: now[0])
    assert watch.for_ms("gone", holds=True) == 0
    now[0] = 70
    assert watch.for_ms("gone", holds=True) == 70
    assert watch.for_ms("gone", holds=False) == -1
    now[0] = 90
    assert watch.for_ms("gone", holds=True) == 0
    assert watch.silent_ms(b"") == float("inf")
    assert watch.silent_ms(b"1") == 0, "whoever hears a pulse for the first time cannot know how old it is"
    now[0] = 100
    assert (watch.silent_ms(b"1"), watch.silent_ms(b"2")) == (10, 0)


def _jwt(**claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.sig"


def test_a_token_is_read_again_before_it_ends(tmp_path: Path) -> None:
    now = [1_000_000]
    path = tmp_path / "token"
    path.write_text(_jwt(exp=1_000 + 200, n=1))
    token = Token(RestConfig("http://x", token_file=path), lambda: now[0])
    first = token.value()
    path.write_text(f"SLURM_JWT={_jwt(exp=1_000 + 900, n=2)}\n")
    now[0] += 130_000
    assert token.value() == first
    now[0] += 20_000
    assert token.value() == _jwt(exp=1_000 + 900, n=2)
    path.write_text("other")
    assert token.value() != "other"
    token.doubt()
    assert token.value() == "other"
    path.unlink()
    token.doubt()
    with pytest.raises(Later, match="no token"):
        token.value()


def test_a_token_is_printed_by_a_command() -> None:
    token = Token(RestConfig("http://x", token_command=("echo", "SLURM_JWT=a.b.c")), lambda: 0)
    assert token.value() == "a.b.c"
    for command in (("false",), ("true",), ("/no/such/program",)):
        with pytest.raises(Later, match="no token"):
            Token(RestConfig("http://x", token_command=command), lambda: 0).value()


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "a.!!!!.c", _jwt(exp="soon"), "e30.W10.x"])
def test_a_token_that_does_not_say_when_it_ends(text: str) -> None:
    assert expiry_s(text) == 0


def test_a_link_whose_answer_was_lost_is_still_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def answers_late(source: str, target: str) -> None:
        real(source, target)
        real(source, target)  # as NFS repeats a request: the second one finds the first one's work

    monkeypatch.setattr(os, "link", answers_late)
    assert files.create_json(tmp_path / "mark", {"by": 1})
    assert not files.create_json(tmp_path / "mark", {"by": 2})
    assert files.read_json(tmp_path / "mark") == {"by": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]


def test_what_a_power_cut_left_empty_is_not_there_and_is_written_anew(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    assert files.read_json(mark) is None
    files.write_json(mark, {"by": 1}, durable=False)
    assert files.read_json(mark) == {"by": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]


def test_an_answer_that_is_the_last_one_is_not_read_again(tmp_path: Path) -> None:
    told, program = tmp_path / "told", tmp_path / "bin" / "squeue"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec /bin/cat "{told}"\n')
    program.chmod(0o700)
    commands = Commands(SlurmConfig(FolderConfig(tmp_path, tmp_path), bin=program.parent))
    key = attempt_key(JobId("01JQZ5V0000000000000000000"), 1)
    queue = Queue(commands, 0, lambda: 0, "here", Arrays(tmp_path / "arrays"))

    def look(*states: str) -> list[str]:
        lines = (
            build.SEPARATOR.join([str(number), key, state, *["0"] * 6, build.comment("here", "p")])
            for number, state in enumerate(states, 1)
        )
        told.write_text("".join(f"{line}\n" for line in lines))
        queue.poll(fresh=True)
        return [each.state for each in queue.named(key)]

    assert look("PENDING", "RUNNING") == ["PENDING", "RUNNING"]
    before = queue.records
    assert look("PENDING", "RUNNING") == ["PENDING", "RUNNING"]
    assert queue.records is before
    assert look("RUNNING", "RUNNING") == ["RUNNING", "RUNNING"]
    assert look() == []
    assert look("PENDING") == ["PENDING"]
