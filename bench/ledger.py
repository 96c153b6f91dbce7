"""Hold and settle pairs of the ledger, beside bare PostgreSQL writing the same rows in the same run.

Row `pairs`: many threads, 200 lots, 30 % of the messages twice. Row `hot_lot`: one lot for all. The bare side
does the same statements' worth of rows by hand: the rows of transaction, entries, hold, parts and usage and the
moves of the balances, in as many transactions, with as many threads, as durable, without any rule.
"""

import argparse
import random
import threading
import time
from collections.abc import Callable

import psycopg
from bench.rows import told
from psycopg import Connection
from tests.postgres import Postgres

from hutong.adapters.store.open import open_store
from hutong.core.book.money import (
    ISSUED,
    REVENUE,
    Entry,
    HoldChange,
    HoldPart,
    Lot,
    LotKind,
    Posting,
    Txn,
    UsageRecord,
    lot_account,
)
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import LotId, ProjectId

NOW_MS = 1_780_000_000_000
AGAIN = 0.3
HELD, CHARGE = 100, 60
BARE = """
CREATE TABLE bare_accounts (id TEXT COLLATE "C" PRIMARY KEY, posted BIGINT NOT NULL, held BIGINT NOT NULL);
CREATE TABLE bare_txns (id TEXT COLLATE "C" PRIMARY KEY, kind TEXT, project TEXT COLLATE "C", effective_ms BIGINT,
  cause TEXT COLLATE "C");
CREATE INDEX ON bare_txns (project, id);
CREATE INDEX ON bare_txns (project, effective_ms);
CREATE INDEX ON bare_txns (cause, id);
CREATE TABLE bare_entries (txn TEXT COLLATE "C", n BIGINT, account TEXT COLLATE "C", amount BIGINT, PRIMARY KEY (txn, n));
CREATE INDEX ON bare_entries (account, amount);
CREATE TABLE bare_holds (key TEXT COLLATE "C" PRIMARY KEY, project TEXT COLLATE "C", closed BOOLEAN);
CREATE INDEX ON bare_holds (project, key) WHERE NOT closed;
CREATE TABLE bare_parts (key TEXT COLLATE "C", lot TEXT COLLATE "C", n BIGINT, amount BIGINT, PRIMARY KEY (key, lot));
CREATE TABLE bare_usage (id TEXT COLLATE "C" PRIMARY KEY, project TEXT COLLATE "C", key TEXT COLLATE "C", site TEXT,
  sku TEXT, unit TEXT, quantity BIGINT, price BIGINT, per BIGINT, charge BIGINT, from_ms BIGINT, upto_ms BIGINT);
CREATE INDEX ON bare_usage (project, id);
CREATE INDEX ON bare_usage (project, upto_ms);
CREATE INDEX ON bare_usage (key, id)
"""


def lot_of(n: int) -> tuple[LotId, ProjectId]:
    return LotId(f"lot-{n:04d}"), ProjectId(f"project-{n:04d}")


def fund(store: Store, count: int, amount: int) -> None:
    for n in range(count):
        name, project = lot_of(n)
        legs = (Entry(ISSUED, -amount), Entry(lot_account(name), amount))
        lot = Lot(name, project, LotKind.AWARD, 1_000_000, 0, NOW_MS * 2)
        store.open_lot(lot, Txn(f"fill:{name}", "award", project, NOW_MS, f"lot:{name}", legs))


def hold(key: str, n: int) -> Posting:
    name, project = lot_of(n)
    return Posting(holds=(HoldChange(key, project, (HoldPart(name, HELD),)),))


def settle(key: str, n: int) -> Posting:
    name, project = lot_of(n)
    legs = (Entry(lot_account(name), -CHARGE), Entry(REVENUE, CHARGE))
    txn = Txn(f"use:{key}", "tokens", project, NOW_MS, key, legs)
    back = HoldChange(key, project, (HoldPart(name, -HELD),), closes=True)
    used = UsageRecord(f"use:{key}", project, key, "bj", "m", "token_in", 6, 10, 1, CHARGE, NOW_MS, NOW_MS)
    return Posting((txn,), (back,), (used,))


def in_threads(threads: int, count: int, work: Callable[[int, random.Random], None]) -> float:
    """Run `work` for each number, shared out over threads; return how long it took in seconds."""
    failures: list[Exception] = []

    def some(first: int) -> None:
        chance = random.Random(first)
        try:
            for n in range(first, count, threads):
                work(n, chance)
        except Exception as error:  # noqa: BLE001 - raised below, in the main thread
            failures.append(error)

    running = [threading.Thread(target=some, args=(n,)) for n in range(threads)]
    start = time.perf_counter()
    for each in running:
        each.start()
    for each in running:
        each.join()
    if failures:
        raise failures[0]
    return time.perf_counter() - start


def ours(store: Store, lots: int, threads: int, count: int, mark: str) -> float:
    """Return pairs a second through the store; each message comes again with a chance of 30 %."""

    def pair(n: int, chance: random.Random) -> None:
        key = f"{mark}-{n:07d}"
        opening, closing = hold(key, n % lots), settle(key, n % lots)
        store.post(opening)
        if chance.random() < AGAIN:
            try:
                store.post(opening)
                raise AssertionError("a hold opened twice")
            except Conflict:
                pass
        if not store.post(closing):
            raise AssertionError("a settlement was lost")
        if chance.random() < AGAIN and store.post(closing):
            raise AssertionError("a settlement counted twice")

    return count / in_threads(threads, count, pair)


def bare(url: str, lots: int, threads: int, count: int, mark: str) -> float:
    """Return pairs a second of the same rows by hand; a repeat is a look for its row."""
    local = threading.local()

    def connection() -> Connection[tuple[object, ...]]:
        if not hasattr(local, "connection"):
            local.connection = psycopg.connect(url)
        found: Connection[tuple[object, ...]] = local.connection
        return found

    def pair(n: int, chance: random.Random) -> None:
        key, (lot, project) = f"{mark}-{n:07d}", lot_of(n % lots)
        move = "UPDATE bare_accounts SET posted = posted + %s, held = held + %s WHERE id = %s"
        here = connection()
        with here.transaction():
            here.execute("INSERT INTO bare_holds VALUES (%s, %s, false)", (key, project))
            here.execute("INSERT INTO bare_parts VALUES (%s, %s, 0, %s)", (key, lot, HELD))
            here.execute(move, (0, HELD, lot))
        if chance.random() < AGAIN:
            with here.transaction():
                here.execute("SELECT * FROM bare_holds WHERE key = %s", (key,)).fetchone()
        with here.transaction():
            here.execute(
                "INSERT INTO bare_txns VALUES (%s, 'tokens', %s, %s, %s)", (key, project, NOW_MS, key)
            )
            legs = [(key, 0, lot, -CHARGE), (key, 1, REVENUE, CHARGE)]
            here.cursor().executemany("INSERT INTO bare_entries VALUES (%s, %s, %s, %s)", legs)
            use = (key, project, key, CHARGE, NOW_MS, NOW_MS)
            here.execute(
                "INSERT INTO bare_usage VALUES (%s, %s, %s, 'bj', 'm', 'token_in', 6, 10, 1, %s, %s, %s)", use
            )
            here.execute("UPDATE bare_holds SET closed = true WHERE key = %s", (key,))
            here.execute("DELETE FROM bare_parts WHERE key = %s", (key,))
            here.execute(move, (-CHARGE, -HELD, lot))
            here.execute(move, (CHARGE, 0, REVENUE))
        if chance.random() < AGAIN:
            with here.transaction():
                here.execute("SELECT id FROM bare_txns WHERE id = %s", (key,)).fetchone()

    return count / in_threads(threads, count, pair)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds instead of a minute")
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=0)
    given = parser.parse_args()
    count = given.pairs or (800 if given.quick else 10_000)
    with Postgres(durable=True) as server:
        for name, lots in (("pairs", 200), ("hot_lot", 1)):
            url, plain = server.new_database(), server.new_database()
            store = open_store(url)
            fund(store, lots, 10**9)
            with psycopg.connect(plain, autocommit=True) as connection:
                connection.execute(BARE)
                accounts = [(lot_of(n)[0],) for n in range(lots)] + [(REVENUE,)]
                connection.cursor().executemany(
                    "INSERT INTO bare_accounts VALUES (%s, 1000000000, 0)", accounts
                )
            ours(store, lots, given.threads, count // 10, "warm")
            bare(plain, lots, given.threads, count // 10, "warm")
            value = ours(store, lots, given.threads, count, "run")
            against = bare(plain, lots, given.threads, count, "run")
            faults = store.check_ledger().faults
            assert not faults, faults
            store.close()
            told(f"ledger_{name}", value, "1/s", "bare PostgreSQL, the same rows", round(against, 1))


if __name__ == "__main__":
    main()
