"""Every store that the suite runs against, each fresh for each test."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.postgres import Postgres

from hutong.adapters.store.open import open_store
from hutong.core.book.store import Store

sys.path.insert(0, str(Path(__file__).parent))

STORES = ("memory", "sqlite", "postgres")


@pytest.fixture(scope="session")
def new_database(server: Postgres) -> Callable[[], str]:
    """Return what makes a fresh store in PostgreSQL and returns its URL."""
    return server.new_store


@pytest.fixture
def sqlite_url(migrated: Path, tmp_path: Path) -> str:
    """Return the URL of a fresh SQLite store."""
    path = tmp_path / "hutong.db"
    shutil.copy(migrated, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a fresh store of each kind."""
    match request.param:
        case "sqlite":
            return str(request.getfixturevalue("sqlite_url"))
        case "postgres":
            return str(request.getfixturevalue("new_database")())
        case _:
            return "memory:"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """Return a fresh store of each kind."""
    opened = open_store(url)
    yield opened
    opened.close()
