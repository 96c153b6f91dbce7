"""Whether a turn's cost depends on how many jobs are queued: the snapshot and the turn, 10^3 to 10^6 behind the head.

`python -m bench.queued [--quick]` prints JSON lines: decisions a second of a snapshot from SQLite and a whole turn on
it, each with the figure for 1,000 queued jobs as its baseline. The jobs are submitted through the store; that they are
queued is then written in one statement, for a million turns of the real way would take most of an hour.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa
from bench.placement import CHIPS, MICRO, NOW_MS, scene
from bench.rows import told

from hutong.adapters.store.open import open_store
from hutong.core.book.money import ISSUED, Entry, Txn, lot_account
from hutong.core.book.snapshot import Limits
from hutong.core.book.store import NewJob, Record, Store
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.documents import to_document
from hutong.core.kernel.ids import JobId, ProjectId, ulid
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources

PROJECTS = 20
BATCH = 5_000
TURNS = 5


def fill(store: Store, url: str, first: int, count: int) -> None:
    """Queue so many jobs, the first of them so many after those that are there."""
    specs = [
        JobSpec(
            f"q{n}", JobType.TASK, 1 + n % 4, Resources((Ask(CHIPS[n % 4], 1 + n % 8),)), "true",
            max_duration_s=3600,
        )
        for n in range(50)
    ]  # fmt: skip
    for start in range(first, first + count, BATCH):
        some = range(start, min(start + BATCH, first + count))
        wishes = [
            NewJob(
                JobId(ulid(n, b"0123456789")), ProjectId(f"p{n % PROJECTS}"), specs[n % 50], "ada", "sha256:0"
            )
            for n in some
        ]
        store.submit(wishes, NOW_MS - 60_000)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE jobs SET state = 'QUEUED', seq = 2, due_ms = NULL, queued_ms = submitted_ms, "
                "job = json_set(job, '$.state', 'QUEUED', '$.seq', 2, '$.queued_ms', submitted_ms) "
                "WHERE state <> 'QUEUED'"
            )
        )
    engine.dispose()


def set_up(store: Store) -> None:
    """Enter the sites of `bench.placement`, within reach, and projects with money."""
    shot = scene(20, 100, PROJECTS)
    for site in shot.sites:
        document = to_document(site)
        if not isinstance(document, dict):
            raise TypeError(site.id)
        store.put(Record("site", site.id, document))
        store.report(site.id, [], None, NOW_MS)
    for project, (lot,) in shot.lots.items():
        store.put(Record("project", project, {"institution": f"i{int(project[1:]) % 5}"}))
        amount = 10**9 * MICRO
        entries = (Entry(ISSUED, -amount), Entry(lot_account(lot.id), amount))
        empty = lot.__class__(lot.id, lot.project, lot.kind, lot.rate_ppm, lot.starts_ms, lot.ends_ms)
        store.open_lot(empty, Txn(f"award:{project}", "award", project, NOW_MS, "bench", entries))


def rate(store: Store) -> float:
    """Return decisions a second of snapshots and turns; nothing is written, so each turn is the same."""
    rules = Rules()
    turn(store.snapshot(NOW_MS, Limits()), rules)
    began, decided = time.perf_counter(), 0
    for _ in range(TURNS):
        decided += len(turn(store.snapshot(NOW_MS, Limits()), rules).jobs)
    if decided != TURNS * Limits().queue:
        raise RuntimeError(f"{decided} decisions in {TURNS} turns")
    return decided / (time.perf_counter() - began)


def main() -> None:
    """Print a row for each length of the queue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="to 100,000 queued only")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as folder:
        url = f"sqlite:///{Path(folder) / 'book.sqlite'}"
        store = open_store(url)
        set_up(store)
        there, first = 0, None
        for queued in (1_000, 10_000, 100_000) if quick else (1_000, 10_000, 100_000, 1_000_000):
            fill(store, url, there, queued - there)
            there = queued
            found = rate(store)
            first = first or found
            told(f"decisions_queued_{queued}", found, "1/s", "1,000 queued", round(first, 1))
        store.close()
    print(json.dumps({"note": "20 sites, 100 pools, SQLite on a disk, one process"}))


if __name__ == "__main__":
    main()
