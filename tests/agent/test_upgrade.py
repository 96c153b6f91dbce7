"""An upgrade of the agent: another release starts on the same folder, and running jobs notice nothing."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from testbeds.slurm import SlurmCluster
from tests.agent.scene import Door, World
from tests.agent.test_run import until

from hutong.adapters.engines.attempt import files, programs, tree
from hutong.core.work.spec import Ask, Resources
from hutong.core.work.states import JobState

PACKAGE = Path(programs.__file__).parent
# A release is what its programs are: this one takes them from where it is told.
RELEASE = """
import sys
from pathlib import Path
from hutong.adapters.engines.attempt import programs
from hutong.agent.config import read_agent
from hutong.agent.run import run_agent
programs._PACKAGE = Path(sys.argv[2])
run_agent(read_agent(Path(sys.argv[1])))
"""
Start = Callable[[Path], "subprocess.Popen[bytes]"]


@pytest.fixture(params=["local", "slurm"])
def start(request: pytest.FixtureRequest, world: World, door: Door, tmp_path: Path) -> Iterator[Start]:
    """Return what starts an agent of a release on the one folder of the site."""
    lines = ['site = "east"', f'url = "{door.url}"', 'token = "site-token"', f'root = "{tmp_path}/agent"']
    lines += ["[engine]", f'kind = "{request.param}"', f'root = "{tmp_path}/engine"', 'isolation = "none"']
    if request.param == "slurm":
        cluster: SlurmCluster = request.getfixturevalue("slurm_cluster")
        lines += [f'conf = "{cluster.conf}"', f'python = "{sys.executable}"', "poll_s = 0.2"]
        lines += ["[engine.pools.main]", 'gres = "gpu:h800"']
    (tmp_path / "engine").mkdir()  # an engine of a cluster makes none: it may just not be mounted
    path = tmp_path / "agent.toml"
    path.write_text("\n".join(lines))
    children: list[subprocess.Popen[bytes]] = []

    def run(package: Path) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-c", RELEASE, str(path), str(package)]
        with (tmp_path / "agent.out").open("ab") as sink:
            children.append(subprocess.Popen(argv, stdout=sink, stderr=sink))
        return children[-1]

    yield run
    for child in children:
        child.kill()
        child.wait()
    left = [pid for job in world.jobs for pid in tree.carrying(world.key(job))]
    tree.end_all(lambda: [pid for pid in left if Path(f"/proc/{pid}").exists()], lambda: None)
    assert not left, "a job was left running"


def earlier_release(tmp_path: Path) -> Path:
    """Return the programs of another release."""
    package = tmp_path / "earlier"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / "files.py").open("a") as file:
        file.write("\n# an earlier release\n")
    return package


def end(agent: "subprocess.Popen[bytes]") -> None:
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(60) == 0


def copies(tmp_path: Path) -> set[str]:
    return {each.name for each in (tmp_path / "engine" / "programs").iterdir() if "payloads" not in each.name}


def test_a_job_runs_on_under_the_release_that_started_it(
    world: World, door: Door, start: Start, tmp_path: Path
) -> None:
    agent = start(earlier_release(tmp_path))
    gate = tmp_path / "gate"
    script = f"echo begin; while [ ! -e {gate} ]; do sleep 0.1; done; echo end"
    job = world.submit(script, resources=Resources((Ask("H100", 2),)))
    until(world, door, lambda: world.job(job).state is JobState.RUNNING, 60)
    deadline = time.monotonic() + 60
    while not (before := set(tree.carrying(world.key(job)))):  # seen a little after "started"
        assert time.monotonic() < deadline, "the job's processes were never seen"
        time.sleep(0.02)
    old = copies(tmp_path)
    assert len(old) == 1
    end(agent)

    agent = start(PACKAGE)
    later = world.submit("true", resources=Resources((Ask("H100", 1),)))
    until(world, door, lambda: world.job(later).final, 60)
    assert world.job(later).state is JobState.SUCCEEDED
    assert old < copies(tmp_path), "the new release brings its own programs and leaves the others"
    assert before & set(tree.carrying(world.key(job))), "the same processes run on"
    gate.touch()
    until(world, door, lambda: world.job(job).final and world.job(job).attempt.collected, 60)
    done = world.job(job)
    assert (done.state, len(done.attempts)) == (JobState.SUCCEEDED, 1)
    assert world.link.logs[world.key(job), 0] == b"begin\nend\n"
    end(agent)

    agent = start(PACKAGE)
    until(world, door, lambda: not old & copies(tmp_path), 60)  # nothing uses the old programs any more
    end(agent)


def test_only_copies_that_nothing_names_are_deleted(tmp_path: Path) -> None:
    root, attempts = tmp_path / "programs", tmp_path / "attempts"
    for name in ("mine", "mine-payloads", "running", "pending", "ended", "unused"):
        (root / name / "hutong").mkdir(parents=True)

    def attempt(key: str, copy: str, name: str) -> Path:
        folder = attempts / key
        folder.mkdir(parents=True)
        (folder / name).write_text(json.dumps({"payloads": f"{root}/{copy}"}))
        return folder

    attempt("a", "running", files.ORDER)
    attempt("b", "pending", files.SCRIPT)
    (attempt("c", "ended", files.ORDER) / files.END).write_text("{}")
    (attempts / "d").mkdir()
    keep = (root / "mine" / "hutong", root / "mine-payloads")
    assert programs.collect_programs(root, keep, attempts) == ["ended", "unused"]
    assert {each.name for each in root.iterdir()} == {"mine", "mine-payloads", "running", "pending"}
