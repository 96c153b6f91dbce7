"""The bounded snapshot of a turn in SQL: all that is asked of the database is asked in a few steps."""

from collections.abc import Iterable
from dataclasses import fields
from itertools import chain
from operator import itemgetter

import sqlalchemy as sa

from hutong.adapters.store import budget_rules, holdings, rules
from hutong.adapters.store.asking import Rows, asking
from hutong.adapters.store.budgets import OF_PARENT, read_spendings
from hutong.adapters.store.codec import decode_budget, decode_link, decode_pools, decode_site
from hutong.adapters.store.db import MOST, Database
from hutong.adapters.store.heads import DUE, WAITING, Heads
from hutong.adapters.store.jobs import JOBS, job_row
from hutong.adapters.store.ledger_rows import DEBTS, LOTS, PARTS, debt_accounts, debts_of, holds_of, lots_of
from hutong.adapters.store.ledger_tables import accounts, hold_parts, holds, lots
from hutong.adapters.store.lengths import LENGTHS, lengths_of
from hutong.adapters.store.price_lists import price_list
from hutong.adapters.store.stays import STAYS, stays_of
from hutong.adapters.store.tables import absences, jobs, lengths, registry, shares, speeds, statuses
from hutong.adapters.store.tenants import INSTITUTIONS, PROJECTS
from hutong.adapters.store.works import works
from hutong.core.book.prices import BOOK, BOOKS_ID, PRICE, TIMELINES_MAX, PriceList
from hutong.core.book.runs import Runs
from hutong.core.book.shares import decayed, names
from hutong.core.book.snapshot import WAY_MAX, Absence, Limits, PoolUse, Running, Snapshot, use_of
from hutong.core.capacity.links import MOST_LINKS
from hutong.core.capacity.sites import Move, SiteStatus, Transfer
from hutong.core.kernel.ids import AttemptKey, ProjectId, SiteId

_SITES = sa.select(registry.c.doc).where(registry.c.kind == rules.SITE).order_by(registry.c.id)
_LINKS = (
    sa.select(registry.c.doc).where(registry.c.kind == rules.LINK).order_by(registry.c.id).limit(MOST_LINKS)
)
STATUSES = sa.select(statuses)
SPEEDS, SHARES = sa.select(speeds), sa.select(shares)
_ABSENCES = sa.select(absences)
_OPEN_HOLDS = sa.select(holds).where(sa.not_(holds.c.closed))
_BOOKS = sa.select(registry.c.doc).where(registry.c.kind == BOOK, registry.c.id == BOOKS_ID)
_TIMELINES = (
    sa.select(registry.c.doc).where(registry.c.kind == PRICE).order_by(registry.c.id).limit(TIMELINES_MAX)
)
_RUNNING = tuple(each.name for each in fields(Running))
_LIVE = sa.select(jobs.c.id, *(jobs.c[name] for name in _RUNNING)).where(jobs.c.until_ms.is_not(None))
_IN_ORDER = itemgetter("site", "pool", "until_ms", "id")


def ends_of(site: sa.ColumnElement[str], pool: sa.ColumnElement[str]) -> sa.Select[*tuple[object, ...]]:
    """Select the live jobs of a pool that end first, so many at most."""
    live = _LIVE.where(jobs.c.site == site, jobs.c.pool == pool)
    return live.order_by(jobs.c.until_ms, jobs.c.id).limit(sa.bindparam(MOST, type_=sa.Integer()))


# Literals, and the condition of the index as it stands there: else no database uses a partial one.
WAY = (
    sa.select(jobs.c.id)
    .add_columns(
        sa.func.row_number()
        .over(
            partition_by=(jobs.c.site, jobs.c.pool), order_by=(jobs.c.dispatched_ms.desc(), jobs.c.id.desc())
        )
        .label("place")
    )
    .where(sa.text("gives_way > 0 AND gives_way = 1"))
    .subquery()
)
_MAY_GIVE_WAY = (
    sa.select(WAY.c.id)
    .where(WAY.c.place <= WAY_MAX)
    .order_by(WAY.c.place, WAY.c.id)
    .limit(sa.bindparam(MOST, type_=sa.Integer()))
)
CLEARING = (
    sa.select(jobs.c.site, jobs.c.pool, sa.func.sum(jobs.c.cards).label("cards"))
    .where(sa.text("gives_way > 0 AND gives_way = 2"))
    .group_by(jobs.c.site, jobs.c.pool)
    .order_by(jobs.c.site, jobs.c.pool)
)


def read_snapshot(db: Database, connection: sa.Connection, now_ms: int, limits: Limits) -> Snapshot:
    """Return what one turn may know."""
    reading = _Reading(db, connection, now_ms, limits)
    reading.ask_of_projects()
    reading.ask_of_queue()
    return reading.made()


class _Reading:
    """A snapshot in the making; each step asks together for all that the one before makes known."""

    def __init__(self, db: Database, connection: sa.Connection, now_ms: int, limits: Limits) -> None:
        self._db, self._connection, self._now_ms, self._limits = db, connection, now_ms, limits
        with asking(connection) as ask:
            quotas, sites, gangs = ask(holdings.QUOTAS), ask(_SITES), ask(holdings.GANGS)
            due, waiting = ask(DUE, {"now_ms": now_ms, MOST: limits.due}), ask(WAITING)
            self._links, self._timelines, self._books = ask(_LINKS), ask(_TIMELINES), ask(_BOOKS)
            self._statuses, self._stays = ask(STATUSES), ask(STAYS)
        self._quotas, self._gangs = holdings.quotas_of(quotas), holdings.gangs_of(gangs)
        self._sites = tuple(decode_site(row["doc"]) for row in sites)
        self._due = tuple(map(job_row, due))
        self._limited = rules.limited(self._quotas)
        self._occur = {str(row["project"]) for row in (*due, *waiting)}
        self._heads = Heads(db, limits, self._due, [row["project"] for row in waiting], self._limited)

    def ask_of_projects(self) -> None:
        """Ask for the queue, and for what is known of its projects and of what is due."""
        some = sorted(self._occur)
        keys = sorted({key for row in self._due for key in rules.open_keys(row.job)})
        booked = rules.any_booked(self._sites, self._now_ms)
        with asking(self._connection) as ask:
            held = ask(holdings.HELD) if self._quotas or booked else []
            of_people = ask.among(holdings.BY_PERSON, holdings.OF_PROJECT, self._limited)
            self._heads.ask_projects(ask)
            docs = ask.among(PROJECTS, registry.c.id, some)
            self._holds = ask.among(_OPEN_HOLDS, holds.c.key, keys)
            self._parts = ask.among(PARTS, hold_parts.c.key, keys)
            self._absences = ask.among(_ABSENCES, absences.c.key, keys)
            self._lots = ask.among(LOTS, lots.c.project, some)
            self._debts = ask.among(DEBTS, accounts.c.id, debt_accounts(some))
        self._held, self._of_people = holdings.holdings_of(held), holdings.person_holdings_of(of_people)
        with asking(self._connection) as ask:
            self._heads.ask_people(ask, self._of_people)
            more = {each.project for each in self._held}.difference(some)
            docs_of_held = ask.among(PROJECTS, registry.c.id, sorted(more))
        self._queue = self._heads.queue()
        self._projects = sorted({row.project for row in (*self._due, *self._queue)})
        owned = sorted({*self._projects, *(each.project for each in self._held)})
        self._owners = owners_of([*docs, *docs_of_held], owned)

    def ask_of_queue(self) -> None:
        """Ask for what only the queue, and whose it is, make known."""
        some = (*self._due, *self._queue)
        stops = bool(self._queue) or rules.any_shed(self._sites, self._now_ms)
        waits = rules.any_waits(self._queue, self._due)
        owners = {each: self._owners[each] for each in self._projects}
        priced = sorted(set(self._owners.values())) if self._timelines else []
        parents = budget_rules.budget_parents(owners, self._projects)
        with asking(self._connection) as ask:
            pools = list(dict.fromkeys((each.site, each.pool) for each in self._gangs)) if waits else []
            self._ends = [ask(*each) for each in self._db.heads(ends_of, pools, self._limits.running)]
            way = ask(_MAY_GIVE_WAY, {MOST: self._limits.may_give_way}) if stops else []
            self._clearing = ask(CLEARING) if stops else []
            self._shares = ask.among(SHARES, shares.c.name, names(owners))
            self._speeds = ask.among(SPEEDS, speeds.c.workload, rules.workloads(some, self._limits))
            self._lengths = ask.among(LENGTHS, lengths.c.work, works(some, self._limits))
            self._tenants = ask.among(INSTITUTIONS, registry.c.id, priced)
            budgets = ask.among(OF_PARENT, registry.c.parent, parents)
        with asking(self._connection) as ask:
            self._way = ask.among(JOBS, jobs.c.id, [row["id"] for row in way])
        self._budgets = budget_rules.binding(decode_budget(row["doc"]) for row in budgets)

    def made(self) -> Snapshot:
        """Return it."""
        now_ms = self._now_ms
        return Snapshot(
            now_ms=now_ms,
            due=self._due,
            queue=self._queue,
            sites=self._sites,
            statuses=statuses_of(self._statuses),
            use=use_of(self._gangs),
            gangs=self._gangs,
            running=self._running(),
            may_give_way=tuple(sorted(map(job_row, self._way), key=lambda row: row.job.id)),
            clearing=tuple(PoolUse(row["site"], row["pool"], int(row["cards"])) for row in self._clearing),
            served=served_of(self._shares, now_ms),
            runs=runs_of(self._speeds),
            stays=stays_of(self._stays, {site.id for site in self._sites}, now_ms),
            links=tuple(decode_link(row["doc"]) for row in self._links),
            lengths=lengths_of(self._lengths),
            prices=self._prices(),
            quotas=self._quotas,
            budgets=read_spendings(self._connection, self._budgets, now_ms),
            holdings=self._held,
            person_holdings=self._of_people,
            institutions=self._owners,
            lots=lots_of(self._lots, self._projects),
            debts=debts_of(self._debts, self._projects),
            holds={
                AttemptKey(key): state.as_change(key).parts
                for key, state in holds_of(self._holds, self._parts).items()
            },
            absences={
                AttemptKey(row["key"]): Absence(AttemptKey(row["key"]), row["since_ms"], row["polls"])
                for row in self._absences
            },
        )

    def _running(self) -> tuple[Running, ...]:
        """Return the live jobs of each pool that end first, in the order of pools and ends."""
        rows = sorted(chain.from_iterable(self._ends), key=_IN_ORDER)
        return tuple(Running(*(row[name] for name in _RUNNING)) for row in rows)

    def _prices(self) -> PriceList:
        """Return the prices of cards, with the kinds of institutions where there are any."""
        docs = {row["id"]: row["doc"] for row in self._tenants}
        book = self._books[0]["doc"] if self._books else None
        return price_list(book, [row["doc"] for row in self._timelines], docs, self._now_ms)


def statuses_of(rows: Rows) -> dict[str, SiteStatus]:
    """Return what is known of every site that ever called, of the rows of `STATUSES`."""
    return {
        row["site"]: SiteStatus(
            SiteId(row["site"]),
            row["seen_ms"],
            row["observed_ms"],
            row["agent"],
            row["isolation"],
            row["trouble"],
            decode_pools(row["pools"]),
            tuple(Move(**each) for each in row["moves"]),
            None if row["offers"] is None else tuple(row["offers"]),
            tuple(row["stock"]),
            tuple(Transfer(**each) for each in row["transfers"]),
            None if row["can"] is None else tuple(row["can"]),
        )
        for row in rows
    }


def runs_of(rows: Rows) -> dict[str, tuple[Runs, ...]]:
    """Return what is known of the runs of workloads, of the rows of `SPEEDS`."""
    found: dict[str, list[Runs]] = {}
    for row in rows:
        found.setdefault(row["workload"], []).append(Runs(row["accelerator"], row["runs"], row["sum_mn"]))
    return {name: tuple(sorted(runs, key=lambda each: each.accelerator)) for name, runs in found.items()}


def served_of(rows: Rows, now_ms: int) -> dict[str, int]:
    """Return what somebody used lately, of the rows of `SHARES`."""
    return {row["name"]: decayed(row["card_ms"], now_ms - row["at_ms"]) for row in rows}


def owners_of(rows: Rows, projects: Iterable[str]) -> dict[ProjectId, str]:
    """Return whose each project is, of the rows of `PROJECTS`; empty for one that is not among them."""
    docs = {row["id"]: row["doc"] for row in rows}
    return {ProjectId(each): rules.institution_of(docs.get(each)) for each in projects}
