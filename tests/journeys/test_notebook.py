"""A notebook on a real Slurm cluster in a real browser: it opens, runs a cell, and refuses strangers.

Screenshots go to the folder that HUTONG_SHOTS names, else to the test's own.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from testbeds.slurm import Nodes, SlurmCluster
from tests.server.tunnels.conftest import Reachable, opened_world

from hutong.adapters.engines.slurm.config import SlurmConfig, SlurmPool

LAB = Path(__file__).parents[2] / ".venv-jupyter" / "bin" / "jupyter-lab"
# What docs/user/interactive.md tells users to write, with the path of this test's JupyterLab.
RUN = f"""
export JUPYTER_CONFIG_DIR=$PWD/.jupyter JUPYTER_DATA_DIR=$PWD/.data JUPYTER_RUNTIME_DIR=$PWD/.run
export IPYTHONDIR=$PWD/.ipython
exec {LAB} --no-browser --allow-root --ip "$HUTONG_HOST" --port "$HUTONG_PORT" --port-retries 0 \\
  --ServerApp.allow_remote_access=True --IdentityProvider.token= --LabApp.check_for_updates_class=\\
jupyterlab.NeverCheckForUpdate --LabApp.news_url=
"""
_ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reachable]:
    """A platform whose site is a Slurm cluster of two nodes."""
    assert LAB.is_file(), "JupyterLab is missing: make jupyter"
    with SlurmCluster("lab", nodes=[Nodes(count=2, gres="gpu:a100:8")]) as cluster:

        def engine(folder: Any) -> SlurmConfig:
            return SlurmConfig(
                replace(folder, log_most_bytes=1 << 20),
                {"a100": SlurmPool(gres="gpu:a100")},
                python=os.path.realpath("/proc/self/exe"),
                bin=Path(shutil.which("sbatch") or "").parent,
                conf=cluster.conf,
                poll_s=0.2,
            )

        with opened_world(tmp_path_factory.mktemp("platform"), engine=engine) as world:
            yield world


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing: apt-get install -y chromium fonts-noto-cjk"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(_ARGS))
        yield started
        started.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("heavy")
def test_a_notebook_opens_runs_a_cell_and_refuses_a_stranger(
    world: Reachable, browser: Browser, tmp_path: Path
) -> None:
    job = world.run(RUN, envs={"GREETING": "hello from the job"}, max_duration="1h")
    shots = Path(os.environ.get("HUTONG_SHOTS") or tmp_path)
    shots.mkdir(parents=True, exist_ok=True)
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(60_000)
        page = context.new_page()
        _enter(world, job, page)
        page.locator(".jp-LauncherCard").first.wait_for()
        page.locator('.jp-LauncherCard[data-category="Notebook"]').first.click()
        # JupyterLab lets go a cell that is run before its kernel is there.
        expect(page.get_by_text("| Idle")).to_be_visible(timeout=120_000)
        cell = page.locator(".jp-Notebook .jp-Cell .cm-content").first
        cell.click()
        page.keyboard.insert_text("import os; print(os.environ['GREETING'], 6 * 7)")
        expect(cell).to_contain_text("GREETING")
        page.keyboard.press("Shift+Enter")
        expect(page.locator(".jp-OutputArea-output").first).to_contain_text(
            "hello from the job 42", timeout=120_000
        )
        page.screenshot(path=shots / "notebook-01-cell.png")
    _strangers(world, browser, job, shots)


def _enter(world: Reachable, job: str, page: Page) -> None:
    """Open the notebook by a fresh link until JupyterLab listens."""
    visitor = world.visit(job)
    visitor.until_up("/lab")
    page.goto(world.open(job, path="/lab")["url"])
    expect(page).to_have_url(re.compile(rf"http://{re.escape(world.host(job))}/lab"))


def _strangers(world: Reachable, browser: Browser, job: str, shots: Path) -> None:
    used = world.open(job)["url"]
    with browser.new_context() as context:
        page = context.new_page()
        assert page.goto(used).status == 200  # type: ignore[union-attr]
    with browser.new_context() as context:
        page = context.new_page()
        for url in (f"http://{world.host(job)}/lab", used):
            answer = page.goto(url)
            assert answer is not None
            assert answer.status == 401, url
        expect(page.locator("p[lang=en]")).to_contain_text("hutong open")
        page.screenshot(path=shots / "notebook-02-stranger.png")
        wang = world.platform.person("wang", "biology")
        refused = world.platform.http.post(f"/v1/jobs/{job}/open", headers=wang)
        assert refused.status_code == 404


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("heavy")
def test_a_command_runs_beside_each_rank_on_its_own_node(world: Reachable) -> None:
    job = world.run("exec sleep 600", type="task", num_nodes=2)
    told = {}
    for rank in (0, 1):
        done = subprocess.run(
            [sys.executable, "-m", "hutong.main", "exec", job, "--rank", str(rank), "--", "sh", "-c",
             "cat; echo $HUTONG_NODE_RANK ${SLURMD_NODENAME:-first}; exit 3"],
            input=b"fed\n", capture_output=True, timeout=120, check=False,
            env={
                **os.environ,
                "HUTONG_URL": world.config.url,
                "HUTONG_TOKEN": world.li["Authorization"].removeprefix("Bearer "),
            },
        )  # fmt: skip
        assert done.returncode == 3, (done.stdout, done.stderr)
        fed, said = done.stdout.decode().splitlines()
        assert fed == "fed"
        told[rank] = said.split()
    assert [told[rank][0] for rank in (0, 1)] == ["0", "1"]
    assert told[1][1] not in {"first", told[0][1]}, "rank 1 is on a node of its own, by a step of its own"
