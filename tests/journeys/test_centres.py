"""One platform over unlike centres: the same file runs on each, and a training moves from one to another."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import yaml
from bench.centres import Centres, wait_until
from testbeds.ray import RayCluster
from testbeds.slurm import Nodes, SlurmCluster
from tests.payloads.conftest import ROOT

from hutong import Client
from hutong.wire.jobs import JobDetail

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("centres")]

CARDS = {"local": "MLU370", "slurm-b": "Ascend910B", "ray": "H20", "slurm-a": "H100"}
SITES = tuple(CARDS)  # from the cheapest to the dearest, by work as by hour
ANYWHERE: dict[str, Any] = {
    "name": "anywhere",
    "num_nodes": 2,
    "resources": {"accelerators": {"H100": 2, "Ascend910B": 2, "MLU370": 2, "H20": 2}},
    "run": 'echo "rank $HUTONG_NODE_RANK of $HUTONG_NUM_NODES on $HUTONG_ACCELERATOR"\n'
    'echo "$HUTONG_ACCELERATOR" > "$HUTONG_OUTPUTS/card-$HUTONG_NODE_RANK"\n',
    "outputs": "outputs",
    "max_duration": "10m",
    "placement": {"objective": "cheapest"},
}


@pytest.fixture(scope="module")
def nvidia() -> Iterator[SlurmCluster]:
    with SlurmCluster("nvidia", nodes=[Nodes(count=3, gres="gpu:h100:4")]) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def ascend() -> Iterator[SlurmCluster]:
    with SlurmCluster("ascend", nodes=[Nodes(count=3, gres="npu:910b:4")]) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def ray() -> Iterator[RayCluster]:
    with RayCluster(nodes=2, resources={"h800": 4}) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def centres(
    nvidia: SlurmCluster, ascend: SlurmCluster, ray: RayCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Centres]:
    with Centres(tmp_path_factory.mktemp("centres")) as centres:
        centres.add("local", "MLU370", "1", {"kind": "local"})
        centres.add_slurm("slurm-a", "H100", "60", nvidia.conf, "gpu:h100")
        centres.add_slurm("slurm-b", "Ascend910B", "5", ascend.conf, "npu:910b")
        centres.add_ray("ray", "H20", "7", ray, "h800")
        yield centres


@pytest.fixture
def client(centres: Centres) -> Iterator[Client]:
    with centres.client() as client:
        for site in SITES:
            client.sites.set_admission(site, "active")
        yield client


def finish(client: Client, job: str, within_s: float = 120) -> JobDetail:
    final = {"SUCCEEDED", "FAILED", "CANCELLED", "REJECTED", "EXPIRED"}
    wait_until(lambda: client.jobs.get(job).state in final, within_s, lambda: client.jobs.get(job))
    return client.jobs.get(job)


def log_of(client: Client, job: str, rank: int) -> str:
    if not client.jobs.get(job).attempts:
        return ""
    return "".join(chunk.text for chunk in client.jobs.logs(job, rank=rank))


@pytest.mark.parametrize(("site", "card"), CARDS.items())
def test_the_same_file_runs_at_every_centre_and_the_receipt_says_why_there(
    client: Client, site: str, card: str
) -> None:
    cheaper, dearer = SITES[: SITES.index(site)], SITES[SITES.index(site) + 1 :]
    for other in cheaper:
        client.sites.set_admission(other, "drain")
    job = client.jobs.submit("bench", ANYWHERE)
    done = finish(client, job.id)
    assert done.state == "SUCCEEDED", done
    (attempt,) = done.attempts
    assert (attempt.site, attempt.accelerator) == (site, card)
    receipt = client.jobs.receipt(job.id)
    rows = {row.site: row for row in receipt.alternatives}
    assert [row.site for row in rows.values() if row.chosen] == [site]
    why_not = {name: rows[name].why_not for name in cheaper}
    assert {name: each and each.code for name, each in why_not.items()} == dict.fromkeys(cheaper, "draining")
    prices = {
        name: {part.name: part.value_ppm for part in rows[name].parts}["price"]
        for name in SITES[len(cheaper) :]
    }
    assert prices[site] == 1_000_000
    for other in dearer:
        assert rows[other].eligible
        assert (prices[other], rows[other].score_ppm) < (prices[site], rows[site].score_ppm)
    for rank in (0, 1):
        assert log_of(client, job.id, rank) == f"rank {rank} of 2 on {card}\n"
    names = sorted(output.path for output in client.jobs.outputs(job.id))
    assert names == ["card-0", "card-1"]
    bill = client.jobs.bill(job.id)
    assert {line.sku for line in bill.lines} == {card}


def test_a_training_moves_to_another_centre_and_goes_on_from_its_checkpoint(
    client: Client, nvidia: SlurmCluster
) -> None:
    job_file = yaml.safe_load((ROOT / "examples" / "train-tiny-llm.yaml").read_text())
    job_file["resources"]["accelerators"] = {"H100": 1, "Ascend910B": 1}
    job_file["envs"] |= {"STEPS": 120, "TIME_LIMIT_S": 0}
    client.sites.set_admission("slurm-b", "drain")
    job = client.jobs.submit("bench", job_file)
    log = partial(log_of, client, job.id, 0)
    wait_until(lambda: re.search(r'"step": \d\d', log()), 180, log)
    # The centre is emptied: its operator drains it here, and cancels there what still runs.
    client.sites.set_admission("slurm-b", "active")
    client.sites.set_admission("slurm-a", "drain")
    nvidia.run("scancel", f"--name=ht-{job.id.lower()}-a1")
    done = finish(client, job.id, 300)
    assert done.state == "SUCCEEDED", done
    first, second = done.attempts
    assert (first.site, first.state, first.category) == ("slurm-a", "FAILED", "infra")
    assert "cancelled at the site" in first.reason
    assert second.site == "slurm-b"
    left = "".join(chunk.text for chunk in client.jobs.logs(job.id, attempt=1))
    stopped = re.search(r'"hutong": "stopped", "step": (\d+)', left)
    assert stopped, left
    assert f"resumed at step {stopped[1]}," in log()
    assert {output.path for output in client.jobs.outputs(job.id)} > {"model/lineage.json"}
