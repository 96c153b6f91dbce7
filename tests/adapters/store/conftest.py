"""Databases for tests of what only the SQL stores do."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "conformance"))


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hutong.db'}"
    return str(request.getfixturevalue("server").new_database())


@pytest.fixture
def sqlite_path(migrated: Path, tmp_path: Path) -> Path:
    """Return the file of a fresh SQLite store."""
    return Path(shutil.copy(migrated, tmp_path / "hutong.db"))


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a fresh store."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('sqlite_path')}"
    return str(request.getfixturevalue("server").new_store())
