"""Many rows in one statement of PostgreSQL: they go there as one JSON document, typed by the table's columns.

A statement that is run once for each row costs its client a binding of every value, which was most of a turn.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from hutong.adapters.store.codec import encode

NAME = "name"
"""The parameter by which a change of rows finds its row."""

_NEW = "new_"
_ROWS = sa.cast(sa.bindparam("rows", type_=sa.Text()), postgresql.JSON())
_PLAIN = (sa.String, sa.Integer, sa.Boolean)

Rows = Sequence[Mapping[str, object]]


def change_of(table: sa.Table, names: Sequence[str]) -> sa.Update:
    """Return what sets columns of the row whose id is the parameter `NAME` to the parameters `new_...`."""
    row: sa.BindParameter[str] = sa.bindparam(NAME)
    return table.update().where(table.c.id == row).values({n: sa.bindparam(f"{_NEW}{n}") for n in names})


def insert_rows(connection: sa.Connection, table: sa.Table, rows: Rows) -> bool:
    """Insert rows that have the same columns; False, and nothing done, where that must go one by one."""
    if not _may(connection, rows):
        return False
    names = tuple(str(name) for name in rows[0])
    if any(row.keys() != rows[0].keys() for row in rows):
        return False
    if type(next(iter(rows[0]))) is not str:  # rows that were read have names of their own kind of text
        rows = [dict(zip(names, row.values(), strict=True)) for row in rows]
    if not all(isinstance(table.c[name].type, _PLAIN) for name in names):
        return False
    connection.execute(_insert(table, names), {"rows": encode(rows)})
    return True


def change_rows(connection: sa.Connection, table: sa.Table, rows: Rows) -> bool:
    """Do what `change_of` does for rows; False, and nothing done, where that must go one by one."""
    if not _may(connection, rows) or len({row[NAME] for row in rows}) < len(rows):
        return False
    connection.execute(_change(table, tuple(rows[0])), {"rows": encode(rows)})
    return True


def add_to_rows(connection: sa.Connection, table: sa.Table, rows: Rows) -> bool:
    """Insert rows, or add their other columns to those of the row with the same key; no two have one key.

    False, and nothing done, where that must go one by one.
    """
    if not _may(connection, rows):
        return False
    connection.execute(_add(table, tuple(rows[0])), {"rows": encode(rows)})
    return True


def _may(connection: sa.Connection, rows: Rows) -> bool:
    return len(rows) > 1 and connection.dialect.name == "postgresql"


@lru_cache(maxsize=64)
def _insert(table: sa.Table, names: tuple[str, ...]) -> sa.Insert:
    columns = [sa.column(name, table.c[name].type) for name in names]
    given = sa.func.json_to_recordset(_ROWS).table_valued(*columns).render_derived("given", with_types=True)
    return table.insert().from_select(list(names), sa.select(*given.c))


@lru_cache(maxsize=8)
def _change(table: sa.Table, names: tuple[str, ...]) -> sa.Update:
    of = {name: name.removeprefix(_NEW) for name in names if name != NAME}
    columns = [sa.column(NAME, table.c.id.type), *(sa.column(n, table.c[o].type) for n, o in of.items())]
    given = sa.func.json_to_recordset(_ROWS).table_valued(*columns).render_derived("given", with_types=True)
    values = {own: given.c[name] for name, own in of.items()}
    return table.update().where(table.c.id == given.c[NAME]).values(values)


@lru_cache(maxsize=16)
def _add(table: sa.Table, names: tuple[str, ...]) -> postgresql.Insert:
    columns = [sa.column(name, table.c[name].type) for name in names]
    given = sa.func.json_to_recordset(_ROWS).table_valued(*columns).render_derived("given", with_types=True)
    insert = postgresql.insert(table).from_select(list(names), sa.select(*given.c))
    keys = [column.name for column in table.primary_key]
    more = {name: table.c[name] + insert.excluded[name] for name in names if name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=more)
