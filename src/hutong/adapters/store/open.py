"""Opening a store by URL, with its schema up to date."""

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from hutong.adapters.store.db import Database
from hutong.adapters.store.dialect import PostgresDatabase, SqliteDatabase
from hutong.adapters.store.memory.store import MemoryStore
from hutong.adapters.store.months import check_zone
from hutong.adapters.store.rollups import add_seen, rebuild
from hutong.adapters.store.sql import SqlStore
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Problem, Refused

ZONE = "Asia/Shanghai"
_FORMS = "memory:, sqlite:///data/hutong.db, or postgresql://user@host/database"


def open_store(url: str, zone: str = ZONE) -> Store:
    """Return the store at `url`, migrated to this release; raises Refused for a URL that names none.

    Its billing periods are months of the IANA zone `zone`.

    `memory:` forgets everything when it is closed; `sqlite:///path` is one file (made if missing, its
    folder is not); `postgresql://...` is a database.
    """
    if url == "memory:":
        return MemoryStore(check_zone(zone))
    db = _connect(url)
    db.zone = check_zone(zone)
    try:
        _upgrade(db)
    except BaseException:
        db.close()
        raise
    return SqlStore(db)


def migrate(url: str) -> None:
    """Bring the schema of the store at `url` up to this release; nothing happens if it is."""
    if url != "memory:":
        db = _connect(url)
        try:
            _upgrade(db)
        finally:
            db.close()


def _connect(url: str) -> Database:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise _refused(f"{url!r} is not a URL") from None
    if parsed.drivername == "sqlite":
        if parsed.database in {None, "", ":memory:"}:
            raise _refused(f"{url!r} names no file")
        path = Path(str(parsed.database))
        if not path.parent.is_dir():
            raise _refused(f"there is no folder {path.parent} for the store's file")
        if path.is_dir():
            raise _refused(f"{path} is a folder, not a file")
        return SqliteDatabase(path)
    if parsed.drivername in {"postgresql", "postgresql+psycopg", "postgres"}:
        return PostgresDatabase(parsed)
    raise _refused(f"there is no store of the kind {parsed.drivername!r}")


def _refused(message: str) -> Refused:
    return Refused("bad_store_url", message, (Problem("/store", message, _FORMS),))


def _config() -> Config:
    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config


@cache
def _newest() -> str | None:
    """Return the revision of this release; to find it every migration is loaded."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _upgrade(db: Database) -> None:
    def work(connection: sa.Connection) -> None:
        db.lock_schema(connection)
        if MigrationContext.configure(connection).get_current_revision() == _newest():
            return
        config = _config()
        config.attributes["connection"] = connection
        there = sa.inspect(connection).has_table
        no_sums, none_seen = not there("waits"), not there("seen_rollups")
        command.upgrade(config, "head")
        # Of a store from before there were these sums, they are made of what is there.
        if no_sums:
            rebuild(db, connection)
        elif none_seen:
            add_seen(connection)

    try:
        db.write(work)
    except CommandError as error:
        raise Refused("newer_store", f"this store belongs to another release of Hutong: {error}") from error
