"""Opening a store: migrations from empty, guards in the database itself, plain words for bad URLs."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from book_samples import P, charge, finish, fund, key_of, overspend, place, queue, run, wish
from tests.postgres import Postgres

from hutong.adapters.store import budgets, heads, holdings, periods, snapshots, statements
from hutong.adapters.store.open import migrate, open_store
from hutong.adapters.store.schema import metadata
from hutong.adapters.store.sql import SqlStore
from hutong.adapters.store.tables import IN_QUEUE, jobs
from hutong.core.book.money import Posting
from hutong.core.book.store import JobQuery
from hutong.core.kernel.errors import Refused


@pytest.fixture
def engine(store_url: str) -> Iterator[sa.Engine]:
    plain = engine_of(store_url)
    yield plain
    plain.dispose()


def engine_of(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))


def test_migrating_from_empty_gives_the_tables_that_the_code_uses(empty_url: str) -> None:
    migrate(empty_url)
    engine = engine_of(empty_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
        checks = {
            (table, check["name"])
            for table in metadata.tables
            for check in sa.inspect(connection).get_check_constraints(table)
        }
    engine.dispose()
    assert checks == {
        (table.name, check.name)
        for table in metadata.tables.values()
        for check in table.constraints
        if isinstance(check, sa.CheckConstraint)
    }


def test_the_indexes_that_keep_turns_cheap_are_partial(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        dialect = connection.dialect.name
        found = {
            index["name"]: str(index.get("dialect_options", {}).get(f"{dialect}_where", ""))
            for index in sa.inspect(connection).get_indexes("jobs")
        }
    assert "due_ms IS NOT NULL" in found["ix_jobs_due"]
    assert "QUEUED" in found["ix_jobs_queue"]
    assert "due_ms > queued_ms" in found["ix_jobs_queue"]
    assert "due_ms > queued_ms" in found["ix_jobs_people"]
    assert "site IS NOT NULL" in found["ix_jobs_live"]
    assert "idempotency_key" in found["uq_jobs_wish"]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            sa.select(sa.func.min(jobs.c.project)).where(sa.text(IN_QUEUE), jobs.c.project > "a"),
            "ix_jobs_(queue|people)",
        ),
        (heads.head_of(sa.literal("a")).params(most=5), "ix_jobs_queue"),
        (
            heads.people_of("sqlite").params(quotas=["project/a", "project/b"]).order_by(None),
            "ix_jobs_people",
        ),
        (heads.head_of(sa.literal("a"), sa.literal("ann")).params(most=5), "ix_jobs_people"),
    ],
    ids=["projects", "share", "people", "share of a person"],
)
def test_a_turn_reads_the_queue_by_its_own_indexes(
    engine: sa.Engine, query: sa.Select[Any], index: str
) -> None:
    text = plan_of(engine, query)
    assert re.search(index, text)
    assert "SORT" not in text.upper()
    assert "TEMP B-TREE" not in text


@pytest.mark.parametrize(
    ("query", "index"),
    [(holdings.GANGS, "ix_jobs_live"), (holdings.HELD, "ix_jobs_live"),
     (holdings.BY_PERSON.where(holdings.OF_PROJECT.in_(("p1", "p2"))), "ix_jobs_live"),
     (snapshots.CLEARING, "ix_jobs_way"),
     (sa.select(snapshots.WAY), "ix_jobs_way"),
     (budgets.AHEAD.where(jobs.c.project.in_(["p1", "p2"])), "ix_jobs_ahead")],
    ids=["use", "held", "held by people", "clearing", "may give way", "may use"],
)  # fmt: skip
def test_a_turn_reads_what_runs_without_what_ever_ran(
    engine: sa.Engine, query: sa.Select[Any], index: str
) -> None:
    text = plan_of(engine, query)
    assert index in text
    assert "ix_jobs_project" not in text


def test_what_is_dead_in_an_index_is_read_once_though_nobody_vacuums(server: Postgres) -> None:
    store = open_store(server.new_store())
    assert isinstance(store, SqlStore)
    run(store, 1, 100)
    with store._db.writer.begin() as connection:
        connection.execute(sa.text("ALTER TABLE jobs SET (autovacuum_enabled = off)"))
        for at in range(500):
            connection.execute(jobs.update().values(until_ms=1000 + at))

    def pages_read() -> int:
        with store._db.writer.begin() as connection:
            text = str(holdings.GANGS.compile(connection))
            plan = connection.execute(sa.text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}")).scalar_one()
        return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])

    first = pages_read()
    assert pages_read() < first / 5
    store.close()


def test_a_statement_reads_the_free_use_of_its_month_only(engine: sa.Engine) -> None:
    text = plan_of(engine, statements.free_use("p1", (100, "r1"), 200))
    assert "ix_usage_free" in text
    assert "sort" not in text.lower()
    assert "b-tree" not in text.lower()


def test_closing_a_month_reads_the_charges_of_that_month_only(engine: sa.Engine) -> None:
    text = plan_of(engine, periods.taken("2026-11"))
    assert "ix_txns_period" in text
    assert "ix_entries_account" not in text
    assert "seq scan" not in text.lower()


def plan_of(engine: sa.Engine, query: sa.Select[Any]) -> str:
    """Return how the database would answer a query."""
    with engine.connect() as connection:
        sqlite = connection.dialect.name == "sqlite"
        if not sqlite:
            for scan in ("seqscan", "bitmapscan"):
                connection.execute(sa.text(f"SET enable_{scan} = off"))
        verb = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
        text = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = connection.execute(sa.text(f"{verb} {text}")).all()
    return " ".join(str(row) for row in plan)


def test_a_book_from_before_limits_by_person_knows_whose_jobs_wait_and_run(
    store_url: str, engine: sa.Engine
) -> None:
    store = open_store(store_url)
    place(store, 1, 100, by="bob")
    queue(store, 2, 100, by="eve")
    run(store, 3, 100)
    finish(store, 3, 200)
    store.close()
    with engine.begin() as connection:
        for index in ("ix_jobs_people", "ix_jobs_ahead"):
            connection.execute(sa.text(f"DROP INDEX {index}"))
        connection.execute(sa.text("ALTER TABLE jobs DROP COLUMN person"))
        with Operations.context(MigrationContext.configure(connection)):
            import_module("hutong.adapters.store.migrations.versions.0011_person").upgrade()
    with engine.connect() as connection:
        people = connection.execute(sa.select(jobs.c.person).order_by(jobs.c.id)).scalars().all()
    assert people == ["bob", "eve", ""]


def test_a_book_from_before_nodes_were_told_knows_on_how_many_its_jobs_run(
    store_url: str, engine: sa.Engine
) -> None:
    store = open_store(store_url)
    run(store, 1, 100)
    queue(store, 2, 100)
    store.close()
    with engine.begin() as connection:
        connection.execute(sa.text("DROP INDEX ix_jobs_live"))
        connection.execute(sa.text("ALTER TABLE jobs DROP COLUMN nodes"))
        live = "ON jobs (site, pool, until_ms, cards) WHERE site IS NOT NULL"
        connection.execute(sa.text(f"CREATE INDEX ix_jobs_live {live}"))
        with Operations.context(MigrationContext.configure(connection)):
            import_module("hutong.adapters.store.migrations.versions.0033_nodes").upgrade()
    with engine.connect() as connection:
        nodes = connection.execute(sa.select(jobs.c.nodes).order_by(jobs.c.id)).scalars().all()
    assert nodes == [2, 0]


def test_migrating_again_changes_nothing_and_keeps_what_is_there(store_url: str) -> None:
    store = open_store(store_url)
    store.submit([wish(1)], 100)
    store.close()
    migrate(store_url)
    store = open_store(store_url)
    assert len(store.jobs(JobQuery())) == 1
    store.close()


def test_a_store_of_a_newer_release_is_left_alone(store_url: str, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Refused) as newer:
        open_store(store_url)
    assert newer.value.code == "newer_store"
    assert "9999" in newer.value.message


@pytest.mark.parametrize("table", ["facts", "receipts", "txns", "entries", "usage"])
def test_what_happened_cannot_be_changed_even_by_hand(store_url: str, engine: sa.Engine, table: str) -> None:
    store = open_store(store_url)
    place(store, 1, 100)
    fund(store, "a1", 1000)
    txn, used = charge(key_of(1), "a1", 10)
    store.post(Posting((txn,), usage=(used,)))
    store.close()
    rows = metadata.tables[table]
    column = list(rows.columns)[-1]
    for statement in (rows.update().values({column: column}), rows.delete()):
        with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match="never change"):
            connection.execute(statement)
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(rows)).scalar()


def test_the_database_itself_refuses_an_overdrawn_lot(store_url: str, engine: sa.Engine) -> None:
    store = open_store(store_url)
    fund(store, "a1", 1000)
    for change in ({"held_micro": 1001}, {"posted_micro": -1}, {"held_micro": -1}):
        with engine.connect() as connection, pytest.raises(sa.exc.IntegrityError):
            connection.execute(metadata.tables["accounts"].update().values(change))
    assert [each.posted_micro for each in store.lots(P)] == [1000]
    store.close()


def test_the_audit_finds_a_balance_changed_by_hand(store_url: str, engine: sa.Engine) -> None:
    store = open_store(store_url)
    fund(store, "a1", 1000)
    overspend(store, "1", 7)
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE accounts SET posted_micro = 999, held_micro = 3 WHERE id = 'lot:a1'")
        )
        connection.execute(sa.text("UPDATE accounts SET posted_micro = 0 WHERE id = 'issued'"))
        connection.execute(sa.text("UPDATE accounts SET posted_micro = 5 WHERE id LIKE 'overrun:%'"))
    faults = store.check_ledger().faults
    assert sorted(fault[:2] for fault in faults) == ["L5", "L6", "L6", "L6", "L6"]
    assert any("999" in fault and "1000" in fault for fault in faults)
    store.close()


def test_postgresql_refuses_an_unbalanced_transaction_at_its_commit(server: Postgres) -> None:
    url = server.new_store()
    store = open_store(url)
    fund(store, "a1", 1000)
    plain = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with plain.connect() as connection:
        connection.execute(sa.text("INSERT INTO txns VALUES ('t', 'usage', 'p', 0, 'c')"))
        connection.execute(sa.text("INSERT INTO entries VALUES ('t', 0, 'revenue', 5)"))
        with pytest.raises(sa.exc.DBAPIError, match="sum to 5"):
            connection.commit()
    plain.dispose()
    assert [txn.id for txn in store.txns(P, "", "", 10)] == ["award-a1"]
    store.close()


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:", "sqlite:////no/such/folder/x.db"],
)
def test_a_url_that_names_no_store_is_refused_in_plain_words(url: str) -> None:
    with pytest.raises(Refused) as refused:
        open_store(url)
    assert refused.value.code == "bad_store_url"
    assert "memory:" in refused.value.problems[0].hint


def test_a_folder_is_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        open_store(f"sqlite:///{tmp_path}")
