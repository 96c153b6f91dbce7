"""Attempts as elements of a real job array: each is ended, put back, forgotten and billed for itself."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from testbeds.slurm import Nodes, SlurmCluster
from tests.adapters.engines.slurm.conftest import BEAT_DEAD_S, LAG_S, Site, open_site
from tests.conformance.benches import now_ms
from tests.faults import Kills, dice, kill_midway, seconds, trials

from hutong.adapters.engines.attempt import files, tree
from hutong.adapters.engines.base import Accounted, Order, Receipt, Use
from hutong.adapters.engines.slurm.config import RestConfig, SlurmPool
from hutong.adapters.engines.slurm.engine import SlurmEngine
from hutong.core.kernel.errors import Later
from hutong.core.work.states import AttemptState, Category

pytestmark = pytest.mark.slow

COUNTED = "echo ran >> count; echo up; while [ ! -e go ]; do sleep 0.05; done; . ./go"


@pytest.fixture
def grouping(site: Site) -> Site:
    """A site whose jobs go as arrays."""
    return site.with_(arrays=True)


@pytest.fixture
def failing(frail: Site) -> Site:
    return frail.with_(arrays=True)


@pytest.fixture(params=["programs", "slurmrestd"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A site on a cluster of its own, asked by programs or by slurmrestd."""
    with (
        SlurmCluster("either", nodes=[Nodes(count=2, gres="gpu:h800:4")], min_job_age_s=2) as cluster,
        open_site(tmp_path, cluster) as site,
    ):
        if request.param == "programs":
            yield site.with_(arrays=True)
        else:
            yield by_rest(site, cluster.start_rest())


def by_rest(site: Site, url: str) -> Site:
    token = site.config.folder.root.with_name("token")
    token.write_text(site.cluster.token())
    pools = {"p": SlurmPool(gres="gpu:h800")}
    return site.with_(rest=RestConfig(url, token_file=token), pools=pools, arrays=True)


def slurm(site: Site) -> SlurmEngine:
    assert isinstance(site.engine, SlurmEngine)
    return site.engine


def state(site: Site, order: Order) -> AttemptState:
    """Return what an agent says of an attempt that it knows."""
    seen = site.see(order.key)
    assert seen is not None
    return seen.state


def together(site: Site, run: str, count: int, **more: object) -> list[Order]:
    """Return orders that were submitted as one array."""
    orders = [site.order(run, **more) for _ in range(count)]
    fates = slurm(site).submit_together(orders)
    numbers = [each.external_id.rpartition(":")[2] for each in fates if isinstance(each, Receipt)]
    array = numbers[0].partition("_")[0]
    assert numbers == [f"{array}_{index}" for index in range(count)]
    return orders


def run_up(site: Site, orders: Sequence[Order]) -> None:
    """Wait until all have said `up`, and an agent has seen them."""
    site.until(lambda: all("up" in site.log(order.key) for order in orders))
    site.until(lambda: all(state(site, order) is AttemptState.RUNNING for order in orders))


def go(site: Site, orders: Sequence[Order]) -> None:
    """Let jobs end, and see that each has run once, and well."""
    for order in orders:
        (site.work(order.key) / "go").touch()
    for order in orders:
        assert site.ended(order.key).state is AttemptState.SUCCEEDED
        assert (site.work(order.key) / "count").read_text() == "ran\n"


def fails(site: Site, order: Order, category: Category, words: str) -> None:
    """See how an attempt ends; the agent's time runs ahead meanwhile."""

    def over() -> bool:
        site.ticks.jump(0.5)
        seen = site.see(order.key)
        return seen is not None and seen.ended is not None

    site.until(over)
    site.fails(order.key, category, words)


def states(site: Site, orders: Sequence[Order]) -> list[str]:
    """Return the state of each element."""
    lines = site.cluster.run("squeue", "-h", "-r", "-t", "all", "-o", "%i %T").splitlines()
    told = dict(line.split() for line in lines)
    return [told.get(site.job_id(order.key), "") for order in orders]


def test_each_element_runs_its_own_attempt_and_knows_of_no_array(either: Site) -> None:
    orders = together(either, "env > env; echo $HUTONG_KEY", 3, secrets={"TOKEN": "hunter2"})
    for order in orders:
        assert either.ended(order.key).state is AttemptState.SUCCEEDED
        assert f"{order.key}\n" in either.log(order.key)
        told = (either.work(order.key) / "env").read_text()
        assert "TOKEN=hunter2\n" in told
        assert "SLURM_JOB_ID=" in told
        assert "SLURM_ARRAY_" not in told
        identity = either.said(order.key, files.BEGAN)["identity"]
        assert identity == f"either/{either.job_id(order.key)}/"


def test_elements_are_cancelled_stopped_and_ended_each_for_itself(either: Site) -> None:
    # Four cards a node and two nodes: four run, two wait.
    orders = together(either, COUNTED, 6)
    run_up(either, orders[:4])
    assert state(either.with_(), orders[5]) is AttemptState.PENDING
    either.engine.stop(orders[4].key, 1, Category.CANCELLED, "not wanted", 0)
    fails(either, orders[4], Category.CANCELLED, "not wanted")
    either.cluster.run("scancel", either.job_id(orders[0].key))
    either.engine.stop(orders[1].key, 1, Category.CANCELLED, "not wanted either", 0)
    fails(either, orders[0], Category.INFRA, "cancelled at the site")
    fails(either, orders[1], Category.CANCELLED, "not wanted either")
    run_up(either, [orders[5]])
    # It has the array's own number by now: what is asked about it must not tell of the others.
    (either.work(orders[5].key) / "go").write_text("exit 3")
    fails(either, orders[5], Category.USER, "3")
    go(either, orders[2:4])


def test_elements_that_wait_are_held_released_and_cancelled_by_a_person(grouping: Site) -> None:
    orders = together(grouping, COUNTED, 3, pool="held")
    assert states(grouping, orders) == ["PENDING"] * 3
    assert grouping.see(orders[1].key)
    grouping.cluster.run("scancel", grouping.job_id(orders[1].key))
    fails(grouping, orders[1], Category.INFRA, "cancelled at the site")  # though nothing is left of it
    grouping.cluster.run("scontrol", "release", grouping.job_id(orders[2].key))
    run_up(grouping, orders[2:])
    assert state(grouping, orders[0]) is AttemptState.PENDING
    grouping.ticks.jump(LAG_S + 1)
    assert state(grouping, orders[0]) is AttemptState.PENDING
    go(grouping, orders[2:])
    array = grouping.job_id(orders[0].key).partition("_")[0]
    grouping.cluster.run("scancel", array)
    fails(grouping, orders[0], Category.INFRA, "cancelled at the site")


def test_each_element_is_told_its_own_devices(grouping: Site) -> None:
    run = "echo up; while [ ! -e go ]; do sleep 0.05; done; echo devices=$ASCEND_RT_VISIBLE_DEVICES"
    orders = together(grouping, run, 3, pool="npu")
    run_up(grouping, orders)
    told = []
    for order in orders:
        (grouping.work(order.key) / "go").touch()
        assert grouping.ended(order.key).state is AttemptState.SUCCEEDED
        told += grouping.log(order.key).partition("devices=")[2].split()[0].split(",")
    assert sorted(told) == ["0", "1", "2", "3", "4", "5"]


def test_a_requeued_element_does_not_run_twice_and_the_others_go_on(grouping: Site) -> None:
    orders = together(grouping, COUNTED, 2)
    run_up(grouping, orders)
    job = grouping.job_id(orders[1].key)
    grouping.cluster.run("scontrol", "update", f"JobId={job}", "Requeue=1")
    grouping.cluster.run("scontrol", "requeue", job)
    fails(grouping, orders[1], Category.INFRA, "back into the queue")
    assert (grouping.work(orders[1].key) / "count").read_text() == "ran\n"
    go(grouping, orders[:1])


def test_elements_that_were_purged_before_anybody_looked(failing: Site) -> None:
    orders = together(failing, COUNTED, 3)
    run_up(failing, orders)
    os.kill(failing.said(orders[0].key, files.BEGAN)["pid"], signal.SIGKILL)
    (failing.work(orders[1].key) / "go").write_text("exit 7")
    failing.until(lambda: states(failing, orders) == ["", "", "RUNNING"])
    agent = failing.with_()
    agent.fails(orders[1].key, Category.USER, "7")
    assert agent.see(orders[0].key)
    agent.ticks.jump(BEAT_DEAD_S + 1)
    assert agent.see(orders[0].key)
    agent.ticks.jump(LAG_S + 1)
    agent.fails(orders[0].key, Category.INFRA, "knows nothing of it")
    go(agent, orders[2:])


def test_a_controller_that_crashes_under_an_array_has_no_element_run_twice(failing: Site) -> None:
    orders = together(failing, COUNTED, 3)
    run_up(failing, orders)
    began = [failing.said(order.key, files.BEGAN) for order in orders]
    failing.cluster.kill_controller()
    failing.cluster.start_controller()
    for order in orders:
        (failing.work(order.key) / "go").touch()
    failing.ticks.jump(BEAT_DEAD_S - 5)
    for order, before in zip(orders, began, strict=True):
        seen = failing.ended(order.key)
        assert seen.ended is not None
        assert seen.ended.category in {Category.NONE, Category.INFRA}
        assert failing.said(order.key, files.BEGAN) == before
        assert (failing.work(order.key) / "count").read_text() == "ran\n"
        assert tree.carrying(order.key) == []


def test_an_array_that_arrives_late_makes_copies_that_do_not_run(grouping: Site, tmp_path: Path) -> None:
    gate, kept, done = (tmp_path / name for name in ("gate", "script", "done"))
    folder = tmp_path / "slow"
    folder.mkdir()
    for name in ("squeue", "scancel", "scontrol", "srun", "sacct"):
        (folder / name).symlink_to(shutil.which(name) or "")
    waits = f"while [ ! -e {gate} ]; do /bin/sleep 0.05; done"
    late = f'({waits}; {shutil.which("sbatch")} "$@" <{kept} >{done}) >/dev/null 2>&1 &'
    (folder / "sbatch").write_text(f"#!/bin/sh\n/bin/cat >{kept}\n{late}\nexit 1\n")
    (folder / "sbatch").chmod(0o700)
    orders = [grouping.order(COUNTED) for _ in range(2)]
    fates = slurm(grouping.with_(bin=folder)).submit_together(orders)
    assert [type(each) for each in fates] == [Later, Later]
    first = [each for each in slurm(grouping).submit_together(orders) if isinstance(each, Receipt)]
    assert [(each.adopted, "_" in each.external_id) for each in first] == [(False, False)] * 2
    run_up(grouping, orders)
    gate.touch()
    grouping.until(lambda: done.exists() and done.read_text().strip())

    def copies() -> list[str]:
        asked = ("-h", "-r", "-t", "all", f"--jobs={done.read_text().strip()}", "-o", "%T")
        return grouping.cluster.run("squeue", *asked).split()

    ended = {"FAILED", "CANCELLED"}
    grouping.until(lambda: grouping.see(orders[0].key) and set(copies()) <= ended)
    for order, receipt in zip(orders, first, strict=True):
        seen = grouping.see(order.key)
        assert seen is not None
        assert (seen.state, seen.external_id) == (AttemptState.RUNNING, receipt.external_id)
    go(grouping, orders)


def test_an_agent_killed_anywhere_in_an_arrays_submission_gives_neither_two_nor_none(
    grouping: Site, record_property: Callable[[str, object], None]
) -> None:
    every, run = [], "echo ran >> count"

    def submit(orders: list[Order]) -> object:
        return slurm(grouping).submit_together(orders)

    def pair() -> list[Order]:
        return [grouping.order(run) for _ in range(2)]

    submit(pair())
    kills = Kills(trials(6), seconds(submit, pair(), pair()), dice(12))
    for after_s in kills:
        orders = pair()
        kill_midway(after_s, submit, orders)
        kills.tell(midway=not (grouping.folder(orders[1].key) / "submitted.json").exists())
        fates = slurm(grouping.with_()).submit_together(orders)
        assert all(isinstance(each, Receipt) for each in fates)
        every += orders
    for order in every:
        assert grouping.ended(order.key).state is AttemptState.SUCCEEDED
    grouping.until(lambda: not grouping.cluster.run("squeue", "-h").strip())  # nor does a copy start later
    assert {(grouping.work(order.key) / "count").read_text() for order in every} == {"ran\n"}
    record_property("counted", f"{kills}; {len(every)} jobs ran once")
    assert kills.midway, "no kill came before the number was written down: the test has lost its point"


def test_accounting_knows_elements_by_their_attempts(accounted: Site) -> None:
    from_ms = now_ms() - 60_000
    site = accounted.with_(arrays=True)
    orders = together(site, COUNTED, 3)
    run_up(site, orders)
    os.kill(site.said(orders[0].key, files.BEGAN)["pid"], signal.SIGKILL)
    go(site, orders[1:])
    site.until(lambda: not site.cluster.run("squeue", "-h", "-t", "all").strip())
    agent = site.with_()
    assert agent.see(orders[0].key)
    agent.ticks.jump(21)
    agent.fails(orders[0].key, Category.INFRA, "its supervisor failed")  # which only accounting knows now

    def uses(of: Site) -> dict[str, Use]:
        assert isinstance(of.engine, Accounted)
        return {each.key: each for each in of.engine.used(from_ms, now_ms() + 1_000) if each.key}

    keys = {order.key for order in orders}
    site.until(lambda: keys <= uses(site).keys())
    told = {key: use for key, use in uses(site).items() if key in keys}
    assert len({use.record for use in told.values()}) == 3
    for order in orders:
        use = told[order.key]
        assert use.card_ms == order.attempt.cards * (use.upto_ms - use.from_ms)
    rest = by_rest(site, site.cluster.start_rest())
    assert {key: use for key, use in uses(rest).items() if key in keys} == told


def test_arrays_of_others_hold_what_runs_of_them_and_no_more(either: Site) -> None:
    order = either.running(COUNTED)  # two of eight cards
    told = either.cluster.run(
        "sbatch",
        "--parsable",
        "--array=0-40%3",
        "--gres=gpu:h800:1",
        "--output=/dev/null",
        "--wrap=sleep 600",
    )
    name = f"--jobs={told.strip()}"
    either.until(lambda: len(either.cluster.run("squeue", "-h", "-t", "R", name).splitlines()) == 3)
    (pool,) = [each for each in either.with_().engine.capacity() if each.pool == "p"]
    assert (pool.cards_up, pool.cards_elsewhere, pool.wait_s) == (8, 3, 0)
    assert pool.spread is not None
    assert sum(cards * nodes for cards, nodes in enumerate(pool.spread.levels)) == 3
    go(either, [order])
