"""Use by day in a book that is older than it: the migration adds up what is there."""

from importlib import import_module

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from test_store_uses import ALL, DAY, P, Q, used

from hutong.adapters.store.open import open_store
from hutong.core.book.money import Posting
from hutong.core.book.uses import UseQuery
from hutong.core.kernel.days import month_days

AHEAD = ("ahead_site", "ahead_sku", "ahead_card_ms", "ahead_micro", "ahead_j")


def test_records_of_an_older_book_are_added_up_by_day_and_month(store_url: str) -> None:
    store = open_store(store_url)
    edges = [day for month in (673, 674, 675) for day in (month_days(month)[0], month_days(month)[1] - 1)]
    records = [used(f"e{day}", day=day) for day in (*edges, 0, DAY)]
    store.post(Posting(usage=(*records, used("q", Q), used("t", unit="token_in", sku="poet"))))
    by_month = UseQuery(None, ALL, ("project", "month"))
    before = store.uses(by_month)
    assert len(before) > 4
    store.close()
    engine = sa.create_engine(store_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE uses"))
        connection.execute(sa.text("DROP INDEX ix_jobs_ahead"))
        for name in AHEAD:
            connection.execute(sa.text(f"ALTER TABLE jobs DROP COLUMN {name}"))
        connection.execute(sa.text("ALTER TABLE usage DROP COLUMN person"))
        with Operations.context(MigrationContext.configure(connection)):
            import_module("hutong.adapters.store.migrations.versions.0021_uses").upgrade()
    engine.dispose()
    store = open_store(store_url)
    assert store.uses(by_month) == before
    assert [use.key for use in store.uses(UseQuery(frozenset({P}), ALL, ("person",)))] == [
        ("", "card_ms"),
        ("", "token_in"),
    ]
    assert not [fault for fault in store.check_ledger().faults if fault.startswith("L11")]
    store.close()
