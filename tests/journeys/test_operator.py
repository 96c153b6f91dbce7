"""An operator's way with a new centre: init, site add, token, doctor, run; and a user's job there."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from testbeds.processes import wait_until
from testbeds.slurm import SlurmCluster
from tests.journeys.test_cli import HUTONG, Machine, open_project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("up")]


class Centre:
    """A folder of an operator at a centre, with a shell of its own and an agent."""

    def __init__(self, machine: Machine, folder: Path, more_env: dict[str, str]) -> None:
        self.machine = machine
        self.folder = folder
        self.env = {**machine.env, **more_env}
        self.agent: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    def run(self, *words: str, code: int = 0) -> str:
        with chdir(self.folder):
            done = self.machine.invoke(*words, env=self.env)
        assert done.exit_code == code, f"{words}: {done.exit_code}\n{done.output}"
        return done.stdout or done.stderr

    def ask(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code))

    def doctor(self, *words: str, code: int = 0) -> Any:
        return self.ask("agent", "doctor", "--config", "agent.toml", *words, code=code)

    def init(self, engine: str) -> dict[str, Any]:
        shared = str(self.folder / "shared")
        return self.ask(
            "agent", "init", "--site", "mine", "--url", self.machine.told["api"], "--engine", engine,
            "--root", str(self.folder / "home"), "--shared", shared,
        )  # fmt: skip

    def fill_in(self, **pools: object) -> None:
        """Do what only the operator can: names, prices, power."""
        path = self.folder / "site.yaml"
        document = yaml.safe_load(path.read_text())
        document |= {"name_zh": "我的", "name_en": "Mine", "region": "Beijing", "distance_km": 5}
        document["supply"] = {"green_ppm": [300_000] * 24, "grams_per_kwh": [500] * 24, "source": "the meter"}
        for pool in document["pools"]:
            pool |= {"price_per_card_hour": {"amount": "2", "currency": "CNY"}, "pue": "1.2", **pools}
        path.write_text(yaml.safe_dump(document, allow_unicode=True))

    def take_token(self) -> None:
        path = self.folder / "token"
        path.touch(mode=0o600)
        path.write_text(self.run("site", "token", "mine"))

    def start_agent(self) -> None:
        with (self.folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(
                [*HUTONG, "agent", "run", "--config", "agent.toml"],
                env=self.env, cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip
        self.machine.wait(
            lambda: any(each["reachable"] for each in self.machine.ask("sites")), "the site did not call"
        )

    def stop_agent(self) -> None:
        if self.agent is not None:
            self.agent.send_signal(signal.SIGTERM)
            assert self.agent.wait(60) == 0
            self.agent = None


Opened = Callable[..., Centre]


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Opened]:
    machine = Machine(tmp_path)
    opened: list[Centre] = []

    def make(**more_env: str) -> Centre:
        machine.start(scenario="")
        opened.append(Centre(machine, tmp_path / "centre", more_env))
        return opened[0]

    yield make
    for each in opened:
        each.stop_agent()
    machine.stop()
    for pid in machine.processes():
        os.kill(pid, signal.SIGKILL)


def bad(report: dict[str, Any]) -> list[str]:
    return [f"{each['name']}: {each['seen']}" for each in report["checks"] if each["level"] == "bad"]


def run_a_job(centre: Centre, accelerators: str) -> None:
    open_project(centre.machine)
    job = centre.machine.job_file(f"run: echo here\nresources: {{accelerators: '{accelerators}'}}\n")
    ended = [json.loads(line) for line in centre.machine.run("run", job, "--json").splitlines()][-1]["job"]
    assert (ended["state"], ended["attempts"][0]["site"]) == ("SUCCEEDED", "mine")


def test_a_machine_without_cards_becomes_a_centre(centre: Opened) -> None:
    here = centre()
    found = here.init("local")
    assert (here.folder / "agent.toml").stat().st_mode & 0o777 == 0o600
    assert [pool["id"] for pool in found["pools"]] == ["cpu"]
    refused = here.run("agent", "init", "--site", "mine", "--url", here.machine.told["api"], code=2)
    assert "--force" in refused, "what is there is not overwritten"
    assert "token" in bad(here.doctor(code=1))[0], "not made yet"
    here.run("site", "add", "site.yaml", code=2)
    here.fill_in()
    here.run("site", "add", "site.yaml")
    here.take_token()
    assert bad(here.doctor()) == []
    here.start_agent()
    run_a_job(here, "CPU:1")
    report = here.doctor()
    assert "one works in this folder" in {each["name"]: each["seen"] for each in report["checks"]}["agent"]


def test_a_slurm_cluster_becomes_a_centre(centre: Opened, slurm_cluster: SlurmCluster) -> None:
    here = centre(**slurm_cluster.env())
    found = here.init("slurm")
    assert found["facts"]["cluster"] == slurm_cluster.name
    (pool,) = found["pools"]
    assert (pool["id"], pool["nodes"], pool["cards_per_node"], pool["known"]) == ("h800", 3, 4, False)
    here.fill_in(cards_per_node=8)
    assert "catalogue" in here.run("site", "add", "site.yaml", code=2)
    here.fill_in(cards_per_node=8, accelerator="H100")
    here.run("site", "add", "site.yaml")
    here.take_token()

    report = here.doctor(code=1)
    assert bad(report) == ["cards of h800: 24 H100 are declared, the engine shows 12"]
    nodes = [each for each in report["checks"] if each["name"] == "nodes of h800"]
    assert nodes[0]["level"] == "ok", nodes
    # Slurm shows a job for a moment after its end, while its node tidies up.
    left = partial(slurm_cluster.run, "squeue", "--noheader", "--name=ht-doctor")
    wait_until(lambda: not left(), seconds=60, what="the doctor's job to be gone")
    assert not list((here.folder / "shared").glob("doctor-*")), "doctor leaves nothing behind"

    path = here.folder / "agent.toml"
    good = path.read_text()
    path.write_text(good.replace('partition = "main"', 'partition = "moon"'))
    assert "no partition 'moon'" in " ".join(bad(here.doctor("--quick", code=1)))
    path.write_text(good.replace('gres = "gpu:h800"', 'gres = "gpu:h9"'))
    assert "Slurm would refuse its jobs" in " ".join(bad(here.doctor("--quick", code=1)))
    path.write_text(good)

    here.start_agent()
    run_a_job(here, "H100:2")
