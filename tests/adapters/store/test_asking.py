"""Questions asked together have the answers of questions asked alone, and fail as those do."""

import psycopg
import pytest
import sqlalchemy as sa
from book_samples import wish
from tests.postgres import Postgres

from hutong.adapters.store.asking import asking
from hutong.adapters.store.bulk import run, sent, streaming
from hutong.adapters.store.db import AMONG, among
from hutong.adapters.store.dialect import PostgresDatabase
from hutong.adapters.store.open import open_store
from hutong.adapters.store.sql import SqlStore
from hutong.adapters.store.tables import shares
from hutong.core.book.snapshot import Limits
from hutong.core.kernel.errors import Broken, Later

NAMES = (
    "plain",
    'a "quote"',
    "a \\ and {a, b}",
    "\u5317\u4eac \U0001f680",
    "NULL",
    "",
    "'; --",
    "a\n%s %(x)s",
)
ALL = sa.select(shares).order_by(shares.c.name)
OLD = sa.select(shares.c.name).where(shares.c.at_ms < sa.bindparam("at_ms"))


def _opened(url: str) -> SqlStore:
    store = open_store(url)
    assert isinstance(store, SqlStore)
    return store


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> SqlStore:
    """Return a store of each kind."""
    if request.param == "sqlite":
        return _opened(f"sqlite:///{request.getfixturevalue('sqlite_path')}")
    return _opened(request.getfixturevalue("server").new_store())


def test_answers_are_there_when_the_block_is_over_and_those_of_one_by_one(store: SqlStore) -> None:
    rows = [{"name": name, "card_ms": at, "at_ms": at} for at, name in enumerate(NAMES)]
    some = [*NAMES[1:6], "nobody", *(f"n{n}" for n in range(1200))]
    with store._db.writer.begin() as connection:
        connection.execute(shares.insert(), rows)
        with asking(connection) as ask:
            every = ask(ALL)
            old = ask(OLD, {"at_ms": 3})
            found = ask.among(ALL, shares.c.name, some)
            none = ask.among(ALL, shares.c.name, [])
            by_number = ask.among(ALL, shares.c.at_ms, [0, 2])  # type: ignore[list-item]
            assert every == []
        alone = [dict(row) for row in connection.execute(ALL).mappings()]
    store.close()
    assert [dict(row) for row in every] == alone
    assert {row["name"] for row in old} == set(NAMES[:3])
    assert {row["name"] for row in found} == set(NAMES[1:6])
    assert none == []
    assert [row["at_ms"] for row in sorted(by_number, key=lambda row: int(row["at_ms"]))] == [0, 2]


def test_questions_in_a_write_see_what_was_written_before_them(store: SqlStore) -> None:
    change = shares.update().values(card_ms=sa.bindparam("most"))
    with store._db.writer.begin() as connection:
        connection.execute(shares.insert(), {"name": "a", "card_ms": 1, "at_ms": 1})
        with streaming(connection):
            with streaming(connection):  # one in another is the other
                run(connection, change, {"most": 7})
            run(connection, change, {"most": 8})
        with asking(connection) as ask:
            rows = ask(ALL)
    store.close()
    assert [row["card_ms"] for row in rows] == [8]


def test_what_only_sqlalchemy_can_send_is_refused() -> None:
    with pytest.raises(Broken, match="past SQLAlchemy"):
        sent(ALL.where(shares.c.name.in_(["a", "b"])), {})
    with pytest.raises(Broken, match="past SQLAlchemy"):
        sent(ALL.where(sa.bindparam("doc", {}, type_=sa.JSON()).is_not(None)), {})
    text, told = sent(among("postgresql", ALL, shares.c.name), {AMONG: ['"', "\\"]})
    assert b"ANY (%(among)s::TEXT[])" in text
    assert told == {AMONG: '{"\\"","\\\\"}'}


def test_a_connection_that_dies_under_questions_means_later_and_then_all_is_well(server: Postgres) -> None:
    url = server.new_store()
    store = _opened(url)
    store.submit([wish(1)], 100)
    assert isinstance(store._db, PostgresDatabase)
    with store._db.reader.connect() as connection:
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        gone = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
        while other.execute(gone, (pid,)).fetchone():
            pass
    with pytest.raises(Later):
        store.snapshot(200, Limits())
    assert [row.job.id for row in store.snapshot(200, Limits()).due] == [wish(1).id]
    store.close()
