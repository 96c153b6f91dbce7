"""Finished jobs by the million: one job goes the whole way through the real code, then its rows are cloned.

A clone has every row of the original (facts, receipt, usage, transaction, entries, hold) under a name of its own,
so that the store is as large as after a million real jobs. Balances are brought up to the cloned entries.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg

from hutong.adapters.store.open import open_store
from hutong.core.book.money import ISSUED, Entry, Lot, LotKind, Txn, lot_account
from hutong.core.book.snapshot import Limits
from hutong.core.book.store import NewJob, Store
from hutong.core.control.rules import Rules
from hutong.core.kernel.ids import JobId, LotId, ProjectId, SiteId, attempt_key
from hutong.core.work import facts as f
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources
from hutong.core.work.states import AttemptState, Category
from hutong.server.loop import Loop

FIRST = JobId("01" + "0" * 24)
PROJECT = ProjectId("bench")
MICRO = 1_000_000
_TABLES = ("jobs", "facts", "receipts", "txns", "entries", "holds", "usage")
SPEC = JobSpec(
    "finished", JobType.TASK, 1, Resources((Ask("H100", 1),)), "python train.py --epochs 3", max_duration_s=3600
)  # fmt: skip


def finish_one(store: Store, site: SiteId, start_ms: int) -> None:
    """Take one job from its wish to its end, an hour ago, with the platform's own code."""
    now = start_ms
    loop = Loop(store, Rules(), lambda: now, "history", Limits())
    store.submit([NewJob(FIRST, PROJECT, SPEC, "ada", "sha256:0")], now)
    key = attempt_key(FIRST, 1)
    store.report(site, [], None, now)
    loop.step()
    store.take(site, 0, 10, now)
    ended = f.Ended(
        1, AttemptState.SUCCEEDED, Category.NONE, "", now, now + 60_000, 60_000, (f.RankExit(0, 0),)
    )
    events = (f.Accepted(1, "1", adopted=False), f.Started(1, now), ended, f.Collected(1, (), 1000))
    store.report(site, [f.Report(key, event) for event in events], None, now + 61_000)
    now += 62_000
    loop.step()
    row = store.job(FIRST)
    if row is None or not row.job.final:
        raise RuntimeError(f"the model job did not end: {row}")
    store.lead("history", now, 0)


def fund(store: Store, start_ms: int) -> None:
    """Give the project so much that no job of a benchmark waits for money."""
    lot = Lot(LotId("award-bench"), PROJECT, LotKind.AWARD, MICRO, 0, 2 * start_ms)
    amount = 10**12 * MICRO
    entries = (Entry(ISSUED, -amount), Entry(lot_account(lot.id), amount))
    store.open_lot(lot, Txn("award:bench", "award", PROJECT, start_ms, "bench", entries))


def clone(url: str, count: int) -> None:
    """Clone the first job `count - 1` times, so that the store has `count` finished jobs."""
    if count < 2:
        return
    if url.startswith("sqlite:"):
        _clone_sqlite(url.removeprefix("sqlite:///"), count)
    else:
        _clone_postgres(url, count)


def _statement(
    table: str, columns: list[tuple[str, str]], numbers: str, name: str, blob: Callable[[str], str]
) -> str:
    """Return an INSERT that repeats the rows of the first job for each number, under new names."""
    fresh = []
    for column, kind in columns:
        if kind == "text":
            fresh.append(_renamed(f"t.{column}", name))
        elif kind == "blob":
            fresh.append(blob(f"t.{column}"))
        else:
            fresh.append(f"t.{column}")
    names = ", ".join(column for column, _ in columns)
    where = " OR ".join(
        f"t.{column} LIKE '%{FIRST.lower()}%' OR t.{column} LIKE '%{FIRST}%'"
        for column, kind in columns
        if kind == "text"
    )
    source = f"{table} t"
    return f"INSERT INTO {table} ({names}) SELECT {', '.join(fresh)} FROM {numbers} n, (SELECT * FROM {source} WHERE {where}) t"


def _renamed(text: str, name: str) -> str:
    return f"replace(replace({text}, '{FIRST}', {name}), '{FIRST.lower()}', lower({name}))"


def _clone_sqlite(path: str, count: int) -> None:
    name = "('01' || printf('%024d', n.i))"
    numbers = f"(WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {count - 1}) SELECT i FROM s)"
    with sqlite3.connect(path, isolation_level=None) as base:
        base.execute("PRAGMA synchronous=OFF")
        base.execute("PRAGMA cache_size=-400000")
        base.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            info = base.execute(f"PRAGMA table_info({table})").fetchall()
            kinds = {"TEXT": "text", "BLOB": "blob"}
            columns = [(row[1], kinds.get(row[2].split(" ")[0], "other")) for row in info]
            base.execute(
                _statement(
                    table, columns, numbers, name,
                    lambda text: f"CAST({_renamed(f'CAST({text} AS TEXT)', name)} AS BLOB)",
                )
            )  # fmt: skip
        _balance(base.execute)
        base.execute("COMMIT")
        base.execute("ANALYZE")
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _clone_postgres(url: str, count: int) -> None:
    name = "('01' || lpad(n.i::text, 24, '0'))"
    numbers = f"(SELECT generate_series(1, {count - 1}) AS i)"
    with psycopg.connect(url) as base:
        # The cloned rows are copies of rows that passed the triggers.
        base.execute("SET session_replication_role = replica")
        for table in _TABLES:
            info = base.execute(
                "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s",
                (table,),
            ).fetchall()
            kinds = {"text": "text", "bytea": "blob"}
            columns = [(row[0], kinds.get(row[1], "other")) for row in info]
            sql = _statement(
                table, columns, numbers, name,
                lambda text: f"convert_to({_renamed(f'''convert_from({text}, 'UTF8')''', name)}, 'UTF8')",
            )  # fmt: skip
            base.execute(sql)
        _balance(base.execute)
    with psycopg.connect(url, autocommit=True) as base:
        base.execute("VACUUM (ANALYZE)")


def _balance(execute: Callable[[str], object]) -> None:
    execute(
        "UPDATE accounts SET posted_micro = (SELECT sum(e.amount_micro) FROM entries e WHERE e.account = accounts.id)"
        " WHERE id IN (SELECT account FROM entries)"
    )


def fill(url: str, site: SiteId, count: int, start_ms: int) -> None:
    """Fund the project and put `count` finished jobs into the store at `url`; the site must be registered."""
    store = open_store(url)
    try:
        fund(store, start_ms)
        if count:
            finish_one(store, site, start_ms - 3_600_000)
    finally:
        store.close()
    clone(url, count)
    os.sync()  # or the disk still writes the history while the platform is measured


def size_bytes(url: str) -> int:
    """Return how large the store is on disk."""
    if url.startswith("sqlite:"):
        path = Path(url.removeprefix("sqlite:///"))
        return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))
    with psycopg.connect(url) as base:
        row = base.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0
