"""A PostgreSQL server for tests of what only the SQL stores do."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[2] / "conformance"))

from postgres import Postgres


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """Return a running server."""
    with Postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hutong.db'}"
    return str(request.getfixturevalue("server").new_database())
