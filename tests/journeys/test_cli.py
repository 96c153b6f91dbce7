"""A person's way through `hutong up` and the command line, with real agents, real jobs and real deaths."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hutong.main import cli

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("up")]
HUTONG = (sys.executable, "-m", "hutong.main")
STEADY = "name: steady\nresources: {accelerators: 'MLU370:1'}\nrun: |\n  echo begun; sleep 600\ngrace: 2s\n"
SWEEP = """name: sweep
resources: {accelerators: 'MLU370:1'}
run: |
  echo task $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT
  test $HUTONG_ARRAY_INDEX != 5
"""
HELLO = """name: hello
resources: {accelerators: {H100: 1, MLU370: 1}}
num_nodes: 2
run: echo hello $HUTONG_NODE_RANK
"""


@dataclass
class Machine:
    """A data folder, the `hutong up` that works with it, and a user's shell."""

    folder: Path
    up: "subprocess.Popen[str] | None" = None
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HUTONG_")}
        return {**kept, "HUTONG_CONFIG": str(self.folder / "config.toml"), "COLUMNS": "80"}

    def start(self, *options: str, scenario: str = "demo") -> None:
        """Start the platform and wait for its line."""
        command = [*HUTONG, "up", "--data", str(self.data), "--scenario", scenario, "--login", "--json"]
        with (self.folder / "up.err").open("a") as err:
            self.up = subprocess.Popen(
                [*command, *options], stdout=subprocess.PIPE, stderr=err, text=True, env=self.env
            )
        assert self.up.stdout is not None
        line = self.up.stdout.readline()
        assert line, (self.folder / "up.err").read_text()
        self.told = json.loads(line)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the platform; it has a minute."""
        assert self.up is not None
        self.up.send_signal(number)
        self.up.wait(60)
        assert self.up.stdout is not None
        self.up.stdout.close()
        self.up = None

    def invoke(self, *words: str, text: str = "", env: dict[str, str] | None = None) -> Result:
        """Run a command as a shell would, but in this process: a process of its own takes a second more."""
        gone: dict[str, str | None] = dict.fromkeys(os.environ)
        done = CliRunner().invoke(cli, words, input=text, env=gone | (env or self.env))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    def run(self, *words: str, code: int | None = 0) -> str:
        """Run a command; return what it wrote on stdout."""
        done = self.invoke(*words)
        assert code is None or done.exit_code == code, f"{words}: {done.exit_code}\n{done.output}"
        return done.stdout if done.exit_code == 0 else done.stdout + done.stderr

    def shell(self, *words: str) -> str:
        """Run a command in a process of its own; return what it wrote on stdout."""
        done = subprocess.run([*HUTONG, *words], capture_output=True, text=True, env=self.env, timeout=120)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def sign_in(self, person: str, password: str) -> None:
        """Sign in at the platform; the commands that follow are that person's."""
        done = self.invoke("login", self.told["api"], "-u", person, text=password)
        assert done.exit_code == 0, done.output

    def ask(self, *words: str) -> Any:
        """Run a command with --json; return its document."""
        return json.loads(self.run(*words, "--json"))

    def job_file(self, text: str) -> str:
        path = self.folder / "job.yaml"
        path.write_text(text)
        return str(path)

    def processes(self) -> set[int]:
        """Return every process that works in or with the data folder."""
        found, place = set(), str(self.data)
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                mine = place.encode() in (folder / "cmdline").read_bytes()
                if mine or str((folder / "cwd").readlink()).startswith(place):
                    found.add(int(folder.name))
            except OSError:
                continue
        return found - {os.getpid()}

    def children(self) -> dict[str, int]:
        told = json.loads((self.data / "up.json").read_text())
        return {name: child["pid"] for name, child in told["children"].items()}

    def wait(self, condition: Callable[[], object], what: str, within_s: float = 60) -> None:
        deadline_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline_s, what
            time.sleep(0.1)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    if made.up is not None:
        made.stop(signal.SIGKILL)
    for pid in made.processes():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def open_project(machine: Machine) -> None:
    """Open what a user needs, as an operator does, and sign in as the user."""
    machine.run("institution", "create", "uni", "--kind", "university", "--zh", "大学", "--en", "Uni")
    password = machine.ask("person", "create", "li-na", "-i", "uni", "--name", "李娜")["password"]
    machine.run("project", "create", "poems", "-i", "uni", "--owner", "li-na")
    machine.run("award", "poems", "1000")
    machine.run("voucher", "poems", "100", "--rate", "20")
    machine.sign_in("li-na", password)


def test_a_day_with_the_embedded_platform(machine: Machine) -> None:
    machine.start()
    assert machine.data.stat().st_mode & 0o777 == 0o700
    admin = machine.data / "keys" / "admin.json"
    assert admin.stat().st_mode & 0o777 == 0o600
    open_project(machine)

    second = subprocess.run(
        [*HUTONG, "up", "--data", str(machine.data)],
        capture_output=True,
        text=True,
        env=machine.env,
        timeout=60,
    )
    assert second.returncode == 2, "one data folder takes one platform"
    assert str(machine.up.pid if machine.up else "") in second.stderr

    lines = [
        json.loads(line) for line in machine.shell("run", machine.job_file(HELLO), "--json").splitlines()
    ]
    assert lines[-1]["job"]["state"] == "SUCCEEDED"
    assert {"log": {"attempt": 1, "rank": 0, "text": "hello 0"}} in lines
    assert [each["fact"]["seq"] for each in lines if "fact" in each] == list(
        range(1, 1 + sum("fact" in each for each in lines))
    )
    assert machine.run("logs", "last", "--rank", "1") == "hello 1\n"
    assert "the same decision" in machine.run("receipt", "last", "--replay")
    bill = machine.ask("bill", "last")
    assert bill["final"] is True
    assert bill["entries_sum"]["amount"] == "0.000000"
    assert {paid["kind"] for paid in bill["paid"]} == {"award", "voucher"}

    failed = machine.run("run", machine.job_file("run: exit 3\nresources: {accelerators: H100:1}\n"), code=1)
    assert "FAILED" in failed

    ran = machine.data.parent / "ran.csv"
    assert machine.ask("trace", "--out", str(ran))["jobs"] == 2
    again = machine.ask("simulate", "--nodes", "2", "--trace", str(ran), "--lengths", "limit")
    assert (again["jobs"], again["runs"][0]["measures"]["wait_mean_s"]) == (2, 0.0), (
        "they found the same room"
    )

    lines = machine.run("run", machine.job_file(SWEEP), "--array", "3-5%2", "--json", code=1).splitlines()
    array = json.loads(lines[-1])["array"]
    assert array["states"] == {"FAILED": 1, "SUCCEEDED": 2}
    assert all(json.loads(line)["array"]["states"].get("RUNNING", 0) <= 2 for line in lines)
    assert machine.run("logs", f"{array['id']}_4") == "task 4 of 3\n"
    machine.run("jobs", "--array", "last", "--follow", code=1)

    before = machine.children()
    os.kill(before["api"], signal.SIGKILL)
    machine.wait(
        lambda: '"state"' in machine.run("jobs", "-n", "1", "--json", code=None), "the API comes back"
    )
    machine.wait(
        lambda: machine.children()["api"] not in {None, before["api"]}, "the API was not started again"
    )
    machine.stop()
    assert machine.processes() == set()
    assert not (machine.data / "up.json").exists()


def test_jobs_outlive_the_platform_and_are_adopted_and_stopped_when_asked(machine: Machine) -> None:
    machine.start()
    open_project(machine)
    job = machine.ask("run", machine.job_file(STEADY), "--detach")["id"]
    machine.wait(lambda: machine.ask("job", job)["state"] == "RUNNING", "the job did not run")
    machine.stop()
    alive = machine.processes()
    assert alive, "the job goes on without the platform"

    machine.start("--stop-jobs")
    found = machine.ask("job", job)
    assert (found["state"], len(found["attempts"])) == ("RUNNING", 1)
    assert alive <= machine.processes(), "the same processes run on"
    machine.stop()
    machine.wait(lambda: not machine.processes(), "something was left")

    machine.start()
    found = machine.ask("job", job)
    assert found["state"] == "CANCELLED"
    assert len(found["attempts"]) == 1


def test_nothing_is_left_when_the_platform_itself_is_killed(machine: Machine) -> None:
    machine.start()
    children = set(machine.children().values())
    assert len(children) == 6
    machine.stop(signal.SIGKILL)
    machine.wait(lambda: not machine.processes() & children, "a process outlived its parent")
    machine.start()
    assert len({site["id"] for site in machine.ask("sites") if site["reachable"]}) == 3
