"""Sums of sealed hours in a book that is older than they are: made of the hours, with the pools' cards."""

from importlib import import_module

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from hutong.adapters.store.open import open_store
from hutong.adapters.store.rollups import add_seen
from hutong.adapters.store.sql import SqlStore
from hutong.core.book import rollups as r
from hutong.core.book.sealed import PoolHour, SealedReport
from hutong.core.book.store import Record
from hutong.core.kernel.chain import GENESIS
from hutong.core.kernel.quantities import HOUR_MS

POOL = {
    "id": "a", "accelerator": "H100", "nodes": 1, "cards_per_node": 8, "pue_milli": 1200,
    "price_micro_per_card_hour": 1, "stack": "cuda",
}  # fmt: skip
SITE = {
    "id": "east", "name_zh": "东", "name_en": "East", "region": "north", "distance_km": 1, "engine": "local",
    "pools": [POOL], "supply": {"green_ppm": [0] * 24, "grams_per_kwh": [0] * 24, "source": "test"},
}  # fmt: skip
MIGRATION = "hutong.adapters.store.migrations.versions.0034_seen_sums"


def age(connection: sa.Connection) -> None:
    """Take away what the migration brings, and bring it anew."""
    connection.execute(sa.text("DROP TABLE seen_rollups"))
    connection.execute(sa.text("ALTER TABLE pool_hours DROP COLUMN accelerator"))
    with Operations.context(MigrationContext.configure(connection)):
        import_module(MIGRATION).upgrade()


def test_hours_of_an_older_book_are_added_up_under_the_cards_that_were_noted(empty_url: str) -> None:
    store = open_store(empty_url)
    assert isinstance(store, SqlStore)
    store.put(Record("site", "east", SITE))
    store.note_pools(5)
    report = SealedReport("east", 1, GENESIS, "h", "k", "00", "{}", 5)
    hours = [
        PoolHour("east", pool, 24 * 40 + at, 8, HOUR_MS, 0, 5, 0, at or None, "m", 1, 0, accelerator)
        for at in range(3)
        for pool, accelerator in (("a", "H100"), ("gone", ""))
    ]
    store.keep_sealed([report], hours)
    asked = r.RollupQuery(r.SEEN, (0, 24 * 60), r.SEEN.names)
    before = store.rollup(asked)
    assert [group.key for group in before] == [
        ("east", "", ""), ("east", "", "m"), ("east", "H100", ""), ("east", "H100", "m"),
    ]  # fmt: skip
    store._db.write(age)
    assert store.rollup(asked) == ()
    assert store._db.write(add_seen) == 6
    assert store.rollup(asked) == before
    assert store.check_ledger().faults == ()
    store.close()
