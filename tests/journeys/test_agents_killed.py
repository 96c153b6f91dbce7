"""Clients and an agent killed again and again, on each engine: one run and one charge for every job."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from bench.centres import Centres, wait_until
from bench.forked import Nursery
from bench.kill import left_behind
from tests.faults import dice, kill_midway, seconds, trials

from hutong.adapters.store.open import open_store
from hutong.core.book.snapshot import JobRow
from hutong.core.book.store import JobQuery, Store
from hutong.core.kernel.ids import JobId, ProjectId, attempt_key
from hutong.core.kernel.rating import rate_cards
from hutong.core.ledger.replay import replay
from hutong.core.work.states import JobState

pytestmark = pytest.mark.slow
PROJECT = ProjectId("bench")
CARDS = {"local": "MLU370", "slurm": "H100", "ray": "H20", "kubernetes": "Ascend910B"}
RUN = 'echo ran >> count; echo "ran $HUTONG_KEY"; '


@pytest.fixture(scope="module")
def centres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centres]:
    with Centres(tmp_path_factory.mktemp("killed"), Nursery()) as centres:
        yield centres


def add(engine: str, centres: Centres, request: pytest.FixtureRequest) -> None:
    """Add the engine's site and start its agent; its cluster starts only where its test runs."""
    card = CARDS[engine]
    if engine == "slurm":
        conf = request.getfixturevalue("slurm_cluster").conf
        centres.add_slurm(engine, card, "9", conf, "gpu:h800")
    elif engine == "ray":
        centres.add_ray(engine, card, "9", request.getfixturevalue("ray_cluster"), "h800")
    elif engine == "kubernetes":
        centres.add_kubernetes(engine, card, "9", request.getfixturevalue("kubernetes_cluster"))
    else:
        centres.add(engine, card, "9", {"kind": "local"})


AT_ONCE = 6


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("local", marks=pytest.mark.xdist_group("centres")),
        pytest.param("slurm", marks=pytest.mark.xdist_group("centres")),
        pytest.param("ray", marks=pytest.mark.xdist_group("ray")),
        pytest.param("kubernetes", marks=pytest.mark.xdist_group("kubernetes")),
    ],
)
def test_an_agent_killed_again_and_again_while_jobs_start_and_run(
    engine: str,
    centres: Centres,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    add(engine, centres, request)
    moments, kills = dice(3), trials(3)
    attempts = centres.folder / engine / "attempts" / "attempts"
    with centres.client() as client:

        def submit(number: int, then: str = "true") -> JobId:
            file: dict[str, Any] = {
                "name": f"killed-{engine}", "resources": {"accelerators": {CARDS[engine]: 1}},
                "run": RUN + then, "max_duration": "1h",
            }  # fmt: skip
            with centres.client() as own:  # a child must not go on with a connection of ours
                return JobId(own.jobs.submit(PROJECT, file, key=f"{engine}-{number}").id)

        def comes_to(job: JobId, good: Callable[[str], bool]) -> None:
            wait_until(lambda: good(client.jobs.get(job).state), 600, lambda: client.jobs.get(job))

        def unfinished() -> int:
            # Older ones have ended, or the check at the end finds them.
            last = client.jobs.list(project=PROJECT, limit=4 * AT_ONCE)
            return sum(each.finished is None and each.id != lives_on for each in last)

        lives_on = submit(0, "until [ -e go ]; do sleep 0.1; done")
        comes_to(lives_on, lambda state: state == "RUNNING")
        takes_s = seconds(submit, 1, 2)
        jobs = [lives_on, submit(1), submit(2)]

        def restart(*, to_work: bool) -> None:
            """Kill the agent and start another; wait until that is at work, if asked to."""
            centres.kill_agent(engine)
            before = centres.begun(engine)
            centres.start_agent(engine)
            wait_until(lambda: centres.begun(engine) > before or not to_work, 600, lambda: "an agent at work")

        start_s = seconds(lambda each: restart(to_work=each), True)
        before = centres.begun(engine)
        for number in range(kills):
            # No more at once than the engine starts in a while: its own time limits are not what is tried.
            # Without room, the client asks once more for the newest job.
            room = unfinished() < AT_ONCE
            newest = len(jobs) - (not room)
            kill_midway(moments.uniform(0, 2 * takes_s), submit, newest)
            if room:
                jobs.append(submit(newest))
            # One agent dies in its start, the next at work; how long a start takes changes with the machine.
            wait_s = moments.uniform(0, start_s)
            wait_until(_after(wait_s), wait_s + 5, lambda: "a clock")
            if number % 2:
                start_s = seconds(lambda each: restart(to_work=each), True)
            else:
                restart(to_work=False)
        assert client.jobs.get(lives_on).state == "RUNNING"
        (attempts / attempt_key(lives_on, 1) / "work" / "go").touch()
        for job in jobs:
            comes_to(job, lambda state: state == "SUCCEEDED")
        at_work = centres.begun(engine) - before  # the first one was at work, and so is the last, alive
        assert at_work, "no agent was killed at work: the test has lost its point"
        tried = {job: [each.number for each in client.jobs.get(job).attempts] for job in jobs}
    again = ran_once(attempts, tried)
    store = open_store(centres.rig.database)
    try:
        charged_once(store, jobs)
        assert {row.job.id for row in _named(store, f"killed-{engine}")} == set(jobs), "a job was made twice"
    finally:
        store.close()
    counted = f"{kills} kills of clients, {kills} of the agent, {at_work} of them at work"
    record_property("counted", f"{counted}; {len(jobs)} jobs ran once, {again} after another attempt")


def ran_once(attempts: Path, numbers: Mapping[JobId, list[int]]) -> int:
    """Assert that one attempt of each job ran, once, and that nothing is left; return how many had others.

    A loaded engine may give an attempt up before its start; then another one runs, and only that.
    """
    wait_until(lambda: not left_behind(attempts), 60, lambda: f"processes: {left_behind(attempts)}")
    for job, tried in numbers.items():
        counts = [attempts / attempt_key(job, number) / "work" / "count" for number in tried]
        assert [count.read_text() for count in counts if count.exists()] == ["ran\n"], job
    return sum(len(tried) > 1 for tried in numbers.values())


def _named(store: Store, name: str) -> Iterator[JobRow]:
    """Return the project's jobs of a name."""
    before = ""
    while page := store.jobs(JobQuery(frozenset({PROJECT}), before=before, limit=100)):
        yield from (row for row in page if row.spec.name == name)
        before = page[-1].job.id


def _after(wait_s: float) -> Callable[[], bool]:
    """Return what becomes true then: the moment of a kill is the fault itself."""
    end = time.monotonic() + wait_s
    return lambda: time.monotonic() >= end


class Named(Protocol):
    """What a page of the ledger has."""

    @property
    def id(self) -> str: ...


Row = TypeVar("Row", bound=Named)


def _whole(page: Callable[[ProjectId, str, str, int], tuple[Row, ...]]) -> list[Row]:
    """Return all rows of the project, page by page."""
    rows: list[Row] = []
    while more := page(PROJECT, "", rows[-1].id if rows else "", 1000):
        rows += more
    return rows


def charged_once(store: Store, jobs: list[JobId]) -> None:
    """Assert that one attempt of each job ran, and that the ledger has what its site measured, once."""
    usage, txns = _whole(store.usage), _whole(store.txns)
    for name in jobs:
        row = store.job(name)
        assert row is not None
        assert row.job.state is JobState.SUCCEEDED
        *before, attempt = row.job.attempts
        assert [each.ran_ms for each in before] == [0] * len(before), "given up before its start"
        assert {each.key for each in usage if each.key.startswith(f"{attempt_key(name, 1)[:-1]}")} == {
            attempt_key(name, attempt.number)
        }
        key = attempt_key(name, attempt.number)
        used = [each for each in usage if each.key == key]
        assert attempt.ran_ms > 0
        assert sum(each.quantity for each in used) == attempt.metered_card_ms == attempt.ran_ms
        assert sum(each.charge_micro for each in used) == attempt.charge_micro
        assert attempt.charge_micro == rate_cards(attempt.ran_ms, attempt.price_micro_per_card_hour)
        assert store.hold(key) is None, "money is still held for a job that is over"
    assert replay(txns, usage).faults == ()
    assert store.check_ledger().faults == ()
