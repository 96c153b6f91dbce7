"""Measure what 1,000 like jobs cost the platform as an array, and as what users did before; JSON lines.

All in one process on SQLite, CPU seconds, the least of some runs: what a request costs the API, and what the
ends of jobs cost the store where each lets another begin.

`python -m bench.arrays`
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.control import DOCUMENT
from bench.rig import SITE
from bench.rows import told
from starlette.testclient import TestClient

from hutong.adapters.telemetry.logs import configure_logs
from hutong.config import Settings
from hutong.core.book.snapshot import JobOutcome, Outcome
from hutong.core.book.store import JobQuery
from hutong.core.work import fold
from hutong.core.work.facts import Fact, Finished
from hutong.core.work.states import JobState
from hutong.server.api.app import make_app
from hutong.server.loop import Loop
from hutong.server.services import Services, bootstrap, open_services

PROJECT = "physics"
JOBS = 1000
RUNS = 5
AT_ONCE = 50


def cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU time of one run in this process."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


class Api:
    """The API in this process, with a project."""

    def __init__(self, services: Services) -> None:
        self.http = TestClient(make_app(services))
        self.headers = {"Authorization": f"Bearer {bootstrap(services)[1]}"}
        self.post(
            "/v1/institutions",
            {"id": "uni", "kind": "university", "name_zh": "大学", "name_en": "University"},
        )
        self.post("/v1/sites", SITE)
        self.post(
            "/v1/people", {"id": "li", "name": "Li", "institution": "uni", "password": "a long password"}
        )
        self.post("/v1/projects", {"id": PROJECT, "institution": "uni", "title": "P", "owner": "li"})
        signed = self.post("/v1/login", {"person": "li", "password": "a long password"})
        self.headers = {"Authorization": f"Bearer {signed['secret']}"}

    def post(self, path: str, body: object) -> dict[str, Any]:
        """POST; must succeed."""
        return self.send(path, json.dumps(body).encode())

    def send(self, path: str, body: bytes) -> dict[str, Any]:
        """POST what is written already; must succeed."""
        headers = {**self.headers, "content-type": "application/json"}
        answer = self.http.post(path, content=body, headers=headers)
        if not answer.is_success:
            raise RuntimeError(answer.text)
        found: dict[str, Any] = answer.json()
        return found


def body_of(specs: list[dict[str, Any]]) -> bytes:
    """Return a batch as it is sent."""
    return json.dumps({"jobs": [{"project": PROJECT, "spec": spec} for spec in specs]}).encode()


def submissions(api: Api) -> None:
    """Print what a request with 1,000 jobs costs."""
    array = json.dumps({"project": PROJECT, "spec": {**DOCUMENT, "array": f"0-{JOBS - 1}"}}).encode()
    unlike = body_of([{**DOCUMENT, "envs": {"SLURM_ARRAY_TASK_ID": str(at)}} for at in range(JOBS)])
    ways = {
        "array": ("/v1/arrays", array),
        "batch of like documents": ("/v1/jobs/batch", body_of([DOCUMENT] * JOBS)),
        "batch, the index in each document": ("/v1/jobs/batch", unlike),
    }
    took = {
        name: min(cpu_s(lambda at=at: api.send(*at)) for _ in range(RUNS))  # type: ignore[misc]
        for name, at in ways.items()
    }
    for name, taken_s in took.items():
        told(f"submit 1,000: {name}", 1000 * taken_s, "ms of CPU", "array", 1000 * took["array"], less=True)


def end_some(services: Services, loop: Loop, at_once: int) -> int:
    """Let up to AT_ONCE queued jobs be over in one turn, as if each had run; return how many."""
    rows = services.store.jobs(JobQuery(states=frozenset({"QUEUED"}), limit=AT_ONCE))
    some = []
    for row in rows:
        fact = Fact(row.job.id, row.job.seq + 1, 1, "bench", Finished(JobState.EXPIRED, "bench"))
        after = fold.apply(row.job, fact)
        some.append(
            JobOutcome(row.job.id, row.project, row.job.seq, (fact,), after, None, row.spec, at_once=at_once)
        )
    if loop.epoch is None:
        raise RuntimeError("the loop does not lead")
    services.store.apply(Outcome(tuple(some)), loop.epoch, services.clock())
    return len(some)


def life(api: Api, services: Services, limit: str) -> float:
    """Return the CPU time of admitting and ending the 1,000 jobs of an array, AT_ONCE in each turn."""
    api.post("/v1/arrays", {"project": PROJECT, "spec": {**DOCUMENT, "array": f"0-{JOBS - 1}{limit}"}})
    loop = Loop(services.store, services.rules, services.clock, "bench")
    ended, begin = 0, time.process_time()
    while ended < JOBS:
        loop.step()
        ended += end_some(services, loop, AT_ONCE if limit else 0)
    return time.process_time() - begin


def main() -> None:
    """Measure and print."""
    configure_logs("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        services = open_services(Settings(data=Path(folder) / "data"))
        api = Api(services)
        submissions(api)
        services.close()
    with tempfile.TemporaryDirectory() as folder:
        services = open_services(Settings(data=Path(folder) / "data"))
        api = Api(services)
        plain = min(life(api, services, "") for _ in range(RUNS))
        limited = min(life(api, services, f"%{AT_ONCE}") for _ in range(RUNS))
        told("end 1,000: no limit", 1000 * plain, "ms of CPU")
        told(
            f"end 1,000: {AT_ONCE} at once", 1000 * limited, "ms of CPU", "no limit", 1000 * plain, less=True
        )
        services.close()


if __name__ == "__main__":
    main()
