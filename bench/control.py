"""Measure the control plane beside its bare store: submissions, placements, dispatch, lists; JSON lines.

Each figure is taken with 0, 10^5 and 10^6 finished jobs in the store, on SQLite and on PostgreSQL, both durable.

| row | what is measured | baseline, in the same run |
|---|---|---|
| submit_single | one job at a time from 64 callers at once: the door's check and group commit, without HTTP | one durable commit a job, one writer, bare driver |
| submit_http | POST /v1/jobs, one job a request, 16 connections, client on the same two cores | the same |
| submit_batch | POST /v1/jobs/batch, 1,000 jobs a request | 1,000 jobs a commit, bare driver |
| placements | the loop's turns over those jobs: placed, held, commanded, committed | the same as submit_batch's |
| submit_array | POST /v1/arrays, 1,000 jobs a request as one array | the same |
| placements_array | the loop's turns over those | the same |
| dispatch | from before the POST to the agent's long poll having the command, loop as a process | a durable commit |
| list_p99 | GET /v1/jobs?limit=50 | the bare driver reading the same 50 rows |

`python -m bench.control [--quick] [--store sqlite|postgres]`
"""

import argparse
import gc
import http.client
import json
import platform
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx2
import psycopg
from bench.history import PROJECT, fill, fund, size_bytes
from bench.rig import Rig
from tests.postgres import Postgres

from hutong.adapters.store.open import open_store
from hutong.adapters.telemetry.logs import configure_logs
from hutong.config import Settings, now_ms
from hutong.core.book.snapshot import Limits
from hutong.core.control.rules import Rules
from hutong.core.kernel.ids import SiteId
from hutong.server.api.wishes import make_wish, read_spec
from hutong.server.heap import settle
from hutong.server.loop import Loop
from hutong.server.services import open_services

BJ = SiteId("bj")
LEVELS = {"0": 0, "1e5": 100_000, "1e6": 1_000_000}
DOCUMENT = {
    "name": "bench",
    "resources": {"accelerators": "H100:1"},
    "run": "python train.py --epochs 3",
    "max_duration": "1h",
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each is measured."""

    singles: int
    batches: int
    dispatches: int
    lists: int


FULL = Sizes(singles=1600, batches=6, dispatches=200, lists=300)
QUICK = Sizes(singles=320, batches=2, dispatches=15, lists=40)


def row(name: str, value: float, unit: str, baseline: str, baseline_value: float) -> None:
    """Print one figure; `ratio` is always such that more is better."""
    faster = value / baseline_value if unit == "1/s" else baseline_value / value
    print(
        json.dumps(
            {
                "name": name,
                "value": round(value, 3),
                "unit": unit,
                "baseline": baseline,
                "baseline_value": round(baseline_value, 3),
                "ratio": round(faster, 3),
            }
        ),
        flush=True,
    )


def percentile(values: list[float], share: float) -> float:
    """Return the value below which that share lies (nearest rank)."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Bare:
    """The store without the platform: the same bytes through the bare driver, as durable."""

    def __init__(self, url: str, folder: Path) -> None:
        self._lite = url.startswith("sqlite:")
        self._url = url
        if self._lite:
            self._base = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
        else:
            self._pg = psycopg.connect(url, autocommit=True)
        self._execute(
            "CREATE TABLE IF NOT EXISTS bare_jobs (id TEXT PRIMARY KEY, project TEXT, job TEXT, spec TEXT)"
        )
        self._execute(
            "CREATE TABLE IF NOT EXISTS bare_facts (job TEXT, seq INT, event TEXT, PRIMARY KEY (job, seq))"
        )
        self._count = 0

    def _execute(self, sql: str) -> None:
        if self._lite:
            self._base.execute(sql)
        else:
            self._pg.execute(sql)

    def _rows(self, count: int) -> tuple[list[tuple[str, ...]], list[tuple[str, int, str]]]:
        ids = [f"{self._count + n:026d}" for n in range(count)]
        self._count += count
        body = "x" * 600
        return [(i, "bench", body, body) for i in ids], [(i, 1, "x" * 100) for i in ids]

    def commit(self, count: int) -> None:
        """Insert `count` jobs with a fact each in one durable transaction."""
        jobs, facts = self._rows(count)
        mark = "?" if self._lite else "%s"
        sql = (
            f"INSERT INTO bare_jobs VALUES ({mark}, {mark}, {mark}, {mark})",
            f"INSERT INTO bare_facts VALUES ({mark}, {mark}, {mark})",
        )
        if self._lite:
            self._base.execute("BEGIN IMMEDIATE")
            self._base.executemany(sql[0], jobs)
            self._base.executemany(sql[1], facts)
            self._base.execute("COMMIT")
        else:
            with self._pg.transaction(), self._pg.cursor() as cursor:
                cursor.executemany(sql[0], jobs)
                cursor.executemany(sql[1], facts)

    def page(self) -> None:
        """Read the newest fifty jobs as the API does: two text columns of each."""
        sql = "SELECT id, job, spec FROM jobs WHERE project = 'bench' ORDER BY id DESC LIMIT 50"
        if self._lite:
            with sqlite3.connect(self._url.removeprefix("sqlite:///")) as base:
                base.execute(sql).fetchall()
        else:
            self._pg.execute(sql).fetchall()

    def rate(self, count: int, size: int) -> float:
        """Return jobs a second when `count` commits of `size` jobs follow each other."""
        begin = time.perf_counter()
        for _ in range(count):
            self.commit(size)
        return count * size / (time.perf_counter() - begin)

    def close(self) -> None:
        """Let go of the connection."""
        (self._base if self._lite else self._pg).close()


def times_ms(count: int, work: Callable[[], object]) -> list[float]:
    """Return how long each of `count` calls took."""
    taken = []
    for _ in range(count):
        begin = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begin) * 1000)
    return taken


def in_parallel(callers: int, count: int, work: Callable[[int], None]) -> float:
    """Return calls a second of `work(times)` shared by that many threads."""
    each = count // callers
    begin = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(work, [each] * callers))
    return each * callers / (time.perf_counter() - begin)


def submit_singles(url: str, folder: Path, sizes: Sizes) -> float:
    """Return jobs a second, one at a time, through what stands behind the route."""
    services = open_services(Settings.load(folder, database=url))

    def work(count: int) -> None:
        for _ in range(count):
            wish = make_wish(services, "admin", PROJECT, read_spec(DOCUMENT))
            assert not services.submissions.add(wish).result().submission.repeated

    try:
        work(20)  # connections and pages come in
        return in_parallel(64, sizes.singles * 4, work)
    finally:
        services.close()


def submit_over_http(rig: Rig, sizes: Sizes) -> float:
    """Return jobs a second over HTTP, one a request; a bare client, since it shares the machine."""
    body = json.dumps({"project": PROJECT, "spec": DOCUMENT})
    headers = {"authorization": f"Bearer {rig.token}", "content-type": "application/json"}

    def work(count: int) -> None:
        line = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=60)
        for _ in range(count):
            line.request("POST", "/v1/jobs", body, headers)
            answer = line.getresponse()
            text = answer.read()
            assert answer.status == 201, text
        line.close()

    return in_parallel(16, sizes.singles, work)


def submit_batches(rig: Rig, sizes: Sizes) -> float:
    """Return jobs a second over HTTP, a thousand a request."""
    body = {"jobs": [{"project": PROJECT, "spec": DOCUMENT}] * 1000}
    with rig.client() as client:
        begin = time.perf_counter()
        for _ in range(sizes.batches):
            answer = client.post("/v1/jobs/batch", json=body)
            assert answer.status_code == 201, answer.text
        return sizes.batches * 1000 / (time.perf_counter() - begin)


def submit_arrays(rig: Rig, sizes: Sizes) -> float:
    """Return jobs a second over HTTP, a thousand a request as one array."""
    body = {"project": PROJECT, "spec": {**DOCUMENT, "array": "0-999"}}
    with rig.client() as client:
        begin = time.perf_counter()
        for _ in range(sizes.batches):
            answer = client.post("/v1/arrays", json=body)
            assert answer.status_code == 201, answer.text
        return sizes.batches * 1000 / (time.perf_counter() - begin)


@contextmanager
def like_the_loop() -> Iterator[None]:
    """Collect garbage as the loop's process does."""
    before = gc.get_threshold()
    settle()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def place_all(url: str) -> float:
    """Return placements a second through the loop's own turns, each durable; a small first one warms up."""
    store = open_store(url)
    try:
        store.report(BJ, [], None, now_ms())
        loop = Loop(store, Rules(), now_ms, "bench", Limits(due=10, queue=10))
        loop.step()
        loop.limits = Limits()
        placed = 0
        with like_the_loop():
            begin = time.perf_counter()
            while written := loop.step():
                placed += written
            taken = time.perf_counter() - begin
        store.lead("bench", now_ms(), 0)
        if not placed:
            raise RuntimeError("nothing was placed")
        return placed / taken
    finally:
        store.close()


def dispatch_ms(rig: Rig, site_token: str, sizes: Sizes) -> list[float]:
    """Return the time from each submission to its start command being in the agent's hands."""
    rig.start("loop")
    arrived: dict[str, float] = {}
    stop = threading.Event()

    def listen() -> None:
        after = 0
        with rig.client(site_token) as client:
            while not stop.is_set():
                asked = {"after": after, "limit": 1000, "wait_s": 1.0}
                commands = client.post("/v1/agent/take", json=asked).json()["commands"]
                now = time.perf_counter()
                for command in commands:
                    arrived.setdefault(command["job"], now)
                    after = max(after, command["id"])

    listener = threading.Thread(target=listen)
    listener.start()
    taken = []
    try:
        with rig.client() as client:
            for number in range(sizes.dispatches + 3):
                begin = time.perf_counter()
                job = client.post("/v1/jobs", json={"project": PROJECT, "spec": DOCUMENT}).json()["id"]
                deadline = begin + 30
                while job not in arrived and time.perf_counter() < deadline:
                    time.sleep(0.001)
                if number >= 3:  # the loop's process takes its lead first
                    taken.append((arrived[job] - begin) * 1000)
    finally:
        stop.set()
        listener.join()
        rig.stop("loop")
    return taken


def measure(kind: str, url: str, level: str, folder: Path, sizes: Sizes) -> None:
    """Print every row of one store at one level of history."""
    with Rig(folder, url) as rig:
        site_token = rig.set_up()
        start = now_ms()
        if LEVELS[level]:
            fill(url, BJ, LEVELS[level], start)
        else:
            store = open_store(url)
            fund(store, start)
            store.close()
        bare = Bare(url, folder)
        names = {"sqlite": "bare sqlite3", "postgres": "bare psycopg"}
        name, tail = names[kind], f"{level}_{kind}"
        single, batch = bare.rate(min(sizes.singles, 300), 1), bare.rate(sizes.batches, 1000)
        each = f"{name}, a commit each"
        row(f"submit_single_{tail}", submit_singles(url, folder, sizes), "1/s", each, single)
        row(f"submit_http_{tail}", submit_over_http(rig, sizes), "1/s", each, single)
        row(f"submit_batch_{tail}", submit_batches(rig, sizes), "1/s", f"{name}, 1,000 a commit", batch)
        row(f"placements_{tail}", place_all(url), "1/s", f"{name}, 1,000 a commit", batch)
        row(f"submit_array_{tail}", submit_arrays(rig, sizes), "1/s", f"{name}, 1,000 a commit", batch)
        row(f"placements_array_{tail}", place_all(url), "1/s", f"{name}, 1,000 a commit", batch)
        with rig.client() as client:
            lists = times_ms(
                sizes.lists, lambda: client.get("/v1/jobs", params={"project": PROJECT, "limit": 50}).json()
            )
        pages = times_ms(sizes.lists, bare.page)
        row(f"list_p99_{tail}", percentile(lists, 0.99), "ms", f"{name}, same rows", percentile(pages, 0.99))
        commits = times_ms(50, lambda: bare.commit(1))
        taken = dispatch_ms(rig, site_token, sizes)
        for share, label in ((0.5, "p50"), (0.99, "p99")):
            of_commit = percentile(commits, share)
            row(f"dispatch_{label}_{tail}", percentile(taken, share), "ms", f"{name}, one commit", of_commit)
        bare.close()
        print(json.dumps({"note": f"store_{tail}", "bytes": size_bytes(url)}), file=sys.stderr, flush=True)


@contextmanager
def database(kind: str) -> Iterator[Callable[[Path], str]]:
    """Yield a maker of empty databases, all durable."""
    if kind == "sqlite":
        yield lambda folder: f"sqlite:///{folder / 'hutong.sqlite'}"
        return
    with Postgres(durable=True) as server:
        yield lambda _: server.new_database()


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="less of everything: SQLite with 0 and 10^5, PostgreSQL with 0; within 50 s",
    )
    parser.add_argument("--store", choices=["sqlite", "postgres"], help="only this store")
    parser.add_argument("--level", choices=list(LEVELS), help="only this history")
    told = parser.parse_args()
    configure_logs("WARNING")
    sizes = QUICK if told.quick else FULL
    machine = f"{platform.machine()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    parts = ", ".join(f"{name} {version(name)}" for name in ("sqlalchemy", "psycopg", "fastapi", "uvicorn"))
    print(json.dumps({"note": "machine", "is": f"{machine}, {parts}"}), file=sys.stderr, flush=True)
    for kind in [told.store] if told.store else ["sqlite", "postgres"]:
        shortened = ["0", "1e5"] if kind == "sqlite" else ["0"]
        levels = [told.level] if told.level else (shortened if told.quick else list(LEVELS))
        with database(kind) as make:
            for level in levels:
                folder = Path(tempfile.mkdtemp(prefix="hutong-bench-"))
                try:
                    measure(kind, make(folder), level, folder, sizes)
                finally:
                    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except httpx2.HTTPError as error:
        sys.exit(f"the platform did not answer: {error}")
