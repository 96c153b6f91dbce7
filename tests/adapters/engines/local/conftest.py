"""A local engine in a folder of its own, and ways to order work from it."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hutong.adapters.engines.attempt import tree
from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.base import Order, Seen
from hutong.adapters.engines.local.engine import LocalEngine
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId, attempt_key, ulid
from hutong.core.work.fold import Attempt
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources
from hutong.core.work.states import Category


@dataclass
class Site:
    """One engine and its folder."""

    root: Path
    config: FolderConfig
    engine: LocalEngine

    def order(self, run: str, **fields: object) -> Order:
        secrets = fields.pop("secrets", {})
        staged = fields.pop("staged", ())
        job = JobId(ulid(1_795_000_000_000, os.urandom(10)))
        base = JobSpec(
            "try", JobType.TASK, 1, Resources((Ask("H800", 2),)), run, max_duration_s=60, grace_s=1
        )
        spec = replace(base, **fields)
        attempt = Attempt(1, "s", "p", "H800", spec.num_nodes, 2 * spec.num_nodes, 1, 1, 1, 1)
        key = attempt_key(job, 1)
        return Order(key, job, ProjectId("p"), attempt, spec, staged, secrets)

    def folder(self, key: AttemptKey) -> Path:
        return self.root / "attempts" / key

    def work(self, key: AttemptKey) -> Path:
        return self.folder(key) / "work"

    def see(self, key: AttemptKey) -> Seen | None:
        return {each.key: each for each in self.engine.observe()}.get(key)

    def until(self, good: Callable[[], object], within_s: float = 60) -> None:
        deadline = time.monotonic() + within_s
        while not good():
            assert time.monotonic() < deadline, "it never came to pass"
            time.sleep(0.01)

    def finish(self, key: AttemptKey) -> Seen:
        found: list[Seen] = []

        def over() -> bool:
            seen = self.see(key)
            if seen is not None and seen.ended is not None:
                found.append(seen)
            return bool(found)

        self.until(over)
        return found[0]

    def run(self, run: str, **fields: object) -> tuple[Seen, str]:
        order = self.order(run, **fields)
        self.engine.submit(order)
        seen = self.finish(order.key)
        return seen, self.log(order.key)

    def log(self, key: AttemptKey, rank: int = 0) -> str:
        return self.engine.read_log(key, rank, 0, 1 << 24).decode(errors="replace")

    def another(self, **changes: object) -> "Site":
        config = replace(self.config, **changes)
        return Site(self.root, config, LocalEngine(config, lambda: time.time_ns() // 1_000_000))


def _open(tmp_path: Path, isolation: str) -> Iterator[Site]:
    payloads = tmp_path / "payloads"
    payloads.mkdir()
    (payloads / "hello.sh").write_text("echo payload\n")
    config = FolderConfig(tmp_path / "site", payloads, isolation=isolation)
    root = tmp_path / "site"
    site = Site(root, config, LocalEngine(config, lambda: time.time_ns() // 1_000_000))
    yield site
    for seen in site.engine.observe():
        if seen.ended is None:
            site.engine.stop(seen.key, 1, Category.CANCELLED, "the test is over", 0)
            site.finish(seen.key)
        assert tree.carrying(seen.key) == []


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Site]:
    yield from _open(tmp_path, "none")


@pytest.fixture
def boxed(tmp_path: Path) -> Iterator[Site]:
    if not shutil.which("bwrap"):
        pytest.fail("bubblewrap is missing: apt-get install bubblewrap")
    yield from _open(tmp_path, "bwrap")


@pytest.fixture(params=["none", "bwrap"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    yield from _open(tmp_path, request.param)
