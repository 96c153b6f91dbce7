"""What centres take and tell, in SQL: commands, reports, observations, log watching."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import sqlalchemy as sa

from hutong.adapters.store import rollup_rules, rules
from hutong.adapters.store.asking import asking
from hutong.adapters.store.bulk import merge_rows, run, streaming, upsert_into
from hutong.adapters.store.codec import decode_job, decode_spec
from hutong.adapters.store.db import Database, Row, many, rows_in, run_among
from hutong.adapters.store.jobs import JOBS, LOCKED, asked, fact_rows, save_all, saved_all
from hutong.adapters.store.loop import close_starts, forget, read_statuses
from hutong.adapters.store.rollups import add_work, moving, tellers
from hutong.adapters.store.tables import absences, commands, dials, facts, jobs, statuses, watches
from hutong.adapters.store.tenants import tenants_of
from hutong.core.book.store import Dial, Reported, Sighting, Summons, Taken
from hutong.core.capacity.sites import SiteStatus
from hutong.core.kernel.errors import Broken
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId, SiteId, attempt_key
from hutong.core.work.facts import Fact, Report
from hutong.core.work.fold import Job

_DAY_MS = 86_400_000
_MARK_TAKEN = commands.update().values(taken_ms=sa.bindparam("at_ms"))
_LOOK = (
    jobs.update()
    .where(sa.or_(jobs.c.due_ms.is_(None), jobs.c.due_ms > sa.bindparam("at_ms")))
    .values(due_ms=sa.bindparam("at_ms"))
)
_BACK = absences.delete()
_SITE: sa.BindParameter[str] = sa.bindparam("site", type_=sa.Text())
_OPEN = (
    sa.select(commands)
    .where(commands.c.site == _SITE, commands.c.id > sa.bindparam("after"))
    .order_by(commands.c.id)
    .limit(sa.bindparam("most"))
)
_SEEN_MS = sa.select(statuses.c.seen_ms).where(statuses.c.site == _SITE)
_ABSENT = sa.select(absences.c.key).where(absences.c.site == _SITE)
_AT_SITE = sa.select(jobs.c.id, jobs.c.attempt).where(jobs.c.site == _SITE)
_SHOWN = _AT_SITE.where(jobs.c.dispatched_ms > 0, jobs.c.dispatched_ms < sa.bindparam("at_ms"))
_BLANK: Any = sa.literal_column("' '")
_SUMMONS = sa.select(
    statuses.c.site,
    sa.select(sa.func.max(commands.c.id))
    .where(commands.c.site == statuses.c.site)
    .scalar_subquery()
    .label("command"),
    sa.select(sa.func.max(watches.c.until_ms))
    .where(watches.c.site == statuses.c.site)
    .scalar_subquery()
    .label("until_ms"),
    sa.select(sa.func.aggregate_strings(dials.c.id, _BLANK))  # a text would be made anew each time
    .where(dials.c.site == statuses.c.site)
    .scalar_subquery()
    .label("dials"),
)
_WORDS = sa.select(jobs.c.id, jobs.c.job)


@cache
def _seen(dialect: str) -> sa.Insert:
    """Return what notes that a site called; making it anew each time would cost more than what it does."""
    given = {"site": _SITE, "seen_ms": sa.bindparam("seen_ms", type_=sa.BigInteger()), "observed_ms": 0}
    none = dict.fromkeys(("agent", "isolation", "trouble"), "")
    names = ("pools", "moves", "stock", "transfers")
    lists = {name: sa.literal_column("'[]'", statuses.c[name].type) for name in names}
    insert = upsert_into(dialect, statuses).values(**given, **none, **lists)
    seen, now = statuses.c.seen_ms, insert.excluded.seen_ms
    later = sa.case((seen.between(now, now + rules.AHEAD_MS), seen), else_=now)
    return insert.on_conflict_do_update(index_elements=["site"], set_={"seen_ms": later})


class Sites:
    """The centres' part of the store."""

    _db: Database

    def take(self, site: SiteId, after: int, limit: int, now_ms: int) -> tuple[Taken, ...]:
        """Return open commands with an id above `after`; a start taken first time becomes Dispatched.

        A command stays open until a report shows its effect, so asking again with 0 repeats it.
        """
        which = {"site": site, "after": after, "most": rules.page(limit)}
        with self._db.read() as connection:
            with asking(connection) as ask:
                rows, seen = ask(_OPEN, which), ask(_SEEN_MS, {"site": site})
            names = _jobs_of(rows)
            recent = _recent(seen, now_ms)
            if recent and all(row["taken_ms"] is not None for row in rows):
                with asking(connection) as ask:
                    texts = ask.among(JOBS, jobs.c.id, names)
                return _deliver(rows, _by_id(texts))

        def work(connection: sa.Connection) -> tuple[Taken, ...]:
            # A withdrawal may come first while we wait for the jobs; what is new goes out the next time.
            with asking(connection) as ask:
                locked, now_open = ask.among(LOCKED, jobs.c.id, names), ask(_OPEN, which)
            found = _by_id(locked)
            open_rows = [row for row in now_open if rules.job_of(row["key"]) in found]
            with streaming(connection, last=True):
                if not recent:
                    self._note_seen(connection, site, now_ms)
                moved = _dispatch(connection, site, open_rows, found, now_ms)
                return _deliver(open_rows, found, moved)

        return self._db.write(work)

    def report(
        self, site: SiteId, reports: Sequence[Report], sighting: Sighting | None, now_ms: int
    ) -> Reported:
        """Append the reports that are news, close commands, note the observation and absences."""

        def work(connection: sa.Connection) -> Reported:
            names = sorted({name for report in reports if (name := rules.job_of(report.key))})
            with asking(connection) as ask:
                locked, seen = ask.among(LOCKED, jobs.c.id, names), ask(_SEEN_MS, {"site": site})
            found = _by_id(locked)
            before = {name: decode_job(row["job"]) for name, row in found.items()}
            news = rules.sieve(site, reports, before, now_ms)
            each_moved = rollup_rules.by_job(news.jobs, news.facts)
            moved = moving((job, some, *asked(found[job.id])) for job, some in each_moved)
            tenants = tenants_of(connection, tellers(moved))
            with streaming(connection, last=sighting is None):
                many(connection, facts.insert(), fact_rows(news.facts))
                changed = [
                    (job, rules.sooner(found[name]["due_ms"], now_ms)) for name, job in news.jobs.items()
                ]
                save_all(connection, saved_all(changed))
                close_starts(connection, news.started)
                forget(connection, news.ended)
                # A site's row is held until this is durable, and its agent takes at the same time.
                if sighting is not None or not _recent(seen, now_ms):
                    self._note_seen(connection, site, now_ms)
                add_work(connection, moved, tenants)
            if sighting is not None:
                self._note_sighting(connection, site, sighting, now_ms)
            orphans = _orphans(connection, site, sighting.live) if sighting else ()
            return Reported(len(news.facts), news.repeats, orphans)

        return self._db.write(work)

    def statuses(self) -> dict[str, SiteStatus]:
        """Return what is known of each site that ever called."""
        with self._db.read() as connection:
            return read_statuses(connection)

    def watch(self, key: AttemptKey, until_ms: int) -> None:
        """Ask the site of an attempt to send its log as it grows, until then."""
        with self._db.read() as connection:
            query = sa.select(jobs.c.job).where(jobs.c.id == (rules.job_of(key) or ""))
            text = connection.execute(query).scalar()
            until = connection.execute(sa.select(watches.c.until_ms).where(watches.c.key == key)).scalar()
        attempt = rules.attempt_of(decode_job(text), key) if text else None
        if attempt is None:
            raise rules.unknown_job(key)
        if attempt.over or (until is not None and until >= until_ms):
            return
        site = attempt.site

        def work(connection: sa.Connection) -> None:
            connection.execute(watches.delete().where(watches.c.until_ms < until_ms - _DAY_MS))
            insert = self._db.upsert(watches)
            later = sa.case(
                (watches.c.until_ms > insert.excluded.until_ms, watches.c.until_ms),
                else_=insert.excluded.until_ms,
            )
            upsert = insert.on_conflict_do_update(index_elements=["key"], set_={"until_ms": later})
            connection.execute(upsert, {"key": key, "site": site, "until_ms": until_ms})

        self._db.write(work)

    def watched(self, site: SiteId, now_ms: int) -> tuple[AttemptKey, ...]:
        """Return the attempts of a site whose log somebody reads now (at most 200)."""
        query = sa.select(watches.c.key).where(watches.c.site == site, watches.c.until_ms > now_ms)
        with self._db.read() as connection:
            keys = connection.execute(query.order_by(watches.c.key).limit(rules.WATCHED_MAX)).scalars().all()
        return tuple(AttemptKey(key) for key in keys)

    def summons(self) -> dict[SiteId, Summons]:
        """Return what is there for the agent of each site that ever called; a look at an index for each."""
        return {
            SiteId(row["site"]): Summons(
                row["command"] or 0, frozenset((row["dials"] or "").split()), row["until_ms"] or 0
            )
            for row in self._db.glance(_SUMMONS)
        }

    def dial(self, dial: Dial, now_ms: int) -> None:
        """Call a site's agent for a tunnel; calls that have expired are thrown away."""

        def work(connection: sa.Connection) -> None:
            connection.execute(dials.delete().where(dials.c.expires_ms <= now_ms))
            connection.execute(dials.insert().values(**asdict(dial)))

        self._db.write(work)

    def dials(self, site: SiteId, now_ms: int) -> tuple[Dial, ...]:
        """Return the calls to a site that have not expired, in order of id (at most 500)."""
        query = sa.select(dials).where(dials.c.site == site, dials.c.expires_ms > now_ms)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(dials.c.id).limit(rules.DIALS_MAX)).mappings().all()
        return tuple(Dial(**row) for row in rows)

    def _note_seen(self, connection: sa.Connection, site: str, now_ms: int) -> None:
        run(connection, _seen(connection.dialect.name), {"site": site, "seen_ms": now_ms})

    def _note_sighting(self, connection: sa.Connection, site: str, sighting: Sighting, now_ms: int) -> None:
        mine = statuses.c.site == site
        names = {"agent": sighting.agent, "isolation": sighting.isolation}
        told = {name: text for name, text in names.items() if text}
        ahead = statuses.c.observed_ms > now_ms + rules.AHEAD_MS
        newer = connection.execute(
            statuses.update()
            .where(mine, sa.or_(statuses.c.observed_ms < sighting.at_ms, ahead))
            .values(
                observed_ms=sighting.at_ms,
                trouble=sighting.trouble,
                pools=[asdict(each) for each in sighting.pools],
                moves=[asdict(each) for each in sighting.moves],
                offers=None if sighting.offers is None else list(sighting.offers),
                stock=list(sighting.stock),
                transfers=[asdict(each) for each in sighting.transfers],
                can=None if sighting.can is None else list(sighting.can),
                **told,
            )
        )
        if not newer.rowcount:
            return  # late or twice: it says nothing that a newer one did not say
        before = set(connection.execute(_ABSENT, {"site": site}).scalars())
        missing = [key for key in _expected(connection, site, sighting.at_ms) if key not in sighting.known]
        run_among(connection, _BACK, absences.c.key, sorted(before.difference(missing)))
        rows = [{"key": key, "site": site, "since_ms": sighting.at_ms, "polls": 1} for key in missing]
        merge_rows(connection, absences, rows, ("key",), add=("polls",))
        names_of = [name for key in missing if (name := rules.job_of(key))]
        run_among(connection, _LOOK, jobs.c.id, names_of, at_ms=now_ms)


def _jobs_of(rows: Iterable[Row]) -> list[JobId]:
    return sorted({name for row in rows if (name := rules.job_of(row["key"]))})


def _recent(seen: Sequence[Row], now_ms: int) -> bool:
    return rules.recent(seen[0]["seen_ms"] if seen else None, now_ms)


def _by_id(rows: Iterable[Row]) -> dict[JobId, Row]:
    return {JobId(row["id"]): row for row in rows}


def _dispatch(
    connection: sa.Connection,
    site: str,
    rows: Sequence[Row],
    found: Mapping[JobId, Row],
    now_ms: int,
) -> dict[JobId, Job]:
    """Write that these start commands are in the agent's hands now."""
    moved: dict[JobId, Job] = {}
    told: list[Fact] = []
    for row in rows:
        name = rules.job_of(row["key"])
        if row["taken_ms"] is not None or row["kind"] != "start" or name is None or name not in found:
            continue
        step = rules.dispatch(decode_job(found[name]["job"]), row["key"], site, now_ms)
        if step:
            moved[name] = step[0]
            told.append(step[1])
    many(connection, facts.insert(), fact_rows(told))
    save_all(connection, saved_all([(job, found[name]["due_ms"]) for name, job in moved.items()]))
    fresh = [row["id"] for row in rows if row["taken_ms"] is None]
    run_among(connection, _MARK_TAKEN, commands.c.id, fresh, at_ms=now_ms)
    return moved


def _deliver(
    rows: Sequence[Row], found: Mapping[JobId, Row], moved: Mapping[JobId, Job] | None = None
) -> tuple[Taken, ...]:
    taken = []
    for row in rows:
        name = rules.job_of(row["key"])
        if name is None or name not in found:
            raise Broken(f"command {row['id']} is for {row['key']}, which is not in the book")
        job = (moved or {}).get(name) or decode_job(found[name]["job"])
        attempt = rules.attempt_of(job, row["key"])
        if attempt is None:
            raise Broken(f"command {row['id']} is for {row['key']}, which was never placed")
        spec = decode_spec(found[name]["spec"]) if row["kind"] == "start" else None
        project = ProjectId(found[name]["project"])
        key = AttemptKey(row["key"])
        taken.append(Taken(row["id"], key, row["kind"], project, job, attempt, spec))
    return tuple(taken)


def _expected(connection: sa.Connection, site: str, at_ms: int) -> list[AttemptKey]:
    """Return the live attempts that an observation at `at_ms` must show: dispatched before it."""
    rows = connection.execute(_SHOWN, {"site": site, "at_ms": at_ms}).mappings()
    return sorted(attempt_key(JobId(row["id"]), row["attempt"]) for row in rows)


def _orphans(connection: sa.Connection, site: str, live: Iterable[AttemptKey]) -> tuple[AttemptKey, ...]:
    rows = connection.execute(_AT_SITE, {"site": site}).mappings()
    ours = {attempt_key(JobId(row["id"]), row["attempt"]) for row in rows}
    doubtful = sorted(set(live) - ours)
    ids = sorted({name for key in doubtful if (name := rules.job_of(key))})
    texts = rows_in(connection, _WORDS, jobs.c.id, ids)
    return rules.find_orphans(doubtful, {JobId(row["id"]): decode_job(row["job"]) for row in texts})
