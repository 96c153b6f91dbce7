"""The audit's rows: the database refuses to change them, and a check finds who did it all the same."""

import sqlite3
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.postgres import Postgres

from hutong.adapters.store.open import open_store
from hutong.core.book.audit import AuditQuery, Author, event_document
from hutong.core.book.store import Record, Store
from hutong.core.kernel.chain import ChainCheck, verify

ROWS = 6


def fill(store: Store) -> None:
    for n in range(ROWS):
        author = Author("li", 1_000 + n, "wang", "192.0.2.7", "a reason", "break-glass")
        store.put(Record("project", "p", {"title": f"t{n}", "share": 0.1 * n}), author=author)


@pytest.fixture
def sqlite_url(sqlite_path: Path) -> str:
    """Return the URL of a SQLite store."""
    return f"sqlite:///{sqlite_path}"


def check(url: str) -> ChainCheck:
    store = open_store(url)
    found = verify(event_document(each) for each in store.audit(AuditQuery(limit=1000)))
    store.close()
    return found


def test_sqlite_refuses_to_change_or_remove_a_row(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    fill(store)
    store.close()
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        for statement in ("UPDATE audit SET actor = 'wu'", "DELETE FROM audit"):
            with pytest.raises(sqlite3.IntegrityError, match="never changed"):
                connection.execute(statement)
    connection.close()
    assert check(sqlite_url).events == ROWS


def test_postgresql_refuses_to_change_or_remove_a_row(server: Postgres) -> None:
    url = server.new_store()
    store = open_store(url)
    fill(store)
    store.close()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in ("UPDATE audit SET actor = 'wu'", "DELETE FROM audit", "TRUNCATE audit"):
            with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="never changed"):
                connection.execute(statement)
    assert check(url).events == ROWS


@pytest.fixture
def opened(sqlite_url: str) -> Path:
    """Return a filled store's file whose triggers somebody took away."""
    store = open_store(sqlite_url)
    fill(store)
    store.close()
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    connection = sqlite3.connect(path)
    for verb in ("update", "delete"):
        connection.execute(f"DROP TRIGGER audit_no_{verb}")
    connection.commit()
    connection.close()
    return path


COLUMNS = (
    "seq", "at_ms", "actor", "on_behalf_of", "action", "object", "before", "after", "address", "reason",
    "mark", "prev", "hash",
)  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.integers(1, ROWS), column=st.sampled_from(COLUMNS), data=st.data())
def test_one_changed_byte_of_any_field_of_any_row_is_found(
    opened: Path, row: int, column: str, data: st.DataObject
) -> None:
    connection = sqlite3.connect(opened)
    (value,) = connection.execute(f'SELECT "{column}" FROM audit WHERE seq = ?', (row,)).fetchone()  # noqa: S608
    changed: str | int
    if isinstance(value, int):
        changed = value ^ (1 << data.draw(st.integers(0, 20)))
    elif value:
        at = data.draw(st.integers(0, len(value) - 1))
        letter = data.draw(st.characters(codec="ascii", exclude_characters=value[at]))
        changed = value[:at] + letter + value[at + 1 :]
    else:
        changed = "x"
    try:
        connection.execute(f'UPDATE audit SET "{column}" = ? WHERE seq = ?', (changed, row))  # noqa: S608
    except sqlite3.IntegrityError:  # that number is taken
        connection.close()
        return
    connection.commit()
    found = check(f"sqlite:///{opened}")
    place = changed if column == "seq" else row
    connection.execute(f'UPDATE audit SET "{column}" = ? WHERE seq = ?', (value, place))  # noqa: S608
    connection.commit()
    connection.close()
    assert found.faults
    assert row in {each.seq for each in found.faults}
    assert check(f"sqlite:///{opened}").faults == ()
