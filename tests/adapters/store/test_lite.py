"""SQLite past SQLAlchemy: the same rows are there, and come back, as through it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from book_samples import wish
from hypothesis import given
from hypothesis import strategies as st

from hutong.adapters.store.bulk import change_rows, fetch, insert_rows, merge_rows
from hutong.adapters.store.codec import decode_job, encode
from hutong.adapters.store.db import AMONG, among
from hutong.adapters.store.dialect import SqliteDatabase
from hutong.adapters.store.jobs import SAVE, fact_rows, saved, saved_all
from hutong.adapters.store.ledger_tables import accounts, holds
from hutong.adapters.store.sql import SqlStore
from hutong.adapters.store.tables import facts, jobs, receipts, shares, statuses
from hutong.core.kernel.errors import Later
from hutong.core.kernel.ids import JobId
from hutong.core.work.facts import Event, Fact, Placed, Queued, Submitted
from hutong.core.work.fold import Job, fold

BIG = (1 << 63) - 1
TEXTS = ("plain", 'a "quote", a \\ and a \n', "\u5317\u4eac \U0001f680", "a\x00b", "")
PLACED = Placed(1, "bj", "p0", "H100", 2, 16, 15_000_000, 1200, 700, 3_600_000)


def test_rows_are_those_that_sqlalchemy_writes(sqlite_path: Path) -> None:
    store = SqlStore(SqliteDatabase(sqlite_path))
    told: list[dict[str, Any]] = [{"name": text, "card_ms": BIG, "at_ms": n} for n, text in enumerate(TEXTS)]
    more = [{**each, "card_ms": 1, "at_ms": 9 - n} for n, each in enumerate(reversed(told))]
    ways: list[dict[str, Any]] = [{}, {"put": ("card_ms", "at_ms")}, {"put": ("at_ms",), "sooner": "at_ms"}]
    read = sa.select(shares).order_by(shares.c.name)
    for way in ways:
        with store._db.writer.connect() as connection:
            assert insert_rows(connection, shares, told)
            merge_rows(connection, shares, [*more, *more], ("name",), **way)
            found = {row.name: (row.card_ms, row.at_ms) for row in connection.execute(read)}
        for each in more:
            was = next((b["card_ms"], b["at_ms"]) for b in told if b["name"] == each["name"])
            sooner = "sooner" in way and each["at_ms"] >= was[1]
            put = {} if sooner else {name: each[name] for name in way.get("put", ())}
            assert found[each["name"]] == (put.get("card_ms", was[0]), put.get("at_ms", was[1])), way
    with store._db.writer.connect() as connection:
        assert insert_rows(connection, receipts, [{"key": "k", "body": bytes(range(256))}])
        assert fetch(connection, sa.select(receipts), {}) == [{"key": "k", "body": bytes(range(256))}]
        assert insert_rows(connection, accounts, [_account("a"), _account("b")])
        assert change_rows(connection, accounts, [{"name": "a", "more_held_micro": 2}] * 2), "each counts"
        assert [row["held_micro"] for row in fetch(connection, sa.select(accounts), {})] == [5, 1]
        assert not insert_rows(connection, facts, [{"job": "a"}, {"seq": 1}]), "columns must be the same"
        assert not change_rows(connection, accounts, [])
    store.close()


def _account(name: str) -> dict[str, object]:
    return {"id": name, "posted_micro": 9, "held_micro": 1, "floor_micro": None}


def test_what_is_fetched_is_what_sqlalchemy_fetches(sqlite_path: Path) -> None:
    store = SqlStore(SqliteDatabase(sqlite_path))
    with store._db.writer.begin() as connection:
        for n, name in enumerate(TEXTS):
            connection.execute(holds.insert(), {"key": name, "project": "p", "closed": bool(n % 2)})
        connection.execute(accounts.insert(), _account("a"))
        first = {"site": "bj", "seen_ms": 1, "observed_ms": 1, "agent": "", "isolation": ""}
        connection.execute(statuses.insert(), {**first, "pools": [{"pool": "p"}], "offers": None})
        by_name = sa.select(holds).order_by(holds.c.key.desc())
        counted = sa.select(holds.c.closed, sa.func.count().label("count")).group_by(holds.c.closed)
        asked: list[tuple[Any, dict[str, object]]] = [
            (by_name, {}),
            (among("sqlite", by_name, holds.c.key), {AMONG: [TEXTS[3], "none", TEXTS[0], "a"]}),
            (among("sqlite", by_name, holds.c.key), {AMONG: ["a"]}),
            (by_name.where(holds.c.project == "p").limit(sa.bindparam("most")), {"most": 2}),
            (counted.order_by(holds.c.closed), {}),
            (sa.select(accounts), {}),
            (sa.select(statuses), {}),
        ]
        for query, told in asked:
            expected = [dict(row) for row in connection.execute(query, told).mappings()]
            assert [dict(row) for row in fetch(connection, query, told)] == expected
            kinds = [[type(value) for value in row.values()] for row in expected]
            assert [[*map(type, row.values())] for row in fetch(connection, query, told)] == kinds
    store.close()


def test_trouble_past_sqlalchemy_is_told_in_our_words(sqlite_path: Path) -> None:
    """What the driver raises there is still translated: here a database that nobody may write."""
    store = SqlStore(SqliteDatabase(sqlite_path))

    def work(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=1")
        rows = [{"key": str(n), "body": bytes(9000)} for n in range(40)]
        insert_rows(connection, receipts, rows)

    with pytest.raises(Later, match="disk of the store is full"):
        store._db.write(work)
    store.close()


def _history(name: str, events: Sequence[Event], at_ms: int) -> Job:
    return fold(Fact(JobId(name), seq, at_ms, "test", each) for seq, each in enumerate(events, 1))


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
MOVES = st.sampled_from([(), (Queued(),), (Queued(), PLACED), (Queued(), replace(PLACED, cards=8))])


@given(
    st.lists(
        st.tuples(NAMES, MOVES, st.sampled_from(["ada", 'b"o']), st.integers(5, 6), st.none() | st.just(7)),
        max_size=12,
    )
)
def test_rows_of_jobs_that_are_alike_are_those_of_each(
    some: list[tuple[str, tuple[Event, ...], str, int, int | None]],
) -> None:
    pairs = [
        (_history(name, (Submitted(by, "d"), *moves), at_ms), due) for name, moves, by, at_ms, due in some
    ]
    assert saved_all(pairs) == [saved(job, due) for job, due in pairs]
    assert [decode_job(encode(job)) for job, _ in pairs] == [job for job, _ in pairs]
    told = [Fact(job.id, 1, 5, "s", event) for job, _ in pairs for event in (Queued(), PLACED)]
    assert fact_rows(told) == [row for fact in told for row in fact_rows([fact])]


def test_jobs_change_as_through_sqlalchemy(sqlite_path: Path) -> None:
    store = SqlStore(SqliteDatabase(sqlite_path))
    wishes = [wish(n) for n in range(3)]
    store.submit(wishes, 100)
    rows = [saved(_history(each.id, (Submitted("ada", "d"), Queued(), PLACED), 100), 7) for each in wishes]
    read = sa.select(jobs).order_by(jobs.c.id)
    found = []
    for past in (True, False):
        with store._db.writer.connect() as connection:
            if past:
                assert change_rows(connection, jobs, rows)
            else:
                connection.execute(SAVE, rows)
            found.append(connection.execute(read).all())
    store.close()
    assert found[0] == found[1]
    assert [row.cards for row in found[0]] == [16, 16, 16]
