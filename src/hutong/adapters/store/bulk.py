"""Many rows in one statement of PostgreSQL: they go there as one JSON document, typed by the table's columns.

A statement that is run once for each row costs its client a binding of every value, which was most of a turn.
Into SQLite they go row by row, which is in the process, but past SQLAlchemy, which costs as much again.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import itemgetter
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from hutong.adapters.store.codec import encode
from hutong.core.kernel.errors import Broken

NAME = "name"
"""The parameter by which a change of rows finds its row."""

_NEW, _MORE = "new_", "more_"
_ROWS = sa.cast(sa.bindparam("rows", type_=sa.Text()), postgresql.JSON())
_PLAIN = (sa.String, sa.Integer, sa.Boolean, sa.LargeBinary)
_ARRAY, _NULL = postgresql.ARRAY, sa.types.NullType
_PSYCOPG = PGDialect_psycopg()  # type: ignore[no-untyped-call]
_SQLITE = sqlite.dialect(paramstyle="qmark")

Rows = Sequence[Mapping[str, object]]


@contextmanager
def streaming(connection: sa.Connection, *, last: bool = False) -> Iterator[None]:
    """Send what is run in here without waiting for answers, where the database can; errors come at the end.

    Nothing in here may look at a result. The `last` stream of a transaction takes its commit along, so that
    rows are not kept from others while this process wakes up to say so: nothing may come after it.
    """
    if connection.dialect.name != "postgresql" or _streams(driver_of(connection)):
        yield
        return
    try:
        with driver_of(connection).pipeline():
            yield
            if last:  # SQLAlchemy's own commit finds nothing to do then
                driver_of(connection).execute(b"COMMIT", prepare=False)
    except psycopg.Error as error:
        raise sa.exc.DBAPIError.instance(
            None, None, error, psycopg.Error, dialect=connection.dialect
        ) from error


def run(connection: sa.Connection, statement: sa.Executable, told: Mapping[str, object]) -> None:
    """Run a statement of which nobody looks at a result; in a stream past SQLAlchemy, which costs as much."""
    if connection.dialect.name == "postgresql" and _streams(driver := driver_of(connection)):
        driver.execute(*sent(statement, told))
    else:
        connection.execute(statement, told)


def fetch(
    connection: sa.Connection, query: sa.Select[*tuple[Any, ...]], told: Mapping[str, object]
) -> Sequence[Mapping[Any, Any]]:
    """Return the rows of a query of SQLite, past SQLAlchemy where no column needs more than a look."""
    text, marks, fixed = _text_of(query, ())
    kinds = _kinds_of(query)
    if not all(isinstance(kind, (*_PLAIN, _NULL)) for kind in kinds.values()):
        return connection.execute(query, told).mappings().all()
    values: list[object] = []
    for name in marks:
        value = told[name] if name in told else fixed[name]
        if isinstance(value, list):
            text = text.replace(f"__[POSTCOMPILE_{name}]", ",".join("?" * len(value)))
            values += value
        else:
            values.append(value)
    found = connection.exec_driver_sql(text, tuple(values)).fetchall()
    rows = [dict(zip(kinds, row, strict=True)) for row in found]
    for name in [name for name, kind in kinds.items() if isinstance(kind, sa.Boolean)]:
        for row in rows:
            row[name] = None if row[name] is None else bool(row[name])
    return rows


def driver_of(connection: sa.Connection) -> psycopg.Connection:
    """Return the connection of psycopg."""
    return connection.connection.driver_connection  # type: ignore[return-value]


def sent(statement: sa.Executable, told: Mapping[str, object]) -> tuple[bytes, dict[str, object]]:
    """Return a statement with its parameters as psycopg takes them; the same object is made once."""
    text, fixed = _text(statement)
    lists = {name: _array(value) for name, value in told.items() if isinstance(value, list)}
    return text, {**fixed, **told, **lists}


def _array(values: Sequence[object]) -> str:
    """Return an array as PostgreSQL writes it: psycopg would look at each of its values three times."""
    if values and isinstance(values[0], int):
        return f"{{{','.join(map(str, values))}}}"
    quoted = (str(each).replace("\\", "\\\\").replace('"', '\\"') for each in values)
    return '{"' + '","'.join(quoted) + '"}' if values else "{}"


@lru_cache(maxsize=512)
def _text(statement: sa.Executable) -> tuple[bytes, Mapping[str, object]]:
    made = statement.compile(dialect=_PSYCOPG)  # type: ignore[attr-defined]
    text, kinds = str(made), [bind.type for bind in made.bind_names]
    # What SQLAlchemy would make of parameters is not made here.
    if "POSTCOMPILE" in text or not all(isinstance(each, (*_PLAIN, _ARRAY, _NULL)) for each in kinds):
        raise Broken(f"this does not go past SQLAlchemy: {text}")
    fixed = {name: bind.value for bind, name in made.bind_names.items() if not bind.required}
    return text.encode(), fixed


def _streams(driver: psycopg.Connection) -> bool:
    return driver.pgconn.pipeline_status != psycopg.pq.PipelineStatus.OFF


def change_of(table: sa.Table, names: Sequence[str], more: Sequence[str] = ()) -> sa.Update:
    """Return what changes the row whose id is the parameter `NAME`.

    It sets columns to the parameters `new_...`, and adds to those of `more` the parameters `more_...`.
    """
    row: sa.BindParameter[str] = sa.bindparam(NAME)
    values: dict[str, sa.ColumnElement[Any]] = {name: sa.bindparam(f"{_NEW}{name}") for name in names}
    values |= {name: table.c[name] + sa.bindparam(f"{_MORE}{name}") for name in more}
    return table.update().where(table.c.id == row).values(values)


def insert_rows(connection: sa.Connection, table: sa.Table, rows: Rows) -> bool:
    """Insert rows that have the same columns; False, and nothing done, where that must go one by one."""
    if not rows:
        return False
    names = tuple(str(name) for name in rows[0])
    if any(row.keys() != rows[0].keys() for row in rows):
        return False
    if not all(isinstance(table.c[name].type, _PLAIN) for name in names):
        return False
    if connection.dialect.name != "postgresql":
        _run_each(connection, _into(table), names, rows)
        return True
    if type(next(iter(rows[0]))) is not str:  # rows that were read have names of their own kind of text
        rows = [dict(zip(names, row.values(), strict=True)) for row in rows]
    run(connection, _insert(table, names), _document(table, rows))
    return True


def change_rows(connection: sa.Connection, table: sa.Table, rows: Rows) -> bool:
    """Do what `change_of` does for rows; False, and nothing done, where that must go one by one."""
    if not rows:
        return False
    names = tuple(rows[0])
    if connection.dialect.name != "postgresql":
        _run_each(connection, _change_each(table, names), (), rows)
        return True
    if len({row[NAME] for row in rows}) < len(rows):
        return False
    run(connection, _change(table, names), {"rows": encode(rows)})
    return True


def merge_rows(
    connection: sa.Connection,
    table: sa.Table,
    rows: Rows,
    key: tuple[str, ...],
    *,
    put: tuple[str, ...] = (),
    add: tuple[str, ...] = (),
    sooner: str = "",
) -> None:
    """Insert rows; where one of the same key is there, set its columns `put`, and add to its columns `add`.

    With neither it stays as it is, and also where its column `sooner` is not above that of the row.
    Of rows with one key each counts, in their order.
    """
    if not rows:
        return
    names, lite = tuple(rows[0]), connection.dialect.name != "postgresql"
    # One statement refuses to change a row twice.
    whole = not lite and len({tuple(row[name] for name in key) for row in rows}) == len(rows)
    merge = _merge(connection.dialect.name, table, names, key, put, add, sooner, whole)
    if whole:
        run(connection, merge, _document(table, rows))
    elif lite and all(isinstance(table.c[name].type, _PLAIN) for name in names):
        _run_each(connection, merge, names, rows)
    else:
        connection.execute(merge, rows)


def upsert_into(dialect: str, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Return an insert of that table that can say what to do with a row that is there."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def _run_each(connection: sa.Connection, statement: sa.Executable, names: Sequence[str], rows: Rows) -> None:
    """Run a statement in SQLite for each row; an insert fills the columns of these names."""
    text, (first, *more), _ = _text_of(statement, tuple(names))
    # Of one name an `itemgetter` gives the value and not a tuple.
    read = itemgetter(first, *more) if more else lambda row: (row[first],)
    connection.exec_driver_sql(text, list(map(read, rows)))


def _document(table: sa.Table, rows: Rows) -> dict[str, str]:
    """Return rows as the parameter of a statement; bytes as PostgreSQL writes them in text."""
    binary = [name for name in rows[0] if isinstance(table.c[name].type, sa.LargeBinary)]
    for name in binary:
        rows = [{**row, name: f"\\x{bytes(row[name]).hex()}"} for row in rows]  # type: ignore[call-overload]
    return {"rows": encode(rows)}


def _given(names: Sequence[str], kinds: Sequence[sa.types.TypeEngine[Any]]) -> sa.TableValuedAlias:
    """Return the rows of the document as a table of these columns."""
    columns = [sa.column(name, kind) for name, kind in zip(names, kinds, strict=True)]
    rows = sa.func.json_to_recordset(_ROWS).table_valued(*columns)
    return rows.render_derived("given", with_types=True)


def _rows_of(table: sa.Table, names: Sequence[str]) -> sa.Select[*tuple[Any, ...]]:
    return sa.select(*_given(names, [table.c[name].type for name in names]).c)


@lru_cache(maxsize=64)
def _insert(table: sa.Table, names: tuple[str, ...]) -> sa.Insert:
    return table.insert().from_select(list(names), _rows_of(table, names))


@lru_cache(maxsize=512)
def _text_of(
    statement: sa.Executable, names: tuple[str, ...]
) -> tuple[str, tuple[str, ...], Mapping[str, object]]:
    """Return the text of a statement of SQLite, the names of its parameters in order, and what some are."""
    made = statement.compile(dialect=_SQLITE, column_keys=names or None)  # type: ignore[attr-defined]
    fixed = {name: bind.value for bind, name in made.bind_names.items() if not bind.required}
    return str(made), tuple(made.positiontup), fixed


@lru_cache(maxsize=512)
def _kinds_of(query: sa.Select[*tuple[Any, ...]]) -> Mapping[str, sa.types.TypeEngine[Any]]:
    return {str(column.key): column.type for column in query.selected_columns}


@lru_cache(maxsize=64)
def _into(table: sa.Table) -> sa.Insert:
    return table.insert()


@lru_cache(maxsize=8)
def _change_each(table: sa.Table, names: tuple[str, ...]) -> sa.Update:
    put = [name.removeprefix(_NEW) for name in names if name.startswith(_NEW)]
    return change_of(table, put, [name.removeprefix(_MORE) for name in names if name.startswith(_MORE)])


@lru_cache(maxsize=8)
def _change(table: sa.Table, names: tuple[str, ...]) -> sa.Update:
    of = {name: name.removeprefix(_NEW).removeprefix(_MORE) for name in names if name != NAME}
    given = _given([NAME, *of], [table.c.id.type, *(table.c[own].type for own in of.values())])
    values = {
        own: table.c[own] + given.c[name] if name.startswith(_MORE) else given.c[name]
        for name, own in of.items()
    }
    return table.update().where(table.c.id == given.c[NAME]).values(values)


@lru_cache(maxsize=128)
def _merge(
    dialect: str,
    table: sa.Table,
    names: tuple[str, ...],
    key: tuple[str, ...],
    put: tuple[str, ...],
    add: tuple[str, ...],
    sooner: str,
    whole: bool,
) -> sa.Insert:
    # Nobody asks for the ids that it makes, and a stream has no answers.
    insert = upsert_into(dialect, table).inline()
    if whole:
        insert = insert.from_select(list(names), _rows_of(table, names))
    values: dict[str, sa.ColumnElement[Any]] = {name: insert.excluded[name] for name in put}
    values |= {name: table.c[name] + insert.excluded[name] for name in add}
    if not values:
        return insert.on_conflict_do_nothing(index_elements=key)
    only = insert.excluded[sooner] < table.c[sooner] if sooner else None
    return insert.on_conflict_do_update(index_elements=key, set_=values, where=only)
