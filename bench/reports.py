"""Reports over a year of jobs on 30 sites: how fast sums are kept, each report's latency, size of the store.

Made up, by seed: jobs of log-normal length over a year, 500 projects of 200 institutions. Usage records go
into their table by bulk, as posting each would take hours, and the product's own rebuild makes their sums.
How fast sums are kept is measured apart, by `count_booked` in transactions of `AT_ONCE` new records, as
posting does. What jobs told of their waits, money, and what agents saw by the hour, are added to their sums by
the store's own way, without jobs, transactions and reports. CPU is ours and that of the database's processes together. Baseline: DuckDB
over the same records in memory (`run_duckdb.py`), which scans them all for each question. `--quick` has 10^4 jobs.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from functools import partial
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
import sqlalchemy as sa
from bench.rows import told
from tests.postgres import Postgres

from hutong.adapters.store.open import open_store
from hutong.adapters.store.rollups import add_rows, count_booked
from hutong.adapters.store.sql import SqlStore
from hutong.core.accounts.registry import Institution, InstitutionKind, Project
from hutong.core.book import rollups as r
from hutong.core.book.money import UsageRecord
from hutong.core.book.sealed import PoolHour
from hutong.core.book.store import Record
from hutong.core.book.waits import bucket_of
from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.kernel.ids import PoolId, ProjectId, SiteId
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.core.reports.kinds import NAMES
from hutong.server.registry import document
from hutong.server.reports.making import make

FIRST_MS = 1_735_660_800_000  # 2025-01-01 in Shanghai
NOW_MS = FIRST_MS + 365 * DAY_MS
ZONE = "Asia/Shanghai"
MODELS = ("A100", "H20", "Ascend910B", "MLU370")
SITES, PROJECTS, INSTITUTIONS = 30, 500, 200
AT_ONCE = 5000
GOAL_MS = 300
SPANS = {"month": ("2025-06-01", "2025-07-01"), "year": ("2025-01-01", "2026-01-01")}
COUNTED = ("site", "sku", "quantity", "charge_micro", "energy_j", "green_j", "co2_mg", "upto_ms")
USED = tuple(each.name for each in fields(UsageRecord))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument(
        "--duckdb", type=Path, default=Path(".venv-focus/bin/python"), help="a Python with DuckDB"
    )
    args = parser.parse_args()
    jobs = args.jobs or (10_000 if args.quick else 1_000_000)
    with Postgres() as server:
        url = server.new_database()
        store = open_store(url, ZONE)
        assert isinstance(store, SqlStore)
        try:
            people(store)
            fill(store, url, jobs)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
            sizes(url)
            ours = latencies(store, url, args.times)
            keeping(store, url)
            duck(args.duckdb, url, args.times, ours)
        finally:
            store.close()


def people(store: SqlStore) -> None:
    """Register who is there."""
    kinds = [each for each in InstitutionKind if each is not InstitutionKind.OPERATOR]
    for at in range(INSTITUTIONS):
        uscc = f"91{110_101 + at % 16}{at:010d}"
        one = Institution(f"i{at:03}", kinds[at % len(kinds)], f"机构{at}", f"Institution {at}", uscc)
        store.put(Record("institution", one.id, document(one)))
    for at in range(PROJECTS):
        owner = f"i{at % INSTITUTIONS:03}"
        project = Project(f"p{at:03}", owner, f"Project {at}")
        store.put(Record("project", project.id, document(project), owner))
    supply = Supply((400_000,) * 24, (500,) * 24, "made up", synthetic=True)
    for at in range(SITES):
        pool = Pool(PoolId("main"), MODELS[at % 4], 64, 8, 10_000_000, 1250, "cuda")
        site = Site(SiteId(f"s{at:02}"), "中心", "Site", "beijing", 10, "slurm", (pool,), supply)
        store.put(Record("site", site.id, document(site)))
    store.note_pools(FIRST_MS - 1)


def records(jobs: int) -> Iterator[list[UsageRecord]]:
    """Yield the year's records in order of time, so many at once."""
    random = np.random.default_rng(7)
    starts = np.sort(random.integers(0, 365 * DAY_MS - 2 * DAY_MS, jobs)) + FIRST_MS
    lengths = np.clip(random.lognormal(8.3, 1.4, jobs) * 1000, 10_000, 2 * DAY_MS).astype(np.int64)
    cards = 2 ** random.integers(0, 6, jobs)
    sites = random.integers(0, SITES, jobs)
    projects = np.minimum(random.zipf(1.4, jobs) - 1, PROJECTS - 1)
    people_ = random.integers(0, 10, jobs)
    some: list[UsageRecord] = []
    columns = (starts, lengths, cards, sites, projects, people_)
    for at, row in enumerate(zip(*(each.tolist() for each in columns), strict=True)):
        start, length, count, site, project, person = row
        card_ms = count * length
        joules = card_ms * 600 // 1000
        record = UsageRecord(
            f"use:{at:09}", ProjectId(f"p{project:03}"), f"{at:09}", f"s{site:02}", MODELS[site % 4], "card_ms",
            card_ms, 10_000_000, HOUR_MS, card_ms * 10_000_000 // HOUR_MS, start, start + length, joules,
            joules * 2 // 5, joules * 500 // 3600, "bench", person=f"u{project:03}-{person}",
        )  # fmt: skip
        some.append(record)
        if len(some) == AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def fill(store: SqlStore, url: str, jobs: int) -> None:
    """Write the records, and make their sums."""
    random = np.random.default_rng(8)
    cells = attrgetter(*USED)
    names = ", ".join(f'"{name}"' for name in USED)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for some in records(jobs):
            with cursor.copy(f"COPY usage ({names}) FROM STDIN") as copy:
                for each in some:
                    copy.write_row(cells(each))
            connection.commit()
    began = time.perf_counter()
    store.rebuild_rollups()
    told("report_rebuild_rate", jobs / (time.perf_counter() - began), "records/s")
    waits: r.Rows = {}
    money: r.Rows = {}
    for some in records(jobs):
        for all_, more in ((waits, waited(some, random)), (money, moved(some))):
            for key, sums in more.items():
                r.add(all_, key, sums)
    seen = r.seen_rows(hours_seen(jobs))
    for family, rows in ((r.WORK, waits), (r.MONEY, money), (r.SEEN, seen)):
        for part in _parts(rows):
            store._db.write(partial(added, family, part))


def hours_seen(jobs: int) -> Iterator[PoolHour]:
    """Yield what agents saw of the sites by the hour: of the whole year, or (of few jobs) of June."""
    days = (0, 365) if jobs > 100_000 else (151, 181)
    first = FIRST_MS // HOUR_MS
    for hour in range(first + 24 * days[0], first + 24 * days[1]):
        for at in range(SITES):
            held = 512 * HOUR_MS * (at + 1) // (2 * SITES)
            busy, method = (held // 2, "npu-smi, sampled every 30 s") if at % 3 else (None, "")
            yield PoolHour(
                f"s{at:02}", "main", hour, 512, HOUR_MS, 0, held, 0, busy, method, 1, 0, MODELS[at % 4]
            )


def _parts(rows: r.Rows) -> Iterator[r.Rows]:
    items = sorted(rows.items())
    for at in range(0, len(items), 50_000):
        yield dict(items[at : at + 50_000])


def keeping(store: SqlStore, url: str) -> None:
    """Tell how fast the sums of new records are kept beside all that is there."""
    some = [each for part in records(4 * AT_ONCE) for each in part]
    random = np.random.default_rng(9)
    random.shuffle(some)
    for size in (100, AT_ONCE):
        count, wall_s, ours_s, theirs_s = 0, time.perf_counter(), time.process_time(), backend_s(url)
        for at in range(0, min(len(some), 100 * size), size):
            part = some[at : at + size]
            store._db.write(partial(counted, part))
            count += len(part)
        told(f"report_rollup_rate_{size}", count / (time.perf_counter() - wall_s), "records/s")
        told(
            f"report_rollup_cpu_{size}", 1e6 * (time.process_time() - ours_s) / count, "us of our CPU/record"
        )
        told(
            f"report_rollup_backend_{size}",
            1e6 * (backend_s(url) - theirs_s) / count,
            "us of PostgreSQL/record",
        )


def backend_s(url: str) -> float:
    """Return the CPU seconds of the database's processes that serve us; parallel workers are not in it."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(url) as connection:
        pids = [row[0] for row in connection.execute(query)]
    ticks = 0
    for pid in pids:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def counted(some: list[UsageRecord], connection: sa.Connection) -> None:
    """Add records to their sums."""
    count_booked(connection, some, ())


def added(family: r.Family, rows: r.Rows, connection: sa.Connection) -> None:
    """Add what jobs and transactions told."""
    add_rows(connection, family, rows)


def moved(some: list[UsageRecord]) -> r.Rows:
    """Return what paying for some records moved: of a lot in three of each project's."""
    rows: r.Rows = {}
    for at, each in enumerate(some):
        lot = ("award", "voucher", "topup")[at % 3]
        r.add(rows, (each.upto_ms // HOUR_MS, each.project, "usage", lot), (-each.charge_micro,))
    return rows


def waited(some: list[UsageRecord], random: np.random.Generator) -> r.Rows:
    """Return what the jobs of some records told: one in fifty left unstarted."""
    rows: r.Rows = {}
    waits = (random.lognormal(6, 2, len(some)) * 1000).astype(np.int64).tolist()
    for at, (each, wait_ms) in enumerate(zip(some, waits, strict=True)):
        what, why = ("gone", "cancelled:no_room") if at % 50 == 0 else ("started", "")
        kind = ("sme", "university", "research", "startup", "enterprise", "government")[
            int(each.project[1:]) % 6
        ]
        key = (each.from_ms // HOUR_MS, kind, each.sku, (1, 2, 9)[at % 3], what, why, bucket_of(wait_ms))
        r.add(rows, key, (1, wait_ms, each.quantity))
    return rows


def sizes(url: str) -> None:
    """Tell how large the tables are."""
    with psycopg.connect(url) as connection:
        for family in r.KEPT:
            query = f"SELECT pg_total_relation_size('{family.id}'), (SELECT count(*) FROM {family.id})"
            size, rows = connection.execute(query).fetchone() or (0, 0)
            told(f"report_size_{family.id}", size / 1e6, "MB")
            told(f"report_rows_{family.id}", rows, "rows")
        size, *_ = connection.execute("SELECT pg_total_relation_size('usage')").fetchone() or (0,)
        told("report_size_usage", size / 1e6, "MB")


def p95_ms(times: int, work: Callable[[], object]) -> float:
    """Return the 95th percentile of how long work takes."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - began))
    return statistics.quantiles(took, n=20)[-1] if len(took) > 1 else took[0]


def latencies(store: SqlStore, url: str, times: int) -> dict[tuple[str, str], float]:
    """Tell how long each report takes, over a year and over a month; return the p95 of each in milliseconds."""
    found: dict[tuple[str, str], float] = {}
    for name, days in SPANS.items():
        for kind in NAMES:

            def work(kind: str = kind, days: tuple[str, str] = days) -> object:
                return make(store, kind, days, (), zone=ZONE, issuer="bench", now_ms=NOW_MS)  # type: ignore[arg-type]

            ours_s, theirs_s = time.process_time(), backend_s(url)
            value = found[kind, name] = p95_ms(times, work)
            cpu_s = time.process_time() - ours_s + backend_s(url) - theirs_s
            told(f"report_p95_{kind}_{name}", value, "ms", "goal", GOAL_MS, less=True)
            told(f"report_cpu_{kind}_{name}", 1000 * cpu_s / times, "ms of CPU/report")
    return found


def duck(python: Path, url: str, times: int, ours: Mapping[tuple[str, str], float]) -> None:
    """Tell how long DuckDB takes to add the same records up by site and accelerator, beside our report of use."""
    if not python.exists():
        told("report_duckdb_missing", 1, f"`make focus` installs it: there is no {python}")
        return
    with TemporaryDirectory() as folder:
        file = Path(folder, "usage.csv")
        copy = f"COPY (SELECT {', '.join(COUNTED)} FROM usage) TO STDOUT (FORMAT csv, HEADER)"
        with (
            psycopg.connect(url) as connection,
            connection.cursor().copy(copy) as rows,
            file.open("wb") as out,
        ):
            for block in rows:
                out.write(block)
        spans = [str(each) for name, days in SPANS.items() for each in (name, *span_of(days))]
        command = [
            str(each) for each in (python, Path(__file__).with_name("run_duckdb.py"), file, times, *spans)
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    for name, took in json.loads(done.stdout).items():
        theirs = statistics.quantiles(took, n=20)[-1]
        told(f"report_use_{name}_beside_duckdb", ours["use", name], "ms", "DuckDB", theirs, less=True)


def span_of(days: tuple[str, str]) -> tuple[int, int]:
    """Return days of Shanghai as milliseconds."""
    begin, end = (datetime.fromisoformat(each).replace(tzinfo=ZoneInfo(ZONE)) for each in days)
    return int(begin.timestamp() * 1000), int(end.timestamp() * 1000)


if __name__ == "__main__":
    main()
