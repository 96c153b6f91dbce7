"""Every store that the suite runs against, each fresh for each test."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hutong.adapters.store.open import migrate, open_store
from hutong.core.book.store import Store

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from postgres import Postgres

STORES = ("memory", "sqlite", "postgres")


@pytest.fixture(scope="session")
def new_database() -> Iterator[Callable[[], str]]:
    """Return what makes an empty PostgreSQL database and returns its URL."""
    with Postgres() as server:
        yield server.new_database


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("store") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


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
