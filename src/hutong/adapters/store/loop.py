"""What the loop reads and writes in SQL: the lease, the bounded snapshot, the guarded outcome."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.budgets import binding, read_spendings
from hutong.adapters.store.bulk import merge_rows, streaming
from hutong.adapters.store.codec import decode_link, decode_pools, decode_site
from hutong.adapters.store.db import Database, many, rows_in, run_among
from hutong.adapters.store.heads import read_due, read_queue
from hutong.adapters.store.holdings import read_gangs, read_holdings, read_person_holdings, read_quotas
from hutong.adapters.store.jobs import JOBS, asked, fact_row, job_row, save_all, saved
from hutong.adapters.store.ledger_rows import read_debts, read_holds, read_lots
from hutong.adapters.store.ledger_tables import holds, waivers
from hutong.adapters.store.lengths import note_lengths, read_lengths
from hutong.adapters.store.posting import post_all
from hutong.adapters.store.price_lists import price_list
from hutong.adapters.store.rollups import count_work
from hutong.adapters.store.stays import count_stays, read_stays
from hutong.adapters.store.tables import (
    absences,
    commands,
    facts,
    jobs,
    lease,
    pages,
    receipts,
    registry,
    shares,
    speeds,
    statuses,
    watches,
)
from hutong.adapters.store.tenants import INSTITUTIONS, PROJECTS
from hutong.adapters.store.works import lengths_by_work, works
from hutong.core.book.money import HoldPart, Posting
from hutong.core.book.prices import BOOK, BOOKS_ID, PRICE, TIMELINES_MAX, PriceList
from hutong.core.book.runs import KEPT_MS, Run, Runs, merged
from hutong.core.book.shares import decayed, names
from hutong.core.book.snapshot import (
    WAY_MAX,
    Absence,
    JobOutcome,
    JobRow,
    Limits,
    Outcome,
    PoolUse,
    Running,
    Snapshot,
    use_of,
)
from hutong.core.book.store import Applied
from hutong.core.book.waits import may_move
from hutong.core.capacity.links import MOST_LINKS
from hutong.core.capacity.sites import Move, SiteStatus, Transfer
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId, SiteId

_LOOP = "loop"
_STARTS = commands.delete().where(commands.c.kind == "start")
_WITHDRAW = _STARTS.where(commands.c.taken_ms.is_(None))
_OF_ATTEMPTS = tuple((table.delete(), table.c.key) for table in (commands, absences, watches))


def close_starts(connection: sa.Connection, keys: Sequence[AttemptKey]) -> None:
    """Drop the start commands of attempts: they had their effect, or must not have it any more."""
    run_among(connection, _STARTS, commands.c.key, keys)


def forget(connection: sa.Connection, keys: Sequence[AttemptKey]) -> None:
    """Drop commands, absences and watches of attempts that are over."""
    for dropping, key in _OF_ATTEMPTS:
        run_among(connection, dropping, key, keys)


def read_statuses(connection: sa.Connection) -> dict[str, SiteStatus]:
    """Return what is known of every site that ever called."""
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
        )
        for row in connection.execute(_STATUSES).mappings()
    }


class Loop:
    """The loop's part of the store."""

    _db: Database

    def lead(self, holder: str, now_ms: int, ttl_ms: int) -> int | None:
        """Take or renew the lease of the loop; return its epoch, or None while another holds it."""
        with self._db.read() as connection:
            row = connection.execute(_LEASE).mappings().first()
        if row and not rules.lease_asks_write(row["holder"], row["until_ms"], holder, now_ms, ttl_ms):
            return int(row["epoch"]) if row["holder"] == holder else None

        def work(connection: sa.Connection) -> int | None:
            row = connection.execute(_LEASE_LOCKED).mappings().first()
            if (
                row
                and row["holder"] != holder
                and not rules.lease_asks_write(row["holder"], row["until_ms"], holder, now_ms, ttl_ms)
            ):
                return None
            epoch = rules.next_epoch(row["holder"] if row else None, row["epoch"] if row else 0, holder)
            values = {"holder": holder, "epoch": epoch, "until_ms": now_ms + ttl_ms}
            if row:
                connection.execute(lease.update().where(lease.c.name == _LOOP).values(**values))
            else:
                connection.execute(lease.insert().values(name=_LOOP, **values))
            return epoch

        return self._db.write(work)

    def snapshot(self, now_ms: int, limits: Limits) -> Snapshot:
        """Return what one turn may know; its cost does not depend on finished jobs."""
        with self._db.read() as connection:
            quotas = read_quotas(connection)
            sites = tuple(decode_site(doc) for doc in connection.execute(_SITES).scalars())
            held = read_holdings(connection) if quotas or rules.any_booked(sites, now_ms) else ()
            of_people = read_person_holdings(connection, rules.limited(quotas))
            due = read_due(connection, now_ms, limits)
            queue = read_queue(self._db, connection, limits, due, rules.limited(quotas), of_people)
            gangs = read_gangs(connection)
            projects = sorted({row.project for row in (*due, *queue)})
            keys = sorted({key for row in due for key in rules.open_keys(row.job)})
            stops = bool(queue) or rules.any_shed(sites, now_ms)
            owners = _institutions(connection, sorted({*projects, *(each.project for each in held)}))
            return Snapshot(
                now_ms=now_ms,
                due=due,
                queue=queue,
                sites=sites,
                statuses=read_statuses(connection),
                use=use_of(gangs),
                gangs=gangs,
                running=_running(connection, limits.running) if rules.any_waits(queue, due) else (),
                may_give_way=_may_give_way(connection, limits.may_give_way) if stops else (),
                clearing=_clearing(connection) if stops else (),
                served=_served(connection, names({each: owners[each] for each in projects}), now_ms),
                runs=_runs(connection, rules.workloads((*due, *queue), limits)),
                stays=read_stays(connection, [site.id for site in sites], now_ms),
                links=tuple(decode_link(doc) for doc in connection.execute(_LINKS).scalars()),
                lengths=read_lengths(connection, works((*due, *queue), limits)),
                prices=_prices(connection, sorted(set(owners.values())), now_ms),
                quotas=quotas,
                budgets=read_spendings(connection, binding(connection, owners, projects), now_ms),
                holdings=held,
                person_holdings=of_people,
                institutions=owners,
                lots=read_lots(connection, projects),
                debts=read_debts(connection, projects),
                holds=_open_holds(connection, keys),
                absences={
                    AttemptKey(row["key"]): Absence(AttemptKey(row["key"]), row["since_ms"], row["polls"])
                    for row in rows_in(connection, _ABSENCES, absences.c.key, keys)
                },
            )

    def apply(self, outcome: Outcome, epoch: int, now_ms: int) -> Applied:
        """Write each job's part whose guard holds. Raises Conflict if the lease has another epoch,

        or if a hold does not fit its lot any more; then nothing was written.
        """
        rules.check_outcome(outcome)

        def work(connection: sa.Connection) -> Applied:
            # The exclusive lock on the lease also makes command ids appear in order (see `take`).
            if connection.execute(_EPOCH).scalar() != epoch:
                raise rules.stale_epoch(epoch)
            guards = _lock_seqs(connection, [each.job for each in outcome.jobs])
            fresh = [each for each in outcome.jobs if guards.get(each.job) == each.seq]
            self._write(connection, fresh, now_ms)
            if any(each.receipts for each in fresh):
                self._keep(connection, outcome.pages)
            stale = tuple(each.job for each in outcome.jobs if guards.get(each.job) != each.seq)
            return Applied(len(fresh), stale)

        return self._db.write(work)

    def _write(self, connection: sa.Connection, fresh: Sequence[JobOutcome], now_ms: int) -> None:
        with streaming(connection):
            many(connection, facts.insert(), [fact_row(fact) for each in fresh for fact in each.facts])
            save_all(connection, [saved(each.after, each.due_ms) for each in fresh])
            run_among(connection, _WITHDRAW, commands.c.key, [key for each in fresh for key in each.withdraw])
            commanded = [command for each in fresh for command in each.commands]
            close_starts(connection, [each.key for each in commanded if each.kind == "stop"])
            rows = [
                {"site": command.site, "key": command.key, "kind": command.kind, "taken_ms": None}
                for command in commanded
            ]
            merge_rows(connection, commands, rows, ("key", "kind"))
            forget(connection, [key for each in fresh for key in rules.ended_keys(each)])
            bodies = [{"key": key, "body": body} for each in fresh for key, body in each.receipts]
            many(connection, receipts.insert(), bodies)
            merge_rows(connection, waivers, [asdict(each.waiver) for each in fresh if each.waiver], ("key",))
        self._count_work(connection, fresh)
        runs = rules.whole_runs(fresh)
        if runs:
            self._learn(connection, runs, now_ms)
        stays = rules.stays_by_site(fresh)
        if stays:
            count_stays(connection, stays, now_ms)
        told = lengths_by_work(fresh)
        if told:
            note_lengths(connection, told, now_ms)
        postings = [each.posting for each in fresh if each.posting != Posting()]
        if postings:
            post_all(self._db, connection, postings, guarded=True)
            self._serve(connection, rules.card_ms_by_project(postings), now_ms)

    def _count_work(self, connection: sa.Connection, fresh: Sequence[JobOutcome]) -> None:
        moved = {each.job: each for each in fresh if may_move(each.facts)}
        rows = rows_in(connection, _ASKED, jobs.c.id, sorted(moved))
        some = ((moved[JobId(row["id"])], row) for row in rows)
        count_work(connection, [(each.after, each.facts, *asked(row)) for each, row in some])

    def _serve(self, connection: sa.Connection, used: Mapping[ProjectId, int], now_ms: int) -> None:
        """Count use to projects and their institutions; only the loop's leader writes it."""
        owners = _institutions(connection, sorted(used))
        counted = rules.served(used, owners)
        before = _served(connection, sorted(counted), now_ms)
        rows = [
            {"name": name, "card_ms": before.get(name, 0) + card_ms, "at_ms": now_ms}
            for name, card_ms in counted.items()
        ]
        merge_rows(connection, shares, rows, ("name",), put=("card_ms", "at_ms"))

    def _learn(
        self, connection: sa.Connection, runs: Mapping[tuple[str, str], list[Run]], now_ms: int
    ) -> None:
        """Note whole runs, and forget workloads that ran long ago; only the loop's leader writes it."""
        known = _runs(connection, sorted({workload for workload, _ in runs}))
        rows = []
        for (workload, accelerator), some in sorted(runs.items()):
            before = next((r for r in known.get(workload, ()) if r.accelerator == accelerator), None)
            after = merged(before, some, accelerator)
            row = {"workload": workload, "accelerator": accelerator, "at_ms": now_ms}
            rows.append({**row, "runs": after.count, "sum_mn": after.sum_mn})
        merge_rows(connection, speeds, rows, ("workload", "accelerator"), put=("runs", "sum_mn", "at_ms"))
        connection.execute(speeds.delete().where(speeds.c.at_ms < now_ms - KEPT_MS))

    def _keep(self, connection: sa.Connection, sealed: Sequence[tuple[str, bytes]]) -> None:
        """Keep pages that are not kept yet; the grounds of a page are mostly those of the one before."""
        digests = [digest for digest, _ in sealed]
        known = {row["digest"] for row in rows_in(connection, _DIGESTS, pages.c.digest, digests)}
        rows = [{"digest": digest, "body": body} for digest, body in sealed if digest not in known]
        merge_rows(connection, pages, rows, ("digest",))


_SITES = sa.select(registry.c.doc).where(registry.c.kind == rules.SITE).order_by(registry.c.id)
_LINKS = (
    sa.select(registry.c.doc).where(registry.c.kind == rules.LINK).order_by(registry.c.id).limit(MOST_LINKS)
)
_LEASE = sa.select(lease).where(lease.c.name == _LOOP)
_LEASE_LOCKED = _LEASE.with_for_update()
_EPOCH = sa.select(lease.c.epoch).where(lease.c.name == _LOOP).with_for_update()
_STATUSES = sa.select(statuses)
_ABSENCES, _SPEEDS, _SHARES = sa.select(absences), sa.select(speeds), sa.select(shares)
_DIGESTS = sa.select(pages.c.digest)
_ASKED = sa.select(jobs.c.id, jobs.c.project, jobs.c.spec)
_SEQS = sa.select(jobs.c.id, jobs.c.seq).order_by(jobs.c.id).with_for_update()
_OPEN_HOLDS = sa.select(holds).where(sa.not_(holds.c.closed))
_BOOKS = sa.select(registry.c.doc).where(registry.c.kind == BOOK, registry.c.id == BOOKS_ID)
_TIMELINES = (
    sa.select(registry.c.doc).where(registry.c.kind == PRICE).order_by(registry.c.id).limit(TIMELINES_MAX)
)


_ENDS = (
    sa.select(jobs.c.project, jobs.c.site, jobs.c.pool, jobs.c.cards, jobs.c.until_ms, jobs.c.person)
    .add_columns(jobs.c.began_ms, jobs.c.likely_ms, jobs.c.nodes)
    .add_columns(
        sa.func.row_number()
        .over(partition_by=(jobs.c.site, jobs.c.pool), order_by=(jobs.c.until_ms, jobs.c.id))
        .label("place")
    )
    .where(jobs.c.site.is_not(None), jobs.c.until_ms.is_not(None))
    .subquery()
)


_RUNNING = tuple(each.name for each in fields(Running))


# Literals, and the condition of the index as it stands there: else no database uses a partial one.
_WAY = (
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
_CLEARING = (
    sa.select(jobs.c.site, jobs.c.pool, sa.func.sum(jobs.c.cards).label("cards"))
    .where(sa.text("gives_way > 0 AND gives_way = 2"))
    .group_by(jobs.c.site, jobs.c.pool)
    .order_by(jobs.c.site, jobs.c.pool)
)


def _may_give_way(connection: sa.Connection, most: int) -> tuple[JobRow, ...]:
    """Return, of each pool, the jobs that may be stopped and began last."""
    query = sa.select(_WAY.c.id).where(_WAY.c.place <= WAY_MAX).order_by(_WAY.c.place, _WAY.c.id)
    ids = [str(name) for name in connection.scalars(query.limit(most))]
    rows = (job_row(row) for row in rows_in(connection, JOBS, jobs.c.id, ids))
    return tuple(sorted(rows, key=lambda row: row.job.id))


def _clearing(connection: sa.Connection) -> tuple[PoolUse, ...]:
    return tuple(
        PoolUse(row["site"], row["pool"], int(row["cards"]))
        for row in connection.execute(_CLEARING).mappings()
    )


def _running(connection: sa.Connection, most: int) -> tuple[Running, ...]:
    """Return the jobs of each pool that are expected to end first."""
    query = sa.select(_ENDS).where(_ENDS.c.place <= most)
    query = query.order_by(_ENDS.c.site, _ENDS.c.pool, _ENDS.c.place)
    return tuple(Running(*(row[name] for name in _RUNNING)) for row in connection.execute(query).mappings())


def _runs(connection: sa.Connection, workloads: Sequence[str]) -> dict[str, tuple[Runs, ...]]:
    found: dict[str, list[Runs]] = {}
    for row in rows_in(connection, _SPEEDS, speeds.c.workload, workloads):
        found.setdefault(row["workload"], []).append(Runs(row["accelerator"], row["runs"], row["sum_mn"]))
    return {name: tuple(sorted(runs, key=lambda each: each.accelerator)) for name, runs in found.items()}


def _served(connection: sa.Connection, names: Sequence[str], now_ms: int) -> dict[str, int]:
    rows = rows_in(connection, _SHARES, shares.c.name, names)
    return {row["name"]: decayed(row["card_ms"], now_ms - row["at_ms"]) for row in rows}


def _institutions(connection: sa.Connection, projects: Sequence[str]) -> dict[ProjectId, str]:
    """Return whose each project is, empty for one that is not in the registry."""
    docs = {row["id"]: row["doc"] for row in rows_in(connection, PROJECTS, registry.c.id, projects)}
    return {ProjectId(each): rules.institution_of(docs.get(each)) for each in projects}


def _prices(connection: sa.Connection, institutions: Sequence[str], now_ms: int) -> PriceList:
    """Return the prices of cards, with the kinds of institutions where there are any."""
    timelines = connection.execute(_TIMELINES).scalars().all()
    if not timelines:
        return PriceList()
    rows = rows_in(connection, INSTITUTIONS, registry.c.id, institutions)
    tenants = {row["id"]: row["doc"] for row in rows}
    return price_list(connection.execute(_BOOKS).scalar(), timelines, tenants, now_ms)


def _open_holds(connection: sa.Connection, keys: Sequence[str]) -> dict[AttemptKey, tuple[HoldPart, ...]]:
    states = read_holds(connection, list(rows_in(connection, _OPEN_HOLDS, holds.c.key, keys)))
    return {AttemptKey(key): state.as_change(key).parts for key, state in states.items()}


def _lock_seqs(connection: sa.Connection, ids: Iterable[str]) -> dict[JobId, int]:
    return {JobId(row["id"]): row["seq"] for row in rows_in(connection, _SEQS, jobs.c.id, sorted(ids))}
