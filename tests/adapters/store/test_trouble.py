"""When the database is in trouble: `Later` in plain words, nothing half-written, and on again afterwards."""

import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from book_samples import wish
from tests.postgres import Postgres

from hutong.adapters.store import dialect
from hutong.adapters.store.dialect import SqliteDatabase
from hutong.adapters.store.open import open_store
from hutong.adapters.store.sql import SqlStore
from hutong.core.book.store import JobQuery
from hutong.core.kernel.errors import Later


def test_a_locked_file_means_later(sqlite_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "_PRAGMAS", ("busy_timeout=50", "journal_mode=WAL", "synchronous=FULL"))
    store = SqlStore(SqliteDatabase(sqlite_path))
    other = sqlite3.connect(sqlite_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Later) as busy:
        store.submit([wish(1)], 100)
    assert "locked" in busy.value.message
    assert store.jobs(JobQuery()) == ()
    other.execute("ROLLBACK")
    other.close()
    assert store.submit([wish(1)], 100)[0].job == wish(1).id
    store.close()


def test_a_full_disk_means_later_and_nothing_half_written(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path)
    store = SqlStore(database)
    store.submit([wish(1)], 100)

    def shrink(connection: sqlite3.Connection, *_: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    sa.event.listen(database.reader, "checkout", shrink)
    with pytest.raises(Later) as full:
        store.submit([wish(n) for n in range(2, 500)], 100)
    assert "full" in full.value.message
    assert [row.job.id for row in store.jobs(JobQuery())] == [wish(1).id]
    sa.event.remove(database.reader, "checkout", shrink)
    sa.event.listen(
        database.reader, "checkout", lambda connection, *_: connection.execute("PRAGMA max_page_count=100000")
    )
    store.submit([wish(n) for n in range(2, 500)], 100)
    assert len(store.jobs(JobQuery(limit=1000))) == 499
    store.close()


def test_a_database_that_went_away_means_later_until_it_is_back() -> None:
    with Postgres() as server:
        store = open_store(server.new_store())
        store.submit([wish(1)], 100)
        store.pulse()
        server.stop()
        for ask in (store.pulse, lambda: store.jobs(JobQuery()), lambda: store.submit([wish(2)], 100)):
            with pytest.raises(Later):
                ask()
        server.start()
        store.submit([wish(3)], 100)
        store.pulse()
        assert [row.job.id for row in store.jobs(JobQuery())] == [wish(3).id, wish(1).id]
        store.close()


def test_a_deadlock_means_later_for_one_and_success_for_the_other(server: Postgres) -> None:
    url = server.new_store()
    store = open_store(url)
    assert isinstance(store, SqlStore)
    gate = threading.Barrier(2)
    answers: list[str] = []

    def lock(first: int, second: int) -> None:
        def work(connection: sa.Connection) -> None:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(first)))
            gate.wait(60)
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(second)))

        try:
            store._db.write(work)
            answers.append("done")
        except Later:
            answers.append("later")

    threads = [threading.Thread(target=lock, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == ["done", "later"]
    store.close()


def test_a_writer_has_the_file_from_its_first_read_on_and_commits_to_the_disk(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path)
    other = sqlite3.connect(sqlite_path, isolation_level=None, timeout=0)

    def work(connection: sa.Connection) -> list[object]:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert database.write(work) == ["wal", 2, 1]
    with database.read():
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    other.close()
    database.close()
