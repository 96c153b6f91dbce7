"""Many rows in one statement: the database has what row by row would have left, or nothing of them."""

from typing import Any

import pytest
import sqlalchemy as sa
from book_samples import wish
from tests.postgres import Postgres

from hutong.adapters.store.bulk import change_of, change_rows, insert_rows, merge_rows, streaming
from hutong.adapters.store.db import rows_in, run_among
from hutong.adapters.store.dialect import PostgresDatabase
from hutong.adapters.store.jobs import SAVE, saved
from hutong.adapters.store.ledger_tables import accounts
from hutong.adapters.store.rollup_tables import first_uses
from hutong.adapters.store.sql import SqlStore
from hutong.adapters.store.tables import commands, facts, jobs, receipts, shares
from hutong.core.book.store import JobQuery
from hutong.core.kernel.errors import Broken, Conflict, Refused
from hutong.core.work.facts import Event, Fact, Queued, Submitted
from hutong.core.work.fold import fold

TEXTS = ("plain", 'a "quote", a \\ and a \n', "\u5317\u4eac \U0001f680", "{}", "null", "")
BIG = (1 << 63) - 1


def _opened(server: Postgres) -> SqlStore:
    url = server.new_store()
    return SqlStore(PostgresDatabase(sa.make_url(url.replace("postgresql:", "postgresql+psycopg:"))))


def test_inserted_rows_are_those_of_one_by_one(server: Postgres) -> None:
    store = _opened(server)
    rows = [
        {"job": text or "-", "seq": seq, "at_ms": BIG - seq, "source": text, "kind": "k", "event": text}
        for seq, text in enumerate(TEXTS)
    ]
    read = sa.select(facts).order_by(facts.c.seq)
    found = []
    for one_by_one in (True, False):
        with store._db.writer.connect() as connection:
            connection.execute(sa.text("SET session_replication_role = replica"))  # facts without jobs
            if one_by_one:
                connection.execute(facts.insert(), rows)
            else:
                assert insert_rows(connection, facts, rows)
            found.append(connection.execute(read).all())
    store.close()
    assert found[0] == found[1]
    assert len(found[0]) == len(TEXTS)


def test_changed_rows_are_those_of_one_by_one(server: Postgres) -> None:
    store = _opened(server)
    wishes = [wish(n) for n in range(3)]
    store.submit(wishes, 100)
    rows = []
    for n, made in enumerate(wishes):
        told: tuple[Event, ...] = (Submitted(f'{n} "\u5317', "d"), Queued())
        job = fold(Fact(made.id, seq, 100, "test", event) for seq, event in enumerate(told, 1))
        rows.append(saved(job, None if n else BIG))
    read = sa.select(jobs).order_by(jobs.c.id)
    found = []
    for one_by_one in (True, False):
        with store._db.writer.connect() as connection:
            if one_by_one:
                connection.execute(SAVE, rows)
            else:
                assert change_rows(connection, jobs, rows)
            found.append(connection.execute(read).all())
    with store._db.writer.connect() as connection:
        assert not change_rows(connection, jobs, [*rows, rows[0]]), "the last of two changes must win"
        assert not insert_rows(connection, facts, [{"job": "a"}, {"seq": 1}]), "columns must be the same"
    store.close()
    assert found[0] == found[1]
    assert [row.seq for row in found[0]] == [2, 2, 2]


def test_bytes_come_back_as_they_went(server: Postgres) -> None:
    store = _opened(server)
    bodies = {"every": bytes(range(256)), "none": b"", "text": b"\\x41 \\ {}"}
    with store._db.writer.begin() as connection:
        assert insert_rows(connection, receipts, [{"key": key, "body": body} for key, body in bodies.items()])
        found = {row["key"]: row["body"] for row in connection.execute(sa.select(receipts)).mappings()}
    store.close()
    assert found == bodies


def test_merged_rows_are_those_of_one_by_one(server: Postgres) -> None:
    store = _opened(server)
    before = [{"name": "a", "card_ms": 1, "at_ms": 5}, {"name": "b", "card_ms": BIG, "at_ms": 5}]
    after = [{"name": "b", "card_ms": 2, "at_ms": 4}, {"name": "a", "card_ms": 3, "at_ms": 6}]
    after.append({"name": "c", "card_ms": 4, "at_ms": 1})
    read = sa.select(shares).order_by(shares.c.name)
    ways: list[dict[str, Any]] = [{}, {"put": ("at_ms",), "add": ("card_ms",)}, {"put": ("card_ms", "at_ms")}]
    for way in [*ways, {"put": ("card_ms", "at_ms"), "sooner": "at_ms"}]:
        found = []
        for at_once in (True, False):
            with store._db.writer.connect() as connection:
                connection.execute(shares.insert(), before)
                connection.execute(shares.update().where(shares.c.name == "b").values(card_ms=7))
                for rows in (after,) if at_once else [(row,) for row in after]:
                    merge_rows(connection, shares, rows, ("name",), **way)
                found.append(connection.execute(read).all())
        assert found[0] == found[1], way
    assert [tuple(row) for row in found[0]] == [("a", 1, 5), ("b", 2, 4), ("c", 4, 1)]
    with store._db.writer.connect() as connection:  # of one key twice, each counts
        twice = [{"name": "a", "card_ms": 1, "at_ms": at} for at in (1, 2)]
        merge_rows(connection, shares, twice, ("name",), put=("at_ms",), add=("card_ms",))
        assert [tuple(row) for row in connection.execute(read)] == [("a", 2, 2)]
    store.close()


def test_columns_are_added_to_and_rows_found_among_many(server: Postgres) -> None:
    store = _opened(server)
    names = [f"lot:{n:04d}" for n in range(1200)]
    told = [{"id": name, "posted_micro": 9, "held_micro": 5, "floor_micro": 0} for name in names]
    more = [{"name": name, "more_posted_micro": -1, "more_held_micro": -2} for name in names[:2]]
    with store._db.writer.begin() as connection:
        assert insert_rows(connection, accounts, told)
        assert change_rows(connection, accounts, more)
        connection.execute(
            change_of(accounts, (), ("posted_micro", "held_micro")), {**more[0], "name": names[2]}
        )
        query = sa.select(accounts).order_by(accounts.c.id)
        rows = list(rows_in(connection, query, accounts.c.id, ["none", *names]))
        assert [row["id"] for row in rows] == names
        assert [(row["posted_micro"], row["held_micro"]) for row in rows[:4]] == [(8, 3)] * 3 + [(9, 5)]
        run_among(connection, accounts.delete(), accounts.c.id, names[1:])
        assert [row["id"] for row in rows_in(connection, query, accounts.c.id, names)] == names[:1]
        starts = [{"site": "bj", "key": name, "kind": "start", "taken_ms": None} for name in names[:3]]
        merge_rows(connection, commands, starts, ("key", "kind"))
        ids = list(connection.execute(sa.select(commands.c.id).order_by(commands.c.id)).scalars())
        taken = commands.update().values(taken_ms=sa.bindparam("at_ms"))
        run_among(connection, taken, commands.c.id, ids[:2], at_ms=7)
        times = connection.execute(sa.select(commands.c.taken_ms).order_by(commands.c.id)).scalars().all()
    store.close()
    assert times == [7, 7, None]


@pytest.mark.parametrize("last", [False, True])
def test_a_fault_in_a_stream_undoes_all_and_the_connection_goes_on(server: Postgres, last: bool) -> None:
    store = _opened(server)
    row = {"scope": "person", "name": "ada", "at_ms": 1}

    def work(connection: sa.Connection) -> None:
        with streaming(connection, last=last):
            connection.execute(shares.insert(), {"name": "a", "card_ms": 1, "at_ms": 1})
            connection.execute(first_uses.insert(), row)
            connection.execute(first_uses.insert(), row)
            connection.execute(shares.insert(), {"name": "b", "card_ms": 1, "at_ms": 1})

    with pytest.raises(Conflict, match="in the book already"):
        store._db.write(work)
    with pytest.raises(Refused, match="cannot be stored"):
        store._db.write(lambda connection: _stream(connection, {**row, "name": "\x00"}))
    store._db.write(lambda connection: _stream(connection, row))
    with store._db.read() as connection:
        assert connection.execute(sa.select(shares)).all() == []
        assert [tuple(each) for each in connection.execute(sa.select(first_uses))] == [("person", "ada", 1)]
    store.close()


def _stream(connection: sa.Connection, row: dict[str, object]) -> None:
    with streaming(connection):
        merge_rows(connection, first_uses, [row, {**row, "scope": "project"}], ("scope", "name"))
        connection.execute(first_uses.delete().where(first_uses.c.scope == "project"))


def test_the_last_stream_has_committed_when_it_is_over(server: Postgres) -> None:
    store = _opened(server)
    read = sa.select(shares.c.name)
    seen = []

    def work(connection: sa.Connection) -> None:
        connection.execute(shares.insert(), {"name": "before", "card_ms": 1, "at_ms": 1})
        with streaming(connection, last=True):
            merge_rows(connection, shares, [{"name": "in it", "card_ms": 1, "at_ms": 1}], ("name",))
        with store._db.read() as other:
            seen.append(sorted(other.execute(read).scalars()))

    def fail(connection: sa.Connection) -> None:
        with streaming(connection, last=True):
            connection.execute(shares.delete())
            raise Broken("by mistake")

    store._db.write(work)
    assert seen == [["before", "in it"]]
    with pytest.raises(Broken, match="by mistake"):
        store._db.write(fail)
    with store._db.read() as connection:
        assert sorted(connection.execute(read).scalars()) == ["before", "in it"], "nothing was committed"
    store.close()


@pytest.mark.parametrize("name", ["\x00", "\ud800"])
def test_what_cannot_be_stored_refuses_all_that_came_with_it(server: Postgres, name: str) -> None:
    store = _opened(server)
    with pytest.raises(Refused):
        store.submit([wish(1), wish(2, by=name)], 100)
    assert store.jobs(JobQuery()) == ()
    store.close()
