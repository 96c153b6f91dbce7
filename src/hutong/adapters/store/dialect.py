"""The few places where SQLite and PostgreSQL differ: connecting, locking, upserts and the door bell."""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import psycopg
import sqlalchemy as sa
from psycopg.rows import DictRow, dict_row
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from hutong.adapters.store.bulk import sent
from hutong.adapters.store.db import MOST, Asked, Database, HeadOf, Row
from hutong.core.kernel.errors import Later

LOCK_WAIT_S = 30
_SCHEMA_LOCK = 0x4855544F4E47  # any number of our own
PERIOD_LOCK = 0x4855544F5045  # another one; the migration that made the trigger has it too
_AUDIT_LOCK = _SCHEMA_LOCK + 1
_WRITES = "hutong_writes"
_PASSING = {
    "SQLITE_BUSY": "the store is locked by another writer",
    "SQLITE_LOCKED": "the store is locked by another writer",
    "SQLITE_FULL": "the disk of the store is full: nothing was written; make room",
    "SQLITE_IOERR": "the disk of the store does not answer as it should",
    "SQLITE_CANTOPEN": "the file of the store cannot be opened",
}
_PRAGMAS = (
    f"busy_timeout={LOCK_WAIT_S * 1000}",
    "journal_mode=WAL",
    "synchronous=FULL",  # money: durable means on the disk
    "foreign_keys=ON",
    "temp_store=MEMORY",
    "cache_size=-16384",
    "wal_autocheckpoint=4000",  # one turn of a thousand jobs writes more than the usual thousand pages
    "journal_size_limit=67108864",
)


class SqliteDatabase(Database):
    """One file in WAL mode: many readers, one writer at a time, several processes."""

    def __init__(self, path: Path) -> None:
        self._write_lock = threading.Lock()
        self._bell_lock = threading.Lock()
        self.reader = sa.create_engine(
            sa.URL.create("sqlite", database=str(path)),
            pool_size=8,
            max_overflow=56,
            pool_timeout=LOCK_WAIT_S,
        )
        self.writer = self.reader.execution_options(**{_WRITES: True})
        sa.event.listen(self.reader, "connect", _prepare)
        sa.event.listen(self.reader, "begin", _begin)
        # data_version never changes for a connection's own writes, so the bell has one that never writes.
        self._bell = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        # Threads of one process queue here; only processes meet at the file's lock, which is polled.
        if not self._write_lock.acquire(timeout=LOCK_WAIT_S):
            raise Later(_PASSING["SQLITE_BUSY"])
        try:
            yield
        finally:
            self._write_lock.release()

    def passing(self, error: sa.exc.DBAPIError) -> str:
        """See `Database`."""
        name = getattr(error.orig, "sqlite_errorname", "")
        return next((text for code, text in _PASSING.items() if name.startswith(code)), "")

    def upsert(self, table: sa.Table) -> sqlite.Insert:
        """See `Database`."""
        return sqlite.insert(table)

    def lock_schema(self, connection: sa.Connection) -> None:
        """See `Database`: every writing transaction is alone already."""

    def lock_periods(self, connection: sa.Connection) -> None:
        """See `Database`: every writing transaction is alone already."""

    def lock_tables(self, connection: sa.Connection, tables: Sequence[sa.Table]) -> None:
        """See `Database`: every writing transaction is alone already."""

    def lock_audit(self, connection: sa.Connection) -> None:
        """See `Database`: every writing transaction is alone already."""

    def pulse(self) -> int:
        """See `Database`."""
        with self._bell_lock:
            return int(self._bell.execute("PRAGMA data_version").fetchone()[0])

    def glance(self, query: sa.Select[*tuple[object, ...]]) -> list[Row]:
        """See `Database`."""
        with self.read() as connection:
            return list(connection.execute(query).mappings())

    def close(self) -> None:
        """See `Database`."""
        self.reader.dispose()
        with self._bell_lock:
            self._bell.close()


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin where we say, below
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    # A writer that began by reading could not go on after another's commit: take the lock at once.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class PostgresDatabase(Database):
    """A PostgreSQL database: writers wait for each other by row."""

    def __init__(self, url: sa.URL) -> None:
        self._url = url.set(drivername="postgresql")
        # Every query of ours has its index: tables without statistics yet must not be scanned. A bitmap scan
        # leaves what is dead in the index, where each later one reads it again; a plain one marks it.
        self._settings = (
            "-c enable_seqscan=off -c enable_bitmapscan=off"
            f" -c lock_timeout={LOCK_WAIT_S}s -c idle_in_transaction_session_timeout=60s"
        )
        self.writer = sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            isolation_level="READ COMMITTED",
            connect_args={"options": self._settings, "connect_timeout": 10},
            pool_size=8,
            max_overflow=24,
            pool_timeout=LOCK_WAIT_S,
        )
        self.reader = self.writer.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._bell_lock = threading.Lock()
        self._bell: psycopg.Connection[DictRow] | None = None
        self._seen = ""
        self._rings = 0

    def passing(self, error: sa.exc.DBAPIError) -> str:
        """See `Database`. This class of errors has lost connections, deadlocks, timeouts, full disks."""
        if error.connection_invalidated or isinstance(
            error, (sa.exc.OperationalError, sa.exc.InterfaceError)
        ):
            return f"the database cannot do this now: {str(error.orig).strip()}"
        return ""

    def upsert(self, table: sa.Table) -> postgresql.Insert:
        """See `Database`."""
        return postgresql.insert(table)

    def heads(self, head_of: HeadOf, keys: Sequence[tuple[str, ...]], most: int) -> Iterator[Asked]:
        """See `Database`; in one statement, for here each is planned and run for itself."""
        if keys:
            columns = {f"keys_{at}": list(column) for at, column in enumerate(zip(*keys, strict=True))}
            yield _heads(head_of, len(columns)), {**columns, MOST: most}

    def lock_schema(self, connection: sa.Connection) -> None:
        """See `Database`."""
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))

    def lock_periods(self, connection: sa.Connection) -> None:
        """See `Database`: who books has this lock shared, by the trigger `open_period`."""
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(PERIOD_LOCK)))

    def lock_tables(self, connection: sa.Connection, tables: Sequence[sa.Table]) -> None:
        """See `Database`."""
        names = ", ".join(each.name for each in tables)
        connection.execute(sa.text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))

    def lock_audit(self, connection: sa.Connection) -> None:
        """See `Database`."""
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_AUDIT_LOCK)))

    def pulse(self) -> int:
        """See `Database`.

        The set of transactions that a new statement would see changes with every commit that wrote; asking
        for it costs writers nothing, and none can be missed. Other databases of the server move it as well.
        """
        with self._bell_lock:
            now = str(self._ask(b"SELECT pg_current_snapshot()::text AS now", {})[0]["now"])
            if now != self._seen:
                self._seen = now
                self._rings += 1
            return self._rings

    def glance(self, query: sa.Select[*tuple[object, ...]]) -> list[Row]:
        """See `Database`."""
        with self._bell_lock:
            return [*self._ask(*sent(query, {}))]

    def _ask(self, text: bytes, told: Mapping[str, object]) -> list[DictRow]:
        try:
            if self._bell is None:
                self._bell = psycopg.connect(
                    self._url.render_as_string(hide_password=False),
                    autocommit=True,
                    connect_timeout=10,
                    options=self._settings,
                    row_factory=dict_row,
                )
            return self._bell.execute(text, told).fetchall()
        except psycopg.Error as error:
            self._hang_up()
            raise Later(f"the database does not answer: {error}") from error

    def close(self) -> None:
        """See `Database`."""
        self.writer.dispose()
        with self._bell_lock:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._bell is not None:
            self._bell.close()
            self._bell = None


@lru_cache(maxsize=8)
def _heads(head_of: HeadOf, width: int) -> sa.Select[*tuple[object, ...]]:
    columns = [sa.bindparam(f"keys_{at}", type_=postgresql.ARRAY(sa.Text())) for at in range(width)]
    names = [sa.column(f"key_{at}", sa.Text()) for at in range(width)]
    each = sa.func.unnest(*columns).table_valued(*names, with_ordinality="place", name="asked")
    each = each.render_derived()
    head = head_of(*(each.c[name.name] for name in names)).lateral("head")
    return sa.select(head).select_from(each.join(head, sa.true())).order_by(each.c.place)
