"""Slurm by slurmrestd, for real: what its versions get wrong, and what happens when it is away."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbeds.slurm import Nodes, SlurmCluster, SlurmDatabase
from tests.adapters.engines.slurm.conftest import LAG_S, Site, open_site
from tests.conformance.benches import now_ms

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.base import Accounted, Use
from hutong.adapters.engines.slurm.config import RestConfig, SlurmPool
from hutong.core.kernel.errors import Later, Refused
from hutong.core.work.spec import Ask, Resources
from hutong.core.work.states import AttemptState, Category

pytestmark = pytest.mark.slow


def _by_rest(site: Site, url: str) -> Site:
    token = site.config.folder.root.with_name("token")
    token.write_text(site.cluster.token())
    pools = {name: dataclasses.replace(pool, options=()) for name, pool in site.config.pools.items()}
    return site.with_(rest=RestConfig(url, token_file=token), pools=pools)


@pytest.fixture
def resty(tmp_path: Path) -> Iterator[Site]:
    """A site whose agent asks slurmrestd, on a cluster of its own."""
    with (
        SlurmCluster("resty", nodes=[Nodes(count=2, gres="gpu:h800:4")], min_job_age_s=2) as cluster,
        open_site(tmp_path, cluster) as site,
    ):
        yield _by_rest(site, cluster.start_rest())


def test_a_gang_gets_its_nodes_and_is_not_requeued(resty: Site) -> None:
    order = resty.running(num_nodes=2, resources=Resources((Ask("H800", 2),), cpus=3, memory_bytes=300 << 20))
    job = resty.cluster.job(resty.job_id(order.key))
    assert (job["NumNodes"], job["Requeue"], job["MinMemoryNode"]) == ("2", "0", "300M")
    assert job["TresPerNode"] == "gres:gpu:h800:2"
    assert order.key == job["JobName"]
    resty.cluster.run("scancel", resty.job_id(order.key))
    resty.fails(order.key, Category.INFRA, "cancelled at the site")


def test_refusals_are_sorted_as_those_of_sbatch(resty: Site) -> None:
    with pytest.raises(Refused, match="not available"):
        resty.engine.submit(resty.order("true", resources=Resources((Ask("H800", 2),), memory_bytes=1 << 50)))
    wrong = resty.with_(pools={"p": SlurmPool(partition="nosuch")})
    with pytest.raises(Refused, match="Invalid partition"):
        wrong.engine.submit(wrong.order("true"))
    resty.cluster.run("scontrol", "update", "PartitionName=main", "State=INACTIVE")
    with pytest.raises(Later):
        resty.engine.submit(resty.order("true"))


def test_a_wrong_token_looks_like_trouble_and_is_read_again(resty: Site) -> None:
    token = resty.config.folder.root.with_name("token")
    good, order = token.read_text(), resty.order("echo ran >> count")
    resty.engine.observe()
    resty.cluster.token(lifespan_s=1)
    token.write_text("a.b.c")
    other = resty.with_()
    with pytest.raises(Later):
        other.engine.observe()
    with pytest.raises(Later):
        other.engine.submit(order)
    token.write_text(good)
    other.ticks.jump(61)
    other.engine.observe()
    other.engine.submit(order)
    assert other.ended(order.key).state is AttemptState.SUCCEEDED
    assert (other.work(order.key) / "count").read_text() == "ran\n"


def test_another_version_of_the_api_is_said_and_does_not_end_the_agent(resty: Site) -> None:
    assert resty.config.rest is not None
    wrong = resty.with_(rest=dataclasses.replace(resty.config.rest, api_version="v0.0.99"))
    with pytest.raises(Later, match="another version"):
        wrong.engine.observe()
    with pytest.raises(Later, match="another version"):
        wrong.engine.submit(wrong.order("true"))


def test_a_daemon_that_is_away_ends_nothing(resty: Site) -> None:
    order = resty.running("echo up; while [ ! -e go ]; do sleep 0.1; done")
    resty.cluster.stop_rest()
    for _ in range(2):
        resty.ticks.jump(LAG_S * 3)  # past the pause between two questions, too
        with pytest.raises(Later):
            resty.engine.observe()
    again = _by_rest(resty, resty.cluster.start_rest())
    seen = again.see(order.key)
    assert seen is not None
    assert seen.state is AttemptState.RUNNING
    (again.work(order.key) / "go").touch()
    assert again.ended(order.key).state is AttemptState.SUCCEEDED


def test_jobs_of_others_are_not_ours(resty: Site) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can start another user's job")
    order = resty.running("echo up; sleep 600")
    copy = resty.cluster.run(
        "sbatch", "--parsable", "--hold", f"--job-name={order.key}", "--wrap=true", user="nobody"
    ).strip()
    resty.engine.observe()
    assert resty.jobs(order.key)[copy] == "PENDING"
    assert [each.id for each in resty.engine._queue.records] == [resty.job_id(order.key)]  # type: ignore[attr-defined]


def test_pools_as_slurmrestd_has_them(resty: Site) -> None:
    (state, *_) = resty.engine.capacity()
    assert (state.cards_up, state.cards_elsewhere) == (8, 0)
    resty.cluster.drain("resty-n1", "a test")
    resty.cluster.run("sbatch", "--gres=gpu:h800:3", "--wrap=sleep 600")
    resty.until(lambda: resty.cluster.run("squeue", "-h", "-t", "running").strip())
    (state, *_) = resty.with_().engine.capacity()
    assert (state.cards_up, state.cards_elsewhere) == (4, 3)


def test_accounting_by_slurmrestd(tmp_path: Path, database: SlurmDatabase) -> None:
    with (
        SlurmCluster(
            "restydb", nodes=[Nodes(count=1, gres="gpu:h800:4")], database=database, min_job_age_s=2
        ) as cluster,
        open_site(tmp_path, cluster) as plain,
    ):
        site = _by_rest(plain, cluster.start_rest())
        order = site.running()
        os.kill(site.said(order.key, files.BEGAN)["pid"], 9)
        site.until(lambda: not site.jobs(order.key))
        agent = site.with_()
        assert agent.see(order.key)
        assert agent.engine.abilities.accounting
        agent.ticks.jump(21)
        agent.fails(order.key, Category.INFRA, "its supervisor failed")


def test_accounting_says_by_slurmrestd_what_it_says_by_sacct(accounted: Site) -> None:
    from_ms = now_ms() - 60_000
    order = accounted.order("sleep 1", num_nodes=2)
    accounted.engine.submit(order)
    accounted.until(lambda: accounted.ended(order.key))

    def uses(site: Site) -> list[Use]:
        assert isinstance(site.engine, Accounted)
        return [each for each in site.engine.used(from_ms, now_ms() + 1_000) if each.key == order.key]

    accounted.until(lambda: uses(accounted))
    by_rest = _by_rest(accounted, accounted.cluster.start_rest())
    assert len(uses(by_rest)) == 1
    assert uses(by_rest) == uses(accounted)
    assert isinstance(by_rest.engine, Accounted)
    before = by_rest.engine.used(from_ms - 120_000, from_ms)  # other tests' jobs may have run then
    assert [each for each in before if each.key == order.key] == []
