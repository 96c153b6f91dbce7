"""Many runs: the same wherever they are made, means with intervals, and what the command says."""

import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from testbeds.ray import RayCluster
from testbeds.slurm import SlurmCluster
from typer.testing import CliRunner

from hutong.core.kernel.errors import Later, Refused
from hutong.main import cli
from hutong.sim import sweep
from hutong.sim.compare import ground_of
from hutong.sim.conditions import Conditions, Often
from hutong.sim.measures import interval
from hutong.sim.on_slurm import on_slurm
from hutong.sim.rules import BackfillName, Lengths, Queueing, Rules
from hutong.sim.seeds import figure_rows, summarise
from hutong.sim.sweep import Answer, Plan, answer, cases_of, on_processes
from hutong.sim.trace import make_trace

SOURCE = Path(__file__).parents[2] / "src"
RULES = Rules((Queueing.FIFO, Queueing.FAIR), BackfillName.EASY, Lengths.KNOWN)
SEEDS = 4


@pytest.fixture
def plan() -> Plan:
    """Two rules and four seeds; nodes fail every few hours."""
    count = range(300)
    trace = make_trace(
        "busy", "a test", submit_s=[each * 400 for each in count],
        run_s=[1000 + each * 7919 % 9000 for each in count], cards_per_node=[1 + each % 8 for each in count],
        group=["abc"[each % 3] for each in count],
    )  # fmt: skip
    conditions = Conditions(node=Often(40_000, 3000), checkpoint_s=600, resample=True)
    return Plan(
        trace, ground_of("", 6, 8, isolated=False), RULES, cases_of(RULES, (), SEEDS), conditions=conditions
    )


def digests(plan: Plan, spreader: sweep.Spreader) -> list[str]:
    return [each.digest for each in sweep.sweep(plan, spreader, quiet=True)]


def test_runs_are_the_same_in_one_process_and_in_several(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = digests(plan, on_processes(1))
    monkeypatch.setattr(sweep, "_ALONE_S", 0.0)
    made_here: list[int] = []
    monkeypatch.setattr(sweep, "answer", lambda plan, place: made_here.append(place) or answer(plan, place))
    assert digests(plan, on_processes(2)) == alone
    assert made_here == [0, 1], "the others were made elsewhere"
    assert len(set(alone)) == len(plan.cases), "each rule and seed is a run of its own"


def test_seeds_are_the_same_days_and_failures_under_every_rule(plan: Plan) -> None:
    found = [answer(plan, place) for place in range(2 * SEEDS)]
    fifo, fair = found[:SEEDS], found[SEEDS:]
    for mine, other in zip(fifo, fair, strict=True):
        assert isinstance(mine, sweep.Result)
        assert isinstance(other, sweep.Result)
        assert mine.measures.jobs == other.measures.jobs, "the days drawn are the same"
        assert mine.digest != other.digest


def test_a_summary_has_means_and_differences_seed_by_seed(plan: Plan) -> None:
    found = sweep.sweep(plan, on_processes(1), quiet=True)
    first, second = summarise(found, SEEDS)
    waits = [[each.measures.wait_mean_s for each in group] for group in (found[:SEEDS], found[SEEDS:])]
    gains = [fair - fifo for fifo, fair in zip(*waits, strict=True)]
    assert first.measures["wait_mean_s"].mean == pytest.approx(sum(waits[0]) / SEEDS)
    assert first.against_first == {}
    of = second.against_first["wait_mean_s"]
    assert (of.mean, (of.low, of.high)) == (pytest.approx(sum(gains) / SEEDS), interval(gains))
    rows = {row[0]: row[1] for row in figure_rows([(second.rules, second.measures)])}
    assert rows["restarts"].startswith(f"{second.measures['restarts'].mean:,.0f} [")
    assert "cost, yuan" not in rows, "one pool has no price"


def test_a_run_that_comes_to_nothing_says_why_from_another_process_too(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_ALONE_S", 0.0)
    late = Plan(plan.trace, plan.ground, plan.rules, plan.cases, warm_up_s=10**9, conditions=plan.conditions)
    with pytest.raises(Refused, match="no job was submitted after 1000000000 s"):
        sweep.sweep(late, on_processes(2), quiet=True)


def test_a_bar_is_shown_on_stderr_when_it_takes_long_and_never_if_quiet(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setattr(sweep, "SHOW_AFTER_S", 0.0)

    def after_the_timer(plan: Plan, places: Sequence[int]) -> Iterator[tuple[int, Answer]]:
        deadline = time.monotonic() + 60
        while any(isinstance(each, threading.Timer) for each in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield from ((place, answer(plan, place)) for place in places)

    for quiet, shown in ((True, False), (False, True)):
        sweep.sweep(plan, after_the_timer, quiet=quiet)
        said = capsys.readouterr()
        assert (f"/{len(plan.cases)}" in said.err) is shown
        assert said.out == ""


@pytest.mark.slow
def test_a_job_array_of_slurm_makes_the_same_runs_and_goes_on_where_it_ended(
    plan: Plan, slurm_cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**slurm_cluster.env(), "PYTHONPATH": str(SOURCE)}.items():
        monkeypatch.setenv(name, value)
    alone = digests(plan, on_processes(1))
    assert digests(plan, on_slurm(tmp_path)) == alone
    (own,) = tmp_path.iterdir()
    made = {path.name: path.stat().st_mtime_ns for path in own.glob("*.run")}
    assert len(made) == len(plan.cases)
    (own / "2.run").unlink()
    assert digests(plan, on_slurm(tmp_path)) == alone
    again = {path.name: path.stat().st_mtime_ns for path in own.glob("*.run")}
    assert [name for name in made if made[name] != again[name]] == ["2.run"]


@pytest.mark.slow
def test_tasks_that_fail_are_told_with_where_to_look(
    plan: Plan, slurm_cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**slurm_cluster.env(), "PYTHONPATH": str(SOURCE)}.items():
        monkeypatch.setenv(name, value)
    own = tmp_path / plan.digest[:16]
    own.mkdir(mode=0o700)
    (own / "plan").write_bytes(pickle.dumps("no plan"))
    (own / "plan").chmod(0o600)
    with pytest.raises(Later, match=f"8 runs of 8 are missing: see {own}"):
        digests(plan, on_slurm(tmp_path))
    assert any("holds no plan" in log.read_text() for log in own.glob("*.log"))


def test_what_somebody_else_may_have_written_is_not_loaded(plan: Plan, tmp_path: Path) -> None:
    own = tmp_path / plan.digest[:16]
    own.mkdir(mode=0o700)
    (own / "0.run").write_bytes(pickle.dumps(answer(plan, 0)))
    (own / "0.run").chmod(0o660)
    with pytest.raises(Refused, match="can be written by, somebody else"):
        digests(plan, on_slurm(tmp_path))


def test_without_sbatch_or_ray_the_command_says_what_is_missing(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match="needs sbatch"):
        digests(plan, on_slurm(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="cannot be written: Not a directory"):
        digests(plan, on_slurm(tmp_path / "file"))


TRACE = "job_id,user,vc,gpu_num,state,submit_time,duration\n" + "".join(
    f"{n},u{n % 3},vc{n % 2},{2 ** (n % 4)},COMPLETED,{900 * n},{3600 + n * 7919 % 5000}\n"
    for n in range(300)
)


@pytest.fixture
def trace_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.csv"
    path.write_text(TRACE)
    return path


def run(*words: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["simulate", *map(str, words)], env={"COLUMNS": "120"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout + done.stderr


def test_the_help_has_all_options_in_their_places() -> None:
    code, said = run("--help")
    assert code == 0
    wrong, many = said.index("What goes wrong"), said.index("Many runs")
    assert wrong < said.index("--outage") < said.index("--forecast-error") < many < said.index("--seeds")


def test_every_back_fill_has_its_name_on_the_command_line(trace_file: Path) -> None:
    words = ["--nodes", "2", "--trace", trace_file, "--order", "fifo", "--lengths", "known", "--json"]
    found = {}
    for name in BackfillName:
        code, said = run(*words, "--backfill", name.value)
        assert code == 0
        assert run(*words, "--backfill", name.value)[1] == said
        (found[name],) = json.loads(said)["runs"]
    assert found[BackfillName.CONSERVATIVE]["rules"] == "fifo, conservative, known lengths, pooled"
    assert len({each["digest"] for each in found.values()}) == len(BackfillName)


def test_jobs_of_a_trace_run_on_cards_and_not_on_processors_unless_those_are_named(trace_file: Path) -> None:
    words: list[str | Path] = ["demo", "--trace", trace_file, "--order", "fifo", "--json"]
    assert json.loads(run(*words)[1])["cards"] == 32 + 64 + 48
    named = json.loads(run(*words, "--accelerator", "H100", "--accelerator", "MLU370")[1])
    assert named["cards"] == 32 + 48
    assert json.loads(run(*words, "--accelerator", "CPU")[1])["cards"] == 256


def test_run_times_that_a_trace_lacks_are_given_by_entries(tmp_path: Path) -> None:
    path = tmp_path / "workload.csv"
    head = "name,time,application,num_replicas,batch_size\n"
    path.write_text(f"{head}a,0,bert,1,8\nb,5,bert,4,8\nc,9,yolo,1,8\n")
    code, said = run("--nodes", "2", "--trace", path)
    assert (code, "--read 'seconds:bert=NUMBER'); it has bert, yolo" in said) == (2, True)
    words: list[str | Path] = ["--nodes", "2", "--trace", path, "--order", "fifo", "--json"]
    words += ["--read", "seconds:bert=100", "--read", "seconds:bert@4=40", "--read", "seconds:yolo=70"]
    found = json.loads(run(*words)[1])
    assert found["runs"][0]["measures"]["completion_mean_s"] == (100 + 40 + 70) / 3


def test_the_table_says_what_was_left_out_and_what_all_rules_share(trace_file: Path) -> None:
    trace_file.write_text(TRACE + "900,u,v,0,COMPLETED,5,10\n")
    said = run("demo", "--trace", trace_file, "--policy", "cheapest", "--policy", "greenest")[1]
    assert "left out: 1 without cards" in said
    assert "all: easy, guessed lengths\n" in said
    assert {line.split("  ")[0] for line in said.splitlines() if "%" in line} == {
        f"{order}, {policy}" for order in ("fifo", "fair") for policy in ("cheapest", "greenest")
    }
    assert (
        "easy, guessed lengths, pooled\n" in run("--nodes", "9", "--trace", trace_file, "--order", "fifo")[1]
    )


def test_outages_and_failures_on_the_command_line(trace_file: Path) -> None:
    calm = json.loads(run("demo", "--trace", trace_file, "--order", "fifo", "--json")[1])
    words = ["--outage", "Tianjin@1d..2d", "--outage", "shangzhuang@12h..13h=50%", "--node-mtbf", "2d"]
    code, said = run("demo", "--trace", trace_file, "--order", "fifo", *words, "--json")
    assert code == 0
    broken = json.loads(said)
    (before,), (after,) = calm["runs"], broken["runs"]
    assert before["measures"]["restarts"] == before["measures"]["lost_card_s"] == 0
    assert after["measures"]["restarts"] > 5
    assert after["measures"]["lost_card_s"] > 3600
    assert after["footprint"]["energy_kwh"] > before["footprint"]["energy_kwh"], "work is done twice"
    saved = json.loads(
        run("demo", "--trace", trace_file, "--order", "fifo", *words, "--checkpoint", "5m", "--json")[1]
    )
    assert saved["runs"][0]["measures"]["lost_card_s"] < after["measures"]["lost_card_s"] / 3
    said = run("demo", "--trace", trace_file, "--order", "fifo", *words)[1].splitlines()
    undone = said[next(at for at, line in enumerate(said) if "restarts" in line) + 1].split()
    assert undone[:3] == ["fifo", f"{after['measures']['restarts']:,}", "0"]


def test_seeds_give_means_and_intervals_as_a_table_a_document_and_a_report(
    trace_file: Path, tmp_path: Path
) -> None:
    words = ["demo", "--trace", trace_file, "--order", "fifo", "--policy", "cheapest", "--policy", "greenest"]
    words += ["--seeds", "3", "--resample", "--forecast-error", "60", "--node-mtbf", "5d", "--processes", "1"]
    found = json.loads(run(*words, "--json")[1])
    assert found["seeds"] == 3
    cheapest, greenest = found["runs"]
    assert cheapest["against_first"] == {}
    gain = greenest["against_first"]["green_share"]
    assert gain["low"] <= gain["mean"] <= gain["high"]
    assert gain["mean"] < 0, "in this scenario the cheapest are the greenest, and forecasts mislead"
    low, high = cheapest["intervals"]["completion_mean_s"]
    assert low <= cheapest["measures"]["completion_mean_s"] <= high
    assert len(set(cheapest["digests"])) == 3
    code, said = run(*words, "--out", tmp_path / "report.html")
    assert code == 0
    assert "means over 3 seeds" in said
    assert "less fifo, easy, guessed lengths, cheapest, seed by seed" in said
    page = (tmp_path / "report.html").read_text()
    assert "Over 3 seeds" in page
    assert f"<td>{cheapest['measures']['restarts']:,.0f} [" in page
    assert page.count("<polyline") == 6


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("demo", "--seeds", "2"), "all seeds would do the same"),
        (("--nodes", "9", "--forecast-error", "5"), "are of a scenario's centres"),
        (("demo", "--node-mtbf", "often"), "--node-mtbf is a time as 90s"),
        (("demo", "--outage", "paris@1h..2h"), "no site, pool or region is called 'paris'"),
        (("demo", "--on", "slurm"), "--on slurm needs --work"),
        (("demo", "--on", "ray"), "--on ray needs the package ray"),
        ((), "name a scenario or a file of virtual clusters, or give --nodes"),
        (("demo", "--nodes", "9"), "--nodes is one pool, and 'demo' another place"),
        (("demo", "--accelerator", "A100"), "no pool has 'A100'; there are Ascend910B, CPU, H100, MLU370"),
        (("--nodes", "9", "--accelerator", "H100"), "--accelerator chooses among a scenario's pools"),
        (("demo", "--out", "no/where.html"), "no/where.html cannot be written: name a file in a folder"),
        (("demo", "--out", "."), "cannot be written"),
        (("--nodes", "9", "--read", "unit"), "--read is NAME=VALUE or TABLE:KEY=NUMBER"),
        (("--nodes", "9", "--read", "unit=milli"), "a trace of kind philly has no option unit"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_would_be_right(
    words: tuple[str, ...], says: str, trace_file: Path
) -> None:
    code, said = run(*words, "--trace", trace_file)
    assert code == 2
    assert says in " ".join(said.split())


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_ray_cluster_makes_the_same_runs(ray_cluster: RayCluster, trace_file: Path, tmp_path: Path) -> None:
    """The command runs as a job of the cluster: hutong stands beside ray there, as it must."""
    words = ["simulate", "demo", "--trace", str(trace_file), "--node-mtbf", "2d", "--seeds", "3", "--json"]
    found = tmp_path / "found.json"
    hutong = f"{ray_cluster.python} -m hutong.main {' '.join(words)} --on ray > {found}"
    beside = [str(SOURCE), *(each for each in sys.path if each.endswith("site-packages"))]
    body = {
        "entrypoint": hutong,
        "submission_id": "sweep",
        "runtime_env": {"env_vars": {"PYTHONPATH": os.pathsep.join(beside)}},
    }
    ray_cluster.request("POST", "/api/jobs/", body).raise_for_status()

    def ended() -> str | None:
        status = str(ray_cluster.get("/api/jobs/sweep")["status"])
        return status if status in {"SUCCEEDED", "FAILED"} else None

    status = ray_cluster.wait(ended, "the sweep has ended")
    assert status == "SUCCEEDED", ray_cluster.get("/api/jobs/sweep/logs")
    here = subprocess.run(
        [sys.executable, "-m", "hutong.main", *words],
        capture_output=True, check=True, env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert found.read_bytes() == here.stdout
