"""What the loop reads and writes in SQL: the lease, the bounded snapshot, the guarded outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.arrays import Following
from hutong.adapters.store.asking import Asking, Rows, asking
from hutong.adapters.store.bulk import merge_rows, run, streaming
from hutong.adapters.store.db import Database, many, run_among
from hutong.adapters.store.jobs import fact_rows, save_all, saved_all
from hutong.adapters.store.ledger_tables import waivers
from hutong.adapters.store.lengths import LENGTHS, note_lengths
from hutong.adapters.store.posting import Booking
from hutong.adapters.store.rollups import Moved, add_work, moving
from hutong.adapters.store.snapshots import (
    SHARES,
    SPEEDS,
    STATUSES,
    read_snapshot,
    runs_of,
    served_of,
    statuses_of,
)
from hutong.adapters.store.stays import STAYS, count_stays
from hutong.adapters.store.tables import (
    absences,
    commands,
    facts,
    jobs,
    lease,
    lengths,
    pages,
    receipts,
    shares,
    speeds,
    stays,
    watches,
)
from hutong.adapters.store.tenants import Tenants
from hutong.adapters.store.works import lengths_by_work
from hutong.core.book.money import Posting
from hutong.core.book.runs import KEPT_MS, Run, merged
from hutong.core.book.snapshot import JobOutcome, Limits, Outcome, Snapshot
from hutong.core.book.store import Applied
from hutong.core.capacity.sites import SiteStatus
from hutong.core.kernel.ids import AttemptKey

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
    with asking(connection) as ask:
        rows = ask(STATUSES)
    return statuses_of(rows)


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
            return read_snapshot(self._db, connection, now_ms, limits)

    def apply(self, outcome: Outcome, epoch: int, now_ms: int) -> Applied:
        """Write each job's part whose guard holds. Raises Conflict if the lease has another epoch,

        or if a hold does not fit its lot any more; then nothing was written.
        """
        rules.check_outcome(outcome)

        def work(connection: sa.Connection) -> Applied:
            # The exclusive lock on the lease also makes command ids appear in order (see `take`).
            with asking(connection) as ask:
                leads = ask(_EPOCH)
                writing = _Writing(ask, outcome)
            if not leads or leads[0]["epoch"] != epoch:
                raise rules.stale_epoch(epoch)
            writing.plan(self._db, connection)
            with streaming(connection, last=True):
                writing.write(connection, now_ms)
            return writing.applied()

        return self._db.write(work)


class _Writing:
    """Writes what a turn decided: asks for all that it touches, plans, then writes in one stream."""

    def __init__(self, ask: Asking, outcome: Outcome) -> None:
        some = outcome.jobs
        self._outcome = outcome
        self._seqs = ask.among(_SEQS, jobs.c.id, sorted(each.job for each in some))
        self._pages = ask.among(_DIGESTS, pages.c.digest, [digest for digest, _ in outcome.pages])
        workloads = sorted({workload for workload, _ in rules.whole_runs(some)})
        self._speeds = ask.among(SPEEDS, speeds.c.workload, workloads)
        self._stays = ask.among(STAYS, stays.c.site, sorted(rules.stays_by_site(some)))
        self._lengths = ask.among(LENGTHS, lengths.c.work, sorted(lengths_by_work(some)))
        self._following = Following(ask, some)
        self._tenants = Tenants(ask, (each.project for each in some))
        postings = [each.posting for each in some if each.posting != Posting()]
        self._booking = Booking(ask, postings) if postings else None
        self._shares: Rows = []
        self._fresh: list[JobOutcome] = []
        self._used: dict[str, int] = {}

    def plan(self, db: Database, connection: sa.Connection) -> None:
        """Choose those whose guard holds, and work out what they book; raises Conflict if that may not be."""
        guards = {row["id"]: row["seq"] for row in self._seqs}
        self._fresh = [each for each in self._outcome.jobs if guards.get(each.job) == each.seq]
        postings = [each.posting for each in self._fresh if each.posting != Posting()]
        self._used = rules.served(rules.card_ms_by_project(postings), self._tenants.owners())
        with asking(connection) as ask:
            self._tenants.ask_institutions(ask)
            self._shares = ask.among(SHARES, shares.c.name, sorted(self._used))
        if self._booking is not None:
            self._booking.plan(db, connection, postings, guarded=True)

    def applied(self) -> Applied:
        """Return what became of the outcome."""
        fresh = {each.job for each in self._fresh}
        stale = tuple(each.job for each in self._outcome.jobs if each.job not in fresh)
        return Applied(len(self._fresh), stale)

    def write(self, connection: sa.Connection, now_ms: int) -> None:
        """Write it."""
        fresh = self._fresh
        many(connection, facts.insert(), fact_rows(fact for each in fresh for fact in each.facts))
        save_all(connection, saved_all([(each.after, each.due_ms) for each in fresh]))
        self._following.write(connection, fresh, now_ms)
        self._command(connection)
        forget(connection, [key for each in fresh for key in rules.ended_keys(each)])
        bodies = [{"key": key, "body": body} for each in fresh for key, body in each.receipts]
        many(connection, receipts.insert(), bodies)
        if bodies:
            self._keep(connection)
        merge_rows(connection, waivers, [asdict(each.waiver) for each in fresh if each.waiver], ("key",))
        add_work(connection, self._moved(), self._tenants.found())
        self._learn(connection, rules.whole_runs(fresh), now_ms)
        count_stays(connection, self._stays, rules.stays_by_site(fresh), now_ms)
        note_lengths(connection, self._lengths, lengths_by_work(fresh), now_ms)
        if self._booking is not None:
            self._booking.write(connection)
        self._serve(connection, now_ms)

    def _command(self, connection: sa.Connection) -> None:
        withdrawn = [key for each in self._fresh for key in each.withdraw]
        run_among(connection, _WITHDRAW, commands.c.key, withdrawn)
        commanded = [command for each in self._fresh for command in each.commands]
        close_starts(connection, [each.key for each in commanded if each.kind == "stop"])
        rows = [
            {"site": command.site, "key": command.key, "kind": command.kind, "taken_ms": None}
            for command in commanded
        ]
        merge_rows(connection, commands, rows, ("key", "kind"))

    def _moved(self) -> list[Moved]:
        return moving((each.after, each.facts, each.spec, each.project) for each in self._fresh)

    def _serve(self, connection: sa.Connection, now_ms: int) -> None:
        """Count use to projects and their institutions; only the loop's leader writes it."""
        before = served_of(self._shares, now_ms)
        rows = [
            {"name": name, "card_ms": before.get(name, 0) + card_ms, "at_ms": now_ms}
            for name, card_ms in self._used.items()
        ]
        merge_rows(connection, shares, rows, ("name",), put=("card_ms", "at_ms"))

    def _learn(
        self, connection: sa.Connection, runs: Mapping[tuple[str, str], list[Run]], now_ms: int
    ) -> None:
        """Note whole runs, and forget workloads that ran long ago; only the loop's leader writes it."""
        if not runs:
            return
        known = runs_of(self._speeds)
        rows = []
        for (workload, accelerator), some in sorted(runs.items()):
            before = next((r for r in known.get(workload, ()) if r.accelerator == accelerator), None)
            after = merged(before, some, accelerator)
            row = {"workload": workload, "accelerator": accelerator, "at_ms": now_ms}
            rows.append({**row, "runs": after.count, "sum_mn": after.sum_mn})
        merge_rows(connection, speeds, rows, ("workload", "accelerator"), put=("runs", "sum_mn", "at_ms"))
        run(connection, _FORGET_RUNS, {"before_ms": now_ms - KEPT_MS})

    def _keep(self, connection: sa.Connection) -> None:
        """Keep pages that are not kept yet; the grounds of a page are mostly those of the one before."""
        known = {row["digest"] for row in self._pages}
        rows = [
            {"digest": digest, "body": body} for digest, body in self._outcome.pages if digest not in known
        ]
        merge_rows(connection, pages, rows, ("digest",))


_LEASE = sa.select(lease).where(lease.c.name == _LOOP)
_LEASE_LOCKED = _LEASE.with_for_update()
_EPOCH = sa.select(lease.c.epoch).where(lease.c.name == _LOOP).with_for_update()
_DIGESTS = sa.select(pages.c.digest)
_FORGET_RUNS = speeds.delete().where(speeds.c.at_ms < sa.bindparam("before_ms"))
_SEQS = sa.select(jobs.c.id, jobs.c.seq).order_by(jobs.c.id).with_for_update()
