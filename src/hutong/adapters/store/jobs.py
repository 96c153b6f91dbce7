"""Jobs in SQL: wishes, what users ask later, lists, facts and receipts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter

import sqlalchemy as sa

from hutong.adapters.store import array_rules, rules
from hutong.adapters.store.bulk import change_of, change_rows, streaming
from hutong.adapters.store.codec import decode_event, decode_job, decode_spec, encode
from hutong.adapters.store.db import Database, Row, many, rows_in
from hutong.adapters.store.rollups import count_work
from hutong.adapters.store.tables import facts, jobs, pages, receipts
from hutong.core.book.ahead import ahead_of
from hutong.core.book.snapshot import JobRow
from hutong.core.book.store import JobQuery, NewJob, Submission, UserEvent
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId
from hutong.core.work.facts import Event, Fact
from hutong.core.work.fold import Job, begin
from hutong.core.work.spec import JobSpec

COLUMNS = (jobs.c.id, jobs.c.project, jobs.c.due_ms, jobs.c.job, jobs.c.spec)
JOBS = sa.select(*COLUMNS)
_ONE = JOBS.where(jobs.c.id == sa.bindparam("job"))  # made once: making it took as long as running it
LOCKED = JOBS.order_by(jobs.c.id).with_for_update()
MERGED_MAX = 200
_GUARDED = (
    "seq",
    "state",
    "queued_ms",
    "finished_ms",
    "due_ms",
    "site",
    "pool",
    "cards",
    "attempt",
    "dispatched_ms",
    "until_ms",
    "gives_way",
    "person",
    "began_ms",
    "likely_ms",
    "nodes",
    "ahead_site",
    "ahead_sku",
    "ahead_card_ms",
    "ahead_micro",
    "ahead_j",
    "job",
)
SAVE = change_of(jobs, _GUARDED)


def save_all(connection: sa.Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Write what the rows of jobs say now, see `saved`."""
    if not change_rows(connection, jobs, rows):
        many(connection, SAVE, rows)


def saved(job: Job, due_ms: int | None) -> dict[str, object]:
    """Return the parameters of `SAVE`: what a job's row says after its facts so far."""
    live = job.live
    ahead = ahead_of(job)
    return {
        "name": job.id,
        "new_seq": job.seq,
        "new_state": job.state.value,
        "new_queued_ms": job.queued_ms,
        "new_finished_ms": job.finished_ms,
        "new_due_ms": due_ms,
        "new_site": live.site if live else None,
        "new_pool": live.pool if live else None,
        "new_cards": live.cards if live else None,
        "new_attempt": live.number if live else None,
        "new_dispatched_ms": live.dispatched_ms if live else None,
        "new_until_ms": live.until_ms if live else None,
        "new_gives_way": rules.gives_way(live),
        # Again each time: a server of the version before may have written the row without it.
        "new_person": job.by,
        "new_began_ms": live.began_ms if live else 0,
        "new_likely_ms": live.guess_ms if live else 0,
        "new_nodes": live.nodes if live else 0,
        "new_ahead_site": ahead.site,
        "new_ahead_sku": ahead.sku,
        "new_ahead_card_ms": ahead.amounts.quantity,
        "new_ahead_micro": ahead.amounts.charge_micro,
        "new_ahead_j": ahead.amounts.energy_j,
        "new_job": encode(job),
    }


def saved_all(some: Sequence[tuple[Job, int | None]]) -> list[dict[str, object]]:
    """Return `saved` of jobs: a turn moves many alike, of which all but the name is made once."""
    known: dict[tuple[object, ...], tuple[dict[str, object], str]] = {}
    rows = []
    for job, due_ms in some:
        alike = (due_ms, *map(id, job.attempts), *_BUT_NAME(job))
        if alike not in known:
            row = saved(job, due_ms)
            known[alike] = row, str(row["new_job"]).removeprefix(_HEAD + encode(job.id))
        row, rest = known[alike]
        rows.append({**row, "name": job.id, "new_job": _HEAD + encode(job.id) + rest})
    return rows


_HEAD = '{"id":'
_BUT_NAME = attrgetter(*(each.name for each in fields(Job) if each.name not in {"id", "attempts"}))


def fact_rows(some: Iterable[Fact]) -> list[dict[str, object]]:
    """Return facts as rows; an event that several share is written once."""
    texts: dict[int, tuple[Event, str]] = {}
    rows: list[dict[str, object]] = []
    for fact in some:
        event = fact.event
        if id(event) not in texts:
            texts[id(event)] = event, encode(event)
        rows.append(
            {
                "job": fact.job,
                "seq": fact.seq,
                "at_ms": fact.at_ms,
                "source": fact.source,
                "kind": event.kind,
                "event": texts[id(event)][1],
            }
        )
    return rows


def asked(row: Row) -> tuple[JobSpec, ProjectId]:
    """Return what a job asked for, and for whom."""
    return decode_spec(row["spec"]), ProjectId(row["project"])


def job_row(row: Row) -> JobRow:
    """Return a job from `COLUMNS`."""
    return JobRow(decode_job(row["job"]), decode_spec(row["spec"]), ProjectId(row["project"]))


def lock_jobs(connection: sa.Connection, ids: Iterable[str]) -> dict[JobId, sa.RowMapping]:
    """Return the rows of these jobs, kept from others until the transaction ends."""
    return {JobId(row["id"]): row for row in rows_in(connection, LOCKED, jobs.c.id, sorted(set(ids)))}


def _wish_row(wish: NewJob, job: Job, spec: str) -> dict[str, object]:
    return {
        "id": wish.id,
        "project": wish.project,
        "seq": job.seq,
        "state": job.state.value,
        "priority": wish.spec.priority,
        "submitted_ms": job.submitted_ms,
        "queued_ms": 0,
        "finished_ms": 0,
        "due_ms": array_rules.first_due(wish, job.submitted_ms),
        "person": job.by,
        "idempotency_key": wish.idempotency_key,
        "request_digest": wish.request_digest,
        "spec_digest": wish.spec_digest,
        "job": encode(job),
        "spec": spec,
    }


class Jobs:
    """The jobs' part of the store."""

    _db: Database

    def submit(self, wishes: Sequence[NewJob], now_ms: int) -> tuple[Submission, ...]:
        """Write each wish with its first fact, unless its idempotency key is known."""
        first = {wish.id: rules.first_fact(wish, now_ms) for wish in wishes}
        specs = {id(wish.spec): wish.spec for wish in wishes}  # the wishes of a batch share few
        texts = {name: encode(spec) for name, spec in specs.items()}
        rows = {wish.id: _wish_row(wish, begin(first[wish.id]), texts[id(wish.spec)]) for wish in wishes}

        def work(connection: sa.Connection) -> tuple[Submission, ...]:
            answers, fresh = rules.sort_wishes(wishes, _known(connection, wishes))
            with streaming(connection, last=True):
                many(connection, jobs.insert(), [rows[wish.id] for wish in fresh])
                many(connection, facts.insert(), fact_rows(first[wish.id] for wish in fresh))
            return answers

        return self._db.write(work)

    def ask(self, job: JobId, event: UserEvent, now_ms: int) -> Job:
        """Append what a user wants; a repeat changes nothing. Raises NotFound, or Conflict if too late."""

        def work(connection: sa.Connection) -> Job:
            row = lock_jobs(connection, [job]).get(job)
            if row is None:
                raise rules.unknown_job(job)
            before = decode_job(row["job"])
            array_rules.check_ask(before, row["due_ms"], event)
            if not rules.wants_fact(before, event):
                return before
            (after,) = _append(connection, [(row, before)], event, now_ms)
            return after

        return self._db.write(work)

    def ask_all(self, jobs: Sequence[JobId], event: UserEvent, now_ms: int) -> int:
        """Ask the same of several jobs; return of how many that was news and not too late."""

        def work(connection: sa.Connection) -> int:
            rows = [(row, decode_job(row["job"])) for row in lock_jobs(connection, jobs).values()]
            some = [(row, job) for row, job in rows if array_rules.may_ask(job, row["due_ms"], event)]
            return len(_append(connection, some, event, now_ms))

        return self._db.write(work)

    def job(self, job: JobId) -> JobRow | None:
        """Return one job."""
        with self._db.read() as connection:
            row = connection.execute(_ONE, {"job": job}).mappings().first()
        return job_row(row) if row else None

    def jobs(self, query: JobQuery) -> tuple[JobRow, ...]:
        """Return a page of jobs, newest first."""
        with self._db.read() as connection:
            ids = _page_ids(connection, query)
            found = list(rows_in(connection, JOBS, jobs.c.id, ids))
        return tuple(job_row(row) for row in sorted(found, key=lambda row: str(row["id"]), reverse=True))

    def facts(self, job: JobId, after: int, limit: int) -> tuple[Fact, ...]:
        """Return facts of a job with a sequence above `after`."""
        query = sa.select(facts).where(facts.c.job == job, facts.c.seq > after).order_by(facts.c.seq)
        with self._db.read() as connection:
            rows = connection.execute(query.limit(rules.page(limit))).mappings().all()
        return tuple(
            Fact(job, row["seq"], row["at_ms"], row["source"], decode_event(row["kind"], row["event"]))
            for row in rows
        )

    def receipt(self, key: AttemptKey) -> bytes | None:
        """Return the stored receipt of an attempt."""
        with self._db.read() as connection:
            body = connection.execute(sa.select(receipts.c.body).where(receipts.c.key == key)).scalar()
        return None if body is None else bytes(body)

    def page(self, digest: str) -> bytes | None:
        """Return what receipts rest on, by its digest."""
        with self._db.read() as connection:
            body = connection.execute(sa.select(pages.c.body).where(pages.c.digest == digest)).scalar()
        return None if body is None else bytes(body)


def _append(
    connection: sa.Connection, rows: Sequence[tuple[Row, Job]], event: UserEvent, now_ms: int
) -> list[Job]:
    """Append what a user wants to locked jobs; return them."""
    moved = []
    changes = []
    for row, before in rows:
        after, fact = rules.append(before, now_ms, f"user:{event.by}", event)
        moved.append((after, [fact], *asked(row)))
        changes.append((after, rules.sooner(row["due_ms"], now_ms)))
    many(connection, facts.insert(), fact_rows(fact for _, (fact,), *_ in moved))
    save_all(connection, saved_all(changes))
    count_work(connection, moved)
    return [after for after, *_ in moved]


def _known(connection: sa.Connection, wishes: Sequence[NewJob]) -> dict[tuple[str, str], tuple[JobId, str]]:
    known: dict[tuple[str, str], tuple[JobId, str]] = {}
    keys: dict[str, list[str]] = {}
    for wish in wishes:
        if wish.idempotency_key:
            keys.setdefault(wish.project, []).append(wish.idempotency_key)
    for project, mine in keys.items():
        query = sa.select(jobs.c.id, jobs.c.idempotency_key, jobs.c.request_digest).where(
            jobs.c.project == project, jobs.c.idempotency_key != sa.literal_column("''")
        )
        for row in rows_in(connection, query, jobs.c.idempotency_key, mine):
            known[project, row["idempotency_key"]] = (JobId(row["id"]), row["request_digest"])
    return known


def _page_ids(connection: sa.Connection, query: JobQuery) -> list[str]:
    """Return the ids of a page. Each combination of project and state is one walk down one index."""
    newest = sa.select(jobs.c.id).order_by(jobs.c.id.desc()).limit(rules.page(query.limit))
    if query.before:
        newest = newest.where(jobs.c.id < query.before)
    if query.least:
        newest = newest.where(jobs.c.id >= query.least)
    projects: list[str | None] = [None] if query.projects is None else [*sorted(query.projects)]
    states: list[str | None] = [None] if not query.states else [*sorted(query.states)]
    if len(projects) * len(states) > MERGED_MAX:  # rare: let the database sort
        wide = newest.where(jobs.c.project.in_(query.projects)) if query.projects else newest
        wide = wide.where(jobs.c.state.in_(query.states)) if query.states else wide
        return list(connection.execute(wide).scalars())
    ids: list[str] = []
    for project in projects:
        of_project = newest if project is None else newest.where(jobs.c.project == project)
        for state in states:
            walk = of_project if state is None else of_project.where(jobs.c.state == state)
            ids.extend(connection.execute(walk).scalars())
    return sorted(ids, reverse=True)[: rules.page(query.limit)]
