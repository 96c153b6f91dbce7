"""What every engine must do, whatever it is made of: one suite for the real ones and their twin."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance import benches
from tests.conformance.benches import (
    Bench,
    kubernetes_bench,
    local_bench,
    memory_bench,
    ray_bench,
    slurm_bench,
)

from hutong.adapters.engines.base import Receipt, Together
from hutong.core.kernel.errors import Later
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.spec import JobType
from hutong.core.work.states import ENDED, AttemptState, Category

KUBERNETES = [pytest.mark.slow, pytest.mark.xdist_group("kubernetes")]
RAY = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


SLURM = pytest.mark.xdist_group("slurm")
ENGINES = ["local", "local-bwrap", "memory"]
SLURMS = [pytest.param(f"slurm{kind}", marks=SLURM) for kind in ("", "-bwrap", "-rest")]
HEAVY = [pytest.param("ray-bwrap", marks=RAY), pytest.param("kubernetes", marks=KUBERNETES)]


@pytest.fixture(params=[*ENGINES, *SLURMS, *HEAVY])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Return every engine in turn; a real cluster serves all tests of the session."""
    kind, _, isolation = request.param.partition("-")
    match kind:
        case "memory":
            opened = memory_bench()
        case "slurm":
            if isolation == "rest":
                cluster, rest = request.getfixturevalue("slurm_rest")
                opened = slurm_bench(tmp_path, cluster, "none", rest)
            else:
                opened = slurm_bench(tmp_path, request.getfixturevalue("slurm_cluster"), isolation or "none")
        case "kubernetes":
            opened = kubernetes_bench(tmp_path, request.getfixturevalue("kubernetes_cluster"))
        case "ray":
            opened = ray_bench(tmp_path, request.getfixturevalue("ray_cluster"), isolation or "none")
        case _:
            opened = local_bench(tmp_path, isolation or "none")
    with opened as bench:
        yield bench


def test_a_run_to_success(bench: Bench) -> None:
    order = bench.order("echo hello; sleep 0.6")
    assert not bench.engine.submit(order).adopted
    running = bench.wait(order.key, lambda seen: seen.state is AttemptState.RUNNING)
    assert running.started_ms > 0
    end = bench.finish(order.key).ended
    assert end is not None
    assert (end.outcome, end.category, end.attempt) == (AttemptState.SUCCEEDED, Category.NONE, 1)
    assert [(each.rank, each.code) for each in end.exits] == [(0, 0)]
    assert 200 <= end.ran_ms < 20_000
    assert end.ended_ms >= end.started_ms + 200
    assert bench.log(order.key) == "hello\n"
    assert bench.engine.ranks(order.key) == (0,)


def test_an_exit_code_is_the_users_doing(bench: Bench) -> None:
    order = bench.order("exit 3")
    bench.engine.submit(order)
    end = bench.finish(order.key).ended
    assert end is not None
    assert (end.outcome, end.category) == (AttemptState.FAILED, Category.USER)
    assert end.exits[0].code == 3
    assert "3" in end.reason


def test_setup_comes_first_and_may_fail(bench: Bench) -> None:
    order = bench.order("echo never", setup="echo preparing; exit 7")
    bench.engine.submit(order)
    end = bench.finish(order.key).ended
    assert end is not None
    assert (end.outcome, end.category) == (AttemptState.FAILED, Category.USER)
    assert end.reason == "setup failed with exit code 7"
    assert (end.started_ms, end.ran_ms) == (0, 0)
    assert bench.log(order.key, -1) == "preparing\n"
    assert bench.log(order.key) == ""


def test_a_gang_has_ranks_and_one_log_each(bench: Bench) -> None:
    order = bench.order("echo rank $HUTONG_NODE_RANK", num_nodes=3)
    bench.engine.submit(order)
    end = bench.finish(order.key).ended
    assert end is not None
    assert [(each.rank, each.code) for each in end.exits] == [(0, 0), (1, 0), (2, 0)]
    assert [bench.log(order.key, rank) for rank in bench.engine.ranks(order.key)] == [
        "rank 0\n",
        "rank 1\n",
        "rank 2\n",
    ]


def test_a_rank_that_fails_ends_the_gang(bench: Bench) -> None:
    order = bench.order("[ $HUTONG_NODE_RANK = 1 ] && exit 5; sleep 600", num_nodes=2)
    bench.engine.submit(order)
    end = bench.finish(order.key).ended
    assert end is not None
    assert (end.outcome, end.category) == (AttemptState.FAILED, Category.USER)
    assert end.reason == "rank 1 exited with code 5"
    assert end.exits[1].code == 5
    assert end.exits[0].code != 0


@pytest.mark.parametrize(
    ("category", "outcome"),
    [
        (Category.CANCELLED, AttemptState.CANCELLED),
        (Category.PREEMPTED, AttemptState.PREEMPTED),
        (Category.FUNDS, AttemptState.CANCELLED),
    ],
)
def test_a_stop_ends_it_in_its_category(bench: Bench, category: Category, outcome: AttemptState) -> None:
    order = bench.order("sleep 600")
    bench.engine.submit(order)
    bench.wait(order.key, lambda seen: seen.state is AttemptState.RUNNING)
    bench.engine.stop(order.key, 1, category, "because", 1)
    bench.engine.stop(order.key, 1, Category.INFRA, "a second reason", 1)
    end = bench.finish(order.key).ended
    assert end is not None
    assert (end.outcome, end.category, end.reason) == (outcome, category, "because")
    assert end.started_ms > 0


def test_a_stop_kills_what_ignores_it_after_the_grace(bench: Bench) -> None:
    order = bench.order("trap '' TERM; sleep 600; sleep 600")
    bench.engine.submit(order)
    seen = bench.wait(order.key, lambda seen: seen.state is AttemptState.RUNNING)
    bench.engine.stop(order.key, 1, Category.CANCELLED, "", 1)
    end = bench.finish(order.key).ended
    assert end is not None
    assert end.outcome is AttemptState.CANCELLED
    assert end.ended_ms - seen.started_ms < 20_000


def test_the_walltime_ends_it(bench: Bench) -> None:
    order = bench.order("sleep 600", max_duration_s=1)
    bench.engine.submit(order)
    end = bench.finish(order.key).ended
    assert end is not None
    assert (end.outcome, end.category) == (AttemptState.FAILED, Category.USER)
    assert "walltime" in end.reason
    assert 1_000 <= end.ran_ms < 20_000


def test_a_stop_before_the_start_means_it_never_starts(bench: Bench) -> None:
    order = bench.order("echo ran")
    bench.engine.stop(order.key, 1, Category.CANCELLED, "changed my mind", 1)
    assert bench.engine.submit(order).adopted
    end = bench.finish(order.key).ended
    assert end is not None
    assert (end.outcome, end.category, end.reason) == (
        AttemptState.CANCELLED,
        Category.CANCELLED,
        "changed my mind",
    )
    assert (end.started_ms, end.ran_ms) == (0, 0)
    assert bench.log(order.key) == ""


def test_submitting_twice_starts_once(bench: Bench) -> None:
    order = bench.order("echo one; sleep 0.3")
    first = bench.engine.submit(order)
    second = bench.again().submit(order)
    assert (first.adopted, second.adopted) == (False, True)
    assert first.external_id == second.external_id
    bench.finish(order.key)
    assert bench.engine.submit(order).adopted
    assert bench.log(order.key) == "one\n"


@pytest.mark.parametrize("bench", ["memory", *SLURMS], indirect=True)
def test_attempts_that_are_handed_over_together_run_each_for_itself(bench: Bench) -> None:
    orders = [bench.order("echo hello") for _ in range(4)]
    engine = bench.engine
    if isinstance(engine, Together):
        (part,) = engine.alike(orders)
        fates = engine.submit_together(part)
        assert [isinstance(each, Receipt) and not each.adopted for each in fates] == [True] * 4
    for again in orders:
        assert engine.submit(again).adopted == isinstance(engine, Together)
    engine.stop(orders[1].key, 1, Category.CANCELLED, "not wanted", 0)
    bench.finish(orders[1].key)
    for order in (orders[0], *orders[2:]):
        assert bench.finish(order.key).state is AttemptState.SUCCEEDED
        assert "hello" in bench.log(order.key)
        engine.forget(order.key)
    assert {each.key for each in engine.observe()} == {orders[1].key}


def test_another_process_sees_the_same(bench: Bench) -> None:
    order = bench.order("exit 4")
    bench.engine.submit(order)
    seen = bench.finish(order.key)
    assert bench.again().observe() == (seen,)


def test_a_log_is_read_by_offset(bench: Bench) -> None:
    order = bench.order("echo abcdef")
    bench.engine.submit(order)
    bench.finish(order.key)
    read = bench.engine.read_log
    assert read(order.key, 0, 0, 3) == b"abc"
    assert read(order.key, 0, 3, 100) == b"def\n"
    assert read(order.key, 0, 7, 100) == b""
    assert read(order.key, 5, 0, 100) == b""


def test_a_forgotten_attempt_never_starts_again(bench: Bench) -> None:
    order = bench.order("exit 6")
    bench.engine.submit(order)
    before = bench.finish(order.key)
    bench.engine.forget(order.key)
    assert bench.see(order.key) is None
    assert bench.engine.ranks(order.key) == ()
    assert bench.engine.submit(order).adopted
    after = bench.see(order.key)
    assert after is not None
    assert after.ended == before.ended
    bench.engine.stop(order.key, 1, Category.CANCELLED, "", 0)
    assert bench.log(order.key) == ""


def test_a_living_attempt_is_not_forgotten(bench: Bench) -> None:
    order = bench.order("sleep 600")
    bench.engine.submit(order)
    bench.engine.forget(order.key)
    seen = bench.see(order.key)
    assert seen is not None
    assert seen.state not in ENDED


def test_a_service_gets_a_port(bench: Bench) -> None:
    order = bench.order("sleep 600", type=JobType.SERVICE, max_duration_s=0)
    bench.engine.submit(order)
    seen = bench.wait(order.key, lambda seen: seen.state is AttemptState.RUNNING)
    assert 1024 <= seen.port < 65_536
    bench.engine.stop(order.key, 1, Category.CANCELLED, "", 0)
    bench.finish(order.key)


def test_secrets_are_masked(bench: Bench) -> None:
    order = bench.order("echo token=$TOKEN", secrets={"TOKEN": "hunter2-hunter2"})
    bench.engine.submit(order)
    bench.finish(order.key)
    assert bench.log(order.key) == "token=***\n"
    assert "hunter2" not in repr(order)


# Time, on the real ones

REAL = pytest.mark.parametrize(
    "bench",
    ["local", "slurm", pytest.param("ray", marks=RAY), pytest.param("kubernetes", marks=KUBERNETES)],
    indirect=True,
)
GOES_ON = "echo ran >> count; until [ -e go ]; do sleep 0.05; done"
HOUR_MS = 3_600_000


@pytest.fixture
def ahead_ms(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How far the clock of engines made from now on is ahead, and their steady time."""
    ahead = [0, 0]
    now_ms, steady_ms = benches.now_ms, benches.steady_ms
    monkeypatch.setattr(benches, "now_ms", lambda: now_ms() + ahead[0])
    monkeypatch.setattr(benches, "steady_ms", lambda: steady_ms() + ahead[1])
    return ahead


def running(bench: Bench, run: str, **fields: object) -> AttemptKey:
    order = bench.order(run, outputs=".", **fields)
    bench.engine.submit(order)
    bench.wait(order.key, lambda seen: seen.state is AttemptState.RUNNING)
    return order.key


def goes_on(bench: Bench, key: AttemptKey) -> None:
    """Assert that an attempt runs, let it come to its end, and assert that it ran once, for what it did."""
    seen = bench.see(key)
    assert seen is not None
    assert seen.state is AttemptState.RUNNING
    work = bench.engine.outputs(key)
    assert work is not None
    (work / "go").touch()
    end = bench.finish(key).ended
    assert end is not None
    assert (end.outcome, (work / "count").read_text()) == (AttemptState.SUCCEEDED, "ran\n")
    assert 0 < end.ran_ms < HOUR_MS // 2
    assert abs(end.ended_ms - end.started_ms - end.ran_ms) < HOUR_MS // 2


@REAL
def test_an_agents_clock_that_is_wrong_and_jumps(bench: Bench, ahead_ms: list[int]) -> None:
    ahead_ms[0] = HOUR_MS
    bench.engine = bench.again()
    key = running(bench, GOES_ON)
    saves = "trap 'sleep 1; echo saved; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    stopped = running(bench, saves, grace_s=30)
    bench.wait(stopped, lambda _: "up" in bench.log(stopped))
    bench.engine.stop(stopped, 1, Category.CANCELLED, "by ada", 30)
    ahead_ms[0] = -HOUR_MS
    end = bench.finish(stopped).ended
    assert end is not None
    assert (end.outcome, "saved\n" in bench.log(stopped)) == (AttemptState.CANCELLED, True)
    goes_on(bench, key)


@REAL
def test_an_agent_that_was_away_for_a_day(bench: Bench, ahead_ms: list[int]) -> None:
    """First as its machine sleeps, then as one that starts anew: some jobs ended meanwhile, others run."""
    bench.engine = bench.again()
    keys = [running(bench, GOES_ON) for _ in range(2)]
    ends = bench.order("sleep 0.5; exit 4")
    bench.engine.submit(ends)
    for key in keys:
        ahead_ms[:] = [each + 24 * HOUR_MS for each in ahead_ms]
        end = bench.finish(ends.key).ended
        assert end is not None
        assert (end.category, end.exits[0].code) == (Category.USER, 4)
        goes_on(bench, key)
        bench.engine = bench.again()


@pytest.mark.parametrize("bench", REAL.args[1][1:], indirect=True)
def test_another_folder_in_its_place_says_nothing_of_jobs(bench: Bench, tmp_path: Path) -> None:
    """As where a file system is not mounted: jobs that are not there to see are neither lost nor strays."""
    key = running(bench, GOES_ON)
    mark = tmp_path / "site" / "origin.json"
    mark.rename(mark.with_suffix(".away"))
    mark.write_text('{"origin": "another"}')
    with pytest.raises(Later, match="mounted"):
        bench.engine.observe()
    mark.with_suffix(".away").rename(mark)
    goes_on(bench, key)
