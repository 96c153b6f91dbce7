"""Transactions of the SQL store: consistent reads, whole writes, and database trouble in our own words."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from hutong.adapters.store.bulk import insert_rows, run
from hutong.core.book.periods import Period
from hutong.core.kernel.errors import Conflict, Later, Refused

T = TypeVar("T")
Upsert = sqlite.Insert | postgresql.Insert
HeadOf = Callable[..., "sa.Select[*tuple[object, ...]]"]
Asked = tuple["sa.Select[*tuple[object, ...]]", Mapping[str, object]]
Narrowed = TypeVar("Narrowed", sa.Select[*tuple[object, ...]], sa.Update, sa.Delete)
TRIES = 3
CHUNK = 1000
AMONG, MOST = "among", "most"
Row = Mapping[Any, Any]  # by the names of columns, as psycopg or SQLAlchemy has them


class Database(ABC):
    """One database: hands out transactions. Subclasses say what SQLite and PostgreSQL do differently."""

    reader: sa.Engine
    writer: sa.Engine
    zone: str = "Asia/Shanghai"
    # Periods as last read. Stale ones do no harm: the database refuses what would book in a closed one, which
    # is an integrity error, and the work runs again with what is true then.
    periods: tuple[Period, ...] = ()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction whose statements all see one state of the book."""
        with self._in_our_words(), self.reader.begin() as connection:
            yield connection

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in one transaction, durable when this returns; undone whole if it raises.

        Where somebody else inserted the same key at the same moment, `work` runs again and finds it.
        """
        for left in reversed(range(TRIES)):
            try:
                with self._in_our_words(), self._turn(), self.writer.begin() as connection:
                    return work(connection)
            except sa.exc.IntegrityError as error:
                self.periods = ()
                if not left:
                    raise Conflict("already_there", f"this is in the book already: {error.orig}") from error
        raise AssertionError

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.TimeoutError as error:
            raise Later("every connection to the store is busy") from error
        except (sa.exc.DataError, OverflowError, UnicodeEncodeError) as error:
            raise Refused("bad_value", f"this cannot be stored: {error}") from error
        except sa.exc.DBAPIError as error:
            why = self.passing(error)
            if why:
                raise Later(why) from error
            raise

    def _turn(self) -> AbstractContextManager[None]:
        return nullcontext()

    @abstractmethod
    def passing(self, error: sa.exc.DBAPIError) -> str:
        """Return what to tell the caller if another try makes sense, else an empty string."""

    @abstractmethod
    def upsert(self, table: sa.Table) -> Upsert:
        """Return an insert of that table that can say what to do with a row that is there."""

    def heads(self, head_of: HeadOf, keys: Sequence[tuple[str, ...]], most: int) -> Iterator[Asked]:
        """Yield questions for the rows of `head_of` each key, at most so many, in the order of keys."""
        for key in keys:
            names = [f"key_{at}" for at in range(len(key))]
            yield _head(head_of, len(key)), {**dict(zip(names, key, strict=True)), MOST: most}

    @abstractmethod
    def lock_schema(self, connection: sa.Connection) -> None:
        """Wait until nobody else migrates, for the rest of the transaction."""

    @abstractmethod
    def lock_periods(self, connection: sa.Connection) -> None:
        """Wait until nobody else books anything, and keep them waiting for the rest of the transaction."""

    @abstractmethod
    def lock_tables(self, connection: sa.Connection, tables: Sequence[sa.Table]) -> None:
        """Keep others from writing these tables, for the rest of the transaction."""

    @abstractmethod
    def lock_audit(self, connection: sa.Connection) -> None:
        """Wait until nobody else writes the audit, for the rest of the transaction."""

    @abstractmethod
    def pulse(self) -> int:
        """Return a number that changes when anybody has committed a write."""

    @abstractmethod
    def glance(self, query: "sa.Select[*tuple[object, ...]]") -> list[Row]:
        """Return the rows of one question as they are now, outside of a transaction; as cheap as a pulse."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections."""


@lru_cache(maxsize=8)
def _head(head_of: HeadOf, width: int) -> sa.Select[*tuple[object, ...]]:
    return head_of(*(sa.bindparam(f"key_{at}", type_=sa.Text()) for at in range(width)))


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut a sequence so that each part fits the parameters of one statement."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def rows_in(
    connection: sa.Connection,
    query: sa.Select[*tuple[object, ...]],
    column: sa.Column[str],
    values: Sequence[str],
) -> Iterator[sa.RowMapping]:
    """Yield the rows of `query` whose `column` is one of `values`, however many these are.

    A query that is the same object each time is made into its statement once.
    """
    asking = among(connection.dialect.name, query, column)
    for part in chunks(values):
        yield from connection.execute(asking, {AMONG: list(part)}).mappings()


def run_among(
    connection: sa.Connection,
    statement: sa.Update | sa.Delete,
    column: sa.Column[Any],
    values: Sequence[object],
    **told: object,
) -> None:
    """Change or delete the rows whose `column` is one of `values`; `told` are parameters of the statement."""
    changing = among(connection.dialect.name, statement, column)
    for part in chunks(values):
        run(connection, changing, {AMONG: list(part), **told})


@lru_cache(maxsize=256)
def among(dialect: str, statement: Narrowed, column: sa.ColumnElement[Any]) -> Narrowed:
    """Return a statement with a condition on a column, by the parameter `AMONG`."""
    return statement.where(one_of(dialect, column, AMONG))


def one_of(dialect: str, column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """Return the condition that a column is one of the values of a parameter.

    For PostgreSQL it has the same text for any number of values, so that a plan of it is kept.
    """
    if dialect == "postgresql":
        kind = sa.BigInteger() if isinstance(column.type, sa.Integer) else sa.Text()
        return column == sa.any_(sa.bindparam(name, type_=postgresql.ARRAY(kind)))
    return column.in_(sa.bindparam(name, expanding=True))


def many(connection: sa.Connection, statement: sa.Executable, rows: Sequence[Mapping[str, object]]) -> None:
    """Run a statement once for each row in one call; nothing for no rows."""
    # Of an upsert nobody knows here whether two rows are for the same key, which one statement refuses.
    table = statement.table if type(statement) is sa.Insert else None
    if isinstance(table, sa.Table) and insert_rows(connection, table, rows):
        return
    if rows:
        connection.execute(statement, rows)
