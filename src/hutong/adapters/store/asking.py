"""Questions that are asked together: PostgreSQL gets them all in one way there and back."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from psycopg.rows import dict_row

from hutong.adapters.store.bulk import driver_of, fetch, sent, streaming
from hutong.adapters.store.db import AMONG, Row, among, chunks

Rows = list[Row]
_Query = sa.Select[*tuple[Any, ...]]


class Asking:
    """Takes questions and gives out lists; the rows are in them when the block of `asking` is over."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self._asked: list[tuple[_Query, Mapping[str, object], Rows]] = []

    def __call__(self, query: _Query, told: Mapping[str, object] | None = None) -> Rows:
        """Ask for the rows of `query`, which is to be the same object each time: it is made once."""
        rows: Rows = []
        self._asked.append((query, told or {}, rows))
        return rows

    def among(self, query: _Query, column: sa.ColumnElement[str], values: Sequence[str]) -> Rows:
        """Ask for the rows whose `column` is one of `values`, however many these are."""
        asking_ = among(self.connection.dialect.name, query, column)
        rows: Rows = []
        self._asked += [(asking_, {AMONG: list(part)}, rows) for part in chunks(values)]
        return rows

    def settle(self) -> None:
        """Ask, and fill the lists."""
        if not self._asked:
            return
        if self.connection.dialect.name != "postgresql":
            for query, told, rows in self._asked:
                rows.extend(fetch(self.connection, query, told))
            return
        driver = driver_of(self.connection)
        with streaming(self.connection):
            cursors = [driver.cursor(row_factory=dict_row) for _ in self._asked]
            for cursor, (query, told, _) in zip(cursors, self._asked, strict=True):
                cursor.execute(*sent(query, told))
        for cursor, (_, _, rows) in zip(cursors, self._asked, strict=True):
            rows.extend(cursor.fetchall())


@contextmanager
def asking(connection: sa.Connection) -> Iterator[Asking]:
    """Ask everything that is asked in here at its end, in this order."""
    ask = Asking(connection)
    yield ask
    ask.settle()
