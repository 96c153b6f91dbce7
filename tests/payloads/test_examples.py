"""Every example is a valid job, and those without special needs run as they are."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hutong.core.capacity.accelerators import ACCELERATORS, find_accelerator
from hutong.core.work.check import Catalogue, check_spec
from hutong.core.work.spec import JobSpec

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def resolve(name: str) -> str | None:
    card = find_accelerator(name)
    return card.model if card else None


def read_spec(path: Path) -> JobSpec:
    document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    return check_spec(document, Catalogue(resolve, tuple(ACCELERATORS)))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_a_valid_job(path: Path) -> None:
    spec = read_spec(path)
    assert spec.name == path.stem.removeprefix("skypilot-")


@pytest.mark.parametrize(
    ("name", "envs", "expected"),
    [
        ("hello", {}, "Hello Beijing from job 01JOB, attempt 2, on 1 x H100"),
        ("two-nodes", {}, "node 0 heard: node 1 of 2 is here"),
        ("train-tiny-llm", {"STEPS": "4"}, '{"hutong": "result"'),
        ("measure-card", {"SECONDS_EACH": "0.01", "SIZE": "128"}, "no card was used"),
        ("skypilot-allreduce", {}, "rank 0 of 2: 20 sums of a million numbers are right"),
        ("skypilot-any-card", {}, "1 cards, learning rate 3e-4"),
    ],
)
def test_example_runs_as_it_is(
    name: str, envs: dict[str, str], expected: str, center: Any, tmp_path: Path
) -> None:
    spec = read_spec(ROOT / "examples" / f"{name}.yaml")
    port, given = center.port(), {**dict(spec.envs), **envs}
    base = center.env(tmp_path) | given
    assert center.start(["bash", "-c", spec.setup], tmp_path, base, "setup").wait(60) == 0
    ranks = [
        center.start(
            ["bash", "-c", spec.run],
            tmp_path,
            center.env(tmp_path, rank=rank, nodes=spec.num_nodes, port=port) | given,
            f"rank{rank}",
        )
        for rank in range(spec.num_nodes)
    ]
    for rank, process in enumerate(ranks):
        assert process.wait(120) == 0, (tmp_path / f"rank{rank}").read_text()
    assert expected in (tmp_path / "rank0").read_text()
    if spec.outputs:
        assert any((tmp_path / spec.outputs).iterdir())


def test_payloads_know_nothing_of_the_platform() -> None:
    for path in (ROOT / "src" / "hutong" / "payloads").glob("*.py"):
        assert "import hutong" not in path.read_text()
        assert "from hutong" not in path.read_text()
