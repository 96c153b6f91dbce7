"""Sums by hour, day and month in SQL: kept by the transaction that writes what they sum, and made anew."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from hutong.adapters.store import rollup_rules, rules
from hutong.adapters.store.asking import Asking, asking
from hutong.adapters.store.bulk import merge_rows, streaming
from hutong.adapters.store.codec import decode_job, decode_site, decode_spec
from hutong.adapters.store.db import Database, run_among
from hutong.adapters.store.ledger_rows import USAGE, record_of, with_entries
from hutong.adapters.store.ledger_tables import lots, txns, usage
from hutong.adapters.store.rollup_tables import first_uses, pool_notes, rollups, waits
from hutong.adapters.store.sealed_tables import pool_hours
from hutong.adapters.store.tables import jobs, registry
from hutong.adapters.store.tenants import tenants_of
from hutong.core.accounts.registry import Institution
from hutong.core.book import rollups as r
from hutong.core.book.money import LotKind, Txn, UsageRecord
from hutong.core.book.sealed import PoolHour
from hutong.core.book.waits import Shape, Wait, WaitGroup, may_move, shape_of, told, waiting
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.work.facts import Fact
from hutong.core.work.fold import Job
from hutong.core.work.spec import JobSpec

Moved = tuple[Job, Sequence[Fact] | None, JobSpec, ProjectId]
_AT_ONCE = 2000


class Booked:
    """Keeps the sums of what is booked: asks for what they need to know, then adds to them.

    Made of records and transactions of which those are to be that are counted.
    """

    def __init__(self, ask: Asking, records: Iterable[UsageRecord], some: Iterable[Txn]) -> None:
        names = sorted({name for _, name in r.first_uses(records)})
        self._first = ask.among(_FIRST, first_uses.c.name, names)
        self._kinds = ask.among(_KINDS, lots.c.account, r.lot_accounts(some))

    def count(self, connection: sa.Connection, records: Sequence[UsageRecord], some: Sequence[Txn]) -> None:
        """Add to the sums of use and of money, and note who used something first."""
        with streaming(connection):
            if records:
                add_rows(connection, r.USE, r.use_rows(records))
                add_rows(connection, r.PEOPLE, r.people_rows(records))
                self._note_first(connection, r.first_uses(records))
            if r.lot_accounts(some):
                kinds = {row["account"]: LotKind(row["kind"]) for row in self._kinds}
                add_rows(connection, r.MONEY, r.money_rows(some, kinds))

    def _note_first(self, connection: sa.Connection, found: Mapping[tuple[str, str], int]) -> None:
        """Write who is new, or was here earlier than was known; whoever is known is only read."""
        known = {(row["scope"], row["name"]): row["at_ms"] for row in self._first}
        news = [
            {"scope": scope, "name": name, "at_ms": at_ms}
            for (scope, name), at_ms in sorted(found.items())
            if at_ms < known.get((scope, name), at_ms + 1)
        ]
        merge_rows(connection, first_uses, news, ("scope", "name"), put=("at_ms",), sooner="at_ms")


def count_booked(connection: sa.Connection, records: Sequence[UsageRecord], some: Sequence[Txn]) -> None:
    """Add usage records and transactions to the sums."""
    with asking(connection) as ask:
        booked = Booked(ask, records, some)
    booked.count(connection, records, some)


def count_work(connection: sa.Connection, moved: Sequence[Moved]) -> None:
    """Note how jobs wait after their newest facts, and add what they tell to the sums of work."""
    moved = moving(moved)
    tenants = tenants_of(connection, tellers(moved))
    with streaming(connection):
        add_work(connection, moved, tenants)


def moving(moved: Iterable[Moved]) -> list[Moved]:
    """Return those whose newest facts may change how they wait, or what is told of them."""
    return [each for each in moved if each[1] is None or may_move(each[1])]


def tellers(moved: Iterable[Moved]) -> list[str]:
    """Return the projects of those that add to the sums of work, in order."""
    return sorted({each[3] for each in moved if told(*each[:3], None)})


def add_work(connection: sa.Connection, moved: Sequence[Moved], tenants: Mapping[str, Institution]) -> None:
    """Do what `count_work` does for `moving` jobs, of whose projects the institutions are known."""
    shapes: dict[int, Shape] = {}  # few specs among many jobs
    left, rows, parts = [], [], []
    for job, facts, spec, project in sorted(moved, key=_job_id):
        if id(spec) not in shapes:
            shapes[id(spec)] = shape_of(spec)
        wait = waiting(job, shapes[id(spec)], project)
        if wait is None:
            left.append(job.id)
        else:
            rows.append(dict(zip(_WAIT, _read(wait), strict=True)))
        parts.append(told(job, facts, spec, tenants.get(project)))
    run_among(connection, _LEFT, waits.c.job, left)
    merge_rows(connection, waits, rows, ("job",), put=("code",))
    add_rows(connection, r.WORK, r.merged(parts))


def count_hours(connection: sa.Connection, hours: Sequence[PoolHour]) -> None:
    """Add what hours of one site's pools say to the sums, and take off what they said before.

    To be called before these hours are written.
    """
    if not hours:
        return
    known = sa.select(pool_hours).where(pool_hours.c.site == hours[0].site)
    known = known.where(pool_hours.c.hour.in_(sorted({each.hour for each in hours})))
    news = {(each.hour, each.pool) for each in hours}
    rows = (PoolHour(**row) for row in connection.execute(known).mappings())
    before = [each for each in rows if (each.hour, each.pool) in news]
    add_rows(connection, r.SEEN, r.instead(r.seen_rows(before), r.seen_rows(hours)))


_LEFT, _WAIT = waits.delete(), tuple(each.name for each in fields(Wait))
_read = attrgetter(*_WAIT)


def _job_id(each: Moved) -> str:
    return each[0].id


_KINDS = sa.select(lots.c.account, lots.c.kind)
_FIRST = sa.select(first_uses).where(sa.or_(first_uses.c.scope == "person", first_uses.c.scope == "project"))


def add_rows(connection: sa.Connection, family: r.Family, rows: Mapping[r.Key, r.Sums]) -> None:
    """Add rows by hour to their sums of every grain, in the order of their keys: no two wait in a ring."""
    found = r.spread(family, rows)
    for coarse in family.coarser:
        _add_spread(connection, coarse, r.coarsened(family, coarse, found))
    _add_spread(connection, family, found)


def _add_spread(connection: sa.Connection, family: r.Family, found: Mapping[r.Key, r.Sums]) -> None:
    columns = ("grain", "at", *family.names, *family.sums)
    told_ = [dict(zip(columns, (*key, *found[key]), strict=True)) for key in sorted(found)]
    key = ("grain", "at", *family.names)
    merge_rows(connection, rollups[family.id], told_, key, add=family.sums)


class Rollups:
    """The part of the store that reports read."""

    _db: Database

    def rollup(self, query: r.RollupQuery) -> tuple[r.Group, ...]:
        """Return sums in groups, in the order of their keys. Raises Refused for too many groups."""
        found: r.Rows = {}
        parts = r.parts_of(query)
        if parts:
            at = len(query.by)
            with self._db.read() as connection:
                for row in connection.execute(_asking(query, parts)):
                    cells: Sequence[Any] = row
                    found[tuple(cells[:at])] = tuple(map(int, cells[at:]))
        rollup_rules.check_groups(len(found))
        return r.groups(found)

    def waiting(self, hours: tuple[int, int]) -> tuple[WaitGroup, ...]:
        """Return the jobs that wait for their first start, submitted in these hours, in groups."""
        hour = waits.c.since_ms.op("/")(sa.literal_column(str(HOUR_MS))).label("hour")
        names = (waits.c.project, hour, waits.c.asked, waits.c.size, waits.c.code)
        sums = (sa.func.count().label("jobs"), sa.func.sum(waits.c.card_ms).label("card_ms"))
        query = sa.select(*names, *sums)
        query = query.where(waits.c.since_ms >= hours[0] * HOUR_MS, waits.c.since_ms < hours[1] * HOUR_MS)
        query = query.group_by(*names).order_by(*names).limit(r.GROUPS_MOST + 1)
        with self._db.read() as connection:
            rows = connection.execute(query).mappings()
            found = [WaitGroup(**{**row, "card_ms": int(row["card_ms"])}) for row in rows]
        rollup_rules.check_groups(len(found))
        return tuple(found)

    def first_uses(self, span: tuple[int, int], after: tuple[str, str], limit: int) -> tuple[r.FirstUse, ...]:
        """Return who used something first in a span of UTC ms, in order of scope and name above `after`."""
        query = sa.select(first_uses.c.scope, first_uses.c.name, first_uses.c.at_ms)
        query = query.where(first_uses.c.at_ms >= span[0], first_uses.c.at_ms < span[1])
        query = query.where(sa.tuple_(first_uses.c.scope, first_uses.c.name) > sa.tuple_(*after))
        query = query.order_by(first_uses.c.scope, first_uses.c.name).limit(rules.page(limit))
        with self._db.read() as connection:
            return tuple(r.FirstUse(*row) for row in connection.execute(query))

    def pool_notes(self, span: tuple[int, int]) -> tuple[r.PoolNote, ...]:
        """Return what pools were in a span of UTC ms: of each the last note before it, and all in it."""
        before = sa.select(
            pool_notes.c.site, pool_notes.c.pool, sa.func.max(pool_notes.c.from_ms).label("at")
        )
        before = before.where(pool_notes.c.from_ms <= span[0]).group_by(pool_notes.c.site, pool_notes.c.pool)
        last = before.subquery()
        same = sa.and_(
            pool_notes.c.site == last.c.site,
            pool_notes.c.pool == last.c.pool,
            pool_notes.c.from_ms == last.c.at,
        )
        inside = sa.and_(pool_notes.c.from_ms > span[0], pool_notes.c.from_ms < span[1])
        first = sa.select(*_NOTE).join(last, same)
        query = sa.union_all(first, sa.select(*_NOTE).where(inside)).limit(r.GROUPS_MOST + 1)
        with self._db.read() as connection:
            found = sorted((r.PoolNote(*row) for row in connection.execute(query)), key=_place)
        rollup_rules.check_groups(len(found))
        return tuple(found)

    def note_pools(self, now_ms: int) -> int:
        """Note what pools are now where it is another than before; return how many notes that made."""

        def work(connection: sa.Connection) -> int:
            texts = connection.execute(
                sa.select(registry.c.doc).where(registry.c.kind == rules.SITE)
            ).scalars()
            now = rollup_rules.pools_now([decode_site(text) for text in texts], now_ms)
            last = sa.select(
                pool_notes.c.site, pool_notes.c.pool, sa.func.max(pool_notes.c.from_ms).label("at")
            )
            newest = last.group_by(pool_notes.c.site, pool_notes.c.pool).subquery()
            same = sa.and_(
                pool_notes.c.site == newest.c.site,
                pool_notes.c.pool == newest.c.pool,
                pool_notes.c.from_ms == newest.c.at,
            )
            known = [r.PoolNote(*row) for row in connection.execute(sa.select(*_NOTE).join(newest, same))]
            news = rollup_rules.pool_news(known, now, now_ms)
            values = ("accelerator", "installed", "available")
            key, rows = ("site", "pool", "from_ms"), [asdict(each) for each in news]
            merge_rows(connection, pool_notes, rows, key, put=values)
            return len(news)

        return self._db.write(work)

    def rebuild_rollups(self) -> int:
        """Make the sums anew from records, transactions and jobs; return of how many. Writers wait."""
        return self._db.write(lambda connection: rebuild(self._db, connection))


_NOTE = [pool_notes.c[name] for name in ("site", "pool", "from_ms", "accelerator", "installed", "available")]


def _place(note: r.PoolNote) -> tuple[str, str, int]:
    return note.site, note.pool, note.from_ms


def _asking(
    query: r.RollupQuery, parts: Sequence[tuple[r.Family, r.Grain, int, int]]
) -> sa.Select[*tuple[object, ...]]:
    """Return one statement over all parts: the database adds up, and sends each group once."""
    rows = sa.union_all(*(_part(query, *part) for part in parts)).subquery()
    names = [rows.c[name] for name in query.by]
    ask = sa.select(*names, *(sa.func.sum(rows.c[name]).label(name) for name in query.family.sums))
    # Without groups a sum over nothing is a row of nulls.
    if not names:
        return ask.having(sa.func.count() > 0)
    return ask.group_by(*names).limit(r.GROUPS_MOST + 1)


def _part(
    query: r.RollupQuery, family: r.Family, grain: r.Grain, first: int, after: int
) -> sa.Select[*tuple[object, ...]]:
    table = rollups[family.id]
    part = sa.select(*(table.c[name] for name in (*query.by, *family.sums)))
    part = part.where(table.c.grain == sa.literal_column(str(int(grain))))
    part = part.where(table.c["at"] >= first, table.c["at"] < after)
    for name, values in query.where.items():
        if values:
            part = part.where(table.c[name].in_(sorted(values)))
    return part


def rebuild(db: Database, connection: sa.Connection) -> int:
    """Make all sums anew in the caller's transaction, in constant memory; return of how many rows."""
    tables = [*rollups.values(), waits, first_uses]
    db.lock_tables(connection, tables)
    for table in tables:
        connection.execute(table.delete())
    count = 0
    for records in _pages(connection, USAGE, usage.c.id):
        count_booked(connection, [record_of(row) for row in records], ())
        count += len(records)
    for rows in _pages(connection, sa.select(txns), txns.c.id):
        count_booked(connection, (), with_entries(connection, [row._mapping for row in rows]))
        count += len(rows)
    for rows in _pages(connection, sa.select(jobs.c.id, jobs.c.project, jobs.c.job, jobs.c.spec), jobs.c.id):
        moved = [(decode_job(row.job), None, decode_spec(row.spec), ProjectId(row.project)) for row in rows]
        count_work(connection, moved)
        count += len(rows)
    return count + add_seen(connection)


def add_seen(connection: sa.Connection) -> int:
    """Add all hours of pools to sums that are empty, in constant memory; return how many hours that were."""
    place = (pool_hours.c.site, pool_hours.c.hour, pool_hours.c.pool)
    query = sa.select(pool_hours).order_by(*place).limit(_AT_ONCE)
    after: tuple[str, int, str] = ("", -1, "")
    count = 0
    while rows := connection.execute(query.where(sa.tuple_(*place) > sa.tuple_(*after))).mappings().all():
        hours = [PoolHour(**row) for row in rows]
        add_rows(connection, r.SEEN, r.seen_rows(hours))
        after = (hours[-1].site, hours[-1].hour, hours[-1].pool)
        count += len(hours)
    return count


def _pages(
    connection: sa.Connection, query: sa.Select[*tuple[object, ...]], id_: sa.Column[str]
) -> Iterator[Sequence[sa.Row[*tuple[object, ...]]]]:
    after = ""
    while rows := connection.execute(query.where(id_ > after).order_by(id_).limit(_AT_ONCE)).all():
        after = str(rows[-1]._mapping[id_])
        yield rows
