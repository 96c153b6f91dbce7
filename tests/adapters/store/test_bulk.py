"""Many rows in one statement: the database has what row by row would have left, or nothing of them."""

import pytest
import sqlalchemy as sa
from book_samples import wish
from tests.postgres import Postgres

from hutong.adapters.store.bulk import change_rows, insert_rows
from hutong.adapters.store.dialect import PostgresDatabase
from hutong.adapters.store.jobs import SAVE, saved
from hutong.adapters.store.sql import SqlStore
from hutong.adapters.store.tables import facts, jobs
from hutong.core.book.store import JobQuery
from hutong.core.kernel.errors import Refused
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


@pytest.mark.parametrize("name", ["\x00", "\ud800"])
def test_what_cannot_be_stored_refuses_all_that_came_with_it(server: Postgres, name: str) -> None:
    store = _opened(server)
    with pytest.raises(Refused):
        store.submit([wish(1), wish(2, by=name)], 100)
    assert store.jobs(JobQuery()) == ()
    store.close()
