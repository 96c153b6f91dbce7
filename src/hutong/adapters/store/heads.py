"""The head of the queue in SQL: of every project its share, and where people are limited, of every person."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.db import Database, HeadOf
from hutong.adapters.store.jobs import COLUMNS, job_row
from hutong.adapters.store.tables import IN_QUEUE, jobs, registry
from hutong.core.accounts.quotas import PROJECT
from hutong.core.book.snapshot import JobRow, Limits, PersonHolding
from hutong.core.work.states import JobState

_IN_QUEUE = sa.text(IN_QUEUE)
_DUE = (
    sa.select(*COLUMNS)
    .where(jobs.c.due_ms.is_not(None), jobs.c.due_ms <= sa.bindparam("now_ms"))
    .order_by(jobs.c.due_ms, jobs.c.id)
    .limit(sa.bindparam("most"))
)
_Keys = Sequence[tuple[str, ...]]


def _waiting_projects() -> sa.Select[tuple[str]]:
    """Select the projects that have queued jobs, by stepping from one to the next in the queue's index."""
    first = sa.select(sa.func.min(jobs.c.project).label("project")).where(_IN_QUEUE)
    found = first.cte("found", recursive=True)
    after = sa.select(sa.func.min(jobs.c.project)).where(_IN_QUEUE, jobs.c.project > found.c.project)
    found = found.union_all(sa.select(after.scalar_subquery()).where(found.c.project.is_not(None)))
    return sa.select(found.c.project).where(found.c.project.is_not(None)).limit(rules.QUEUES_MAX)


_WAITING_PROJECTS = _waiting_projects()


def people_of(projects: Sequence[str]) -> sa.Select[*tuple[object, ...]]:
    """Select who has queued jobs in projects that have a quota, by steps in an index of people's queues."""
    quotas = [f"{PROJECT}/{project}" for project in projects]
    project = sa.func.substr(registry.c.id, len(PROJECT) + 2)
    begin = sa.select(sa.func.min(jobs.c.person)).where(_IN_QUEUE, jobs.c.project == project)
    first = sa.select(project.label("project"), begin.scalar_subquery().label("person"))
    first = first.add_columns(sa.literal(1).label("place"))
    found = first.where(registry.c.kind == rules.QUOTA, registry.c.id.in_(quotas)).cte(
        "found", recursive=True
    )
    after = sa.select(sa.func.min(jobs.c.person)).where(
        _IN_QUEUE, jobs.c.project == found.c.project, jobs.c.person > found.c.person
    )
    more = sa.select(found.c.project, after.scalar_subquery(), found.c.place + 1)
    more = more.where(found.c.person.is_not(None), found.c.place < rules.PEOPLE_MAX)
    found = found.union_all(more)
    known = sa.select(found.c.project, found.c.person).where(found.c.person.is_not(None))
    return known.order_by(found.c.project, found.c.person)


def heads_of(most: int) -> HeadOf:
    """Return what selects the first queued jobs of a project, or of a person in it, so many at most."""

    def head_of(
        project: sa.ColumnElement[str], person: sa.ColumnElement[str] | None = None
    ) -> sa.Select[*tuple[object, ...]]:
        waiting = sa.select(*COLUMNS).where(_IN_QUEUE, jobs.c.project == project)
        if person is not None:
            waiting = waiting.add_columns(jobs.c.person).where(jobs.c.person == person)
        return waiting.order_by(jobs.c.priority.desc(), jobs.c.queued_ms, jobs.c.id).limit(most)

    return head_of


def read_due(connection: sa.Connection, now_ms: int, limits: Limits) -> tuple[JobRow, ...]:
    """Return the jobs that ask for a look."""
    rows = connection.execute(_DUE, {"now_ms": now_ms, "most": limits.due}).mappings()
    return tuple(job_row(row) for row in rows)


def read_queue(
    db: Database,
    connection: sa.Connection,
    limits: Limits,
    due: Iterable[JobRow],
    limited: Iterable[str],
    holdings: Iterable[PersonHolding],
) -> tuple[JobRow, ...]:
    """Return the head of the queue without what is due; `limited` are the projects that limit people."""
    names = frozenset(row.job.id for row in due if row.job.state is JobState.QUEUED)
    projects = [str(name) for name in connection.scalars(_WAITING_PROJECTS)]
    share = rules.queue_share(limits.queue, len(projects))
    apart = frozenset(limited).intersection(projects)
    queue = _shown(db, connection, share, [(each,) for each in projects if each not in apart], names)
    held = rules.held_by_person(holdings) if apart else {}
    by_part: dict[int, list[tuple[str, ...]]] = defaultdict(list)
    people = connection.execute(people_of(sorted(apart))).mappings() if apart else ()
    for project, rows in groupby(people, itemgetter("project")):
        shown, part = rules.people_shown(share, project, [row["person"] for row in rows], held)
        by_part[part] += [(project, person) for person in shown]
    for part, keys in sorted(by_part.items()):
        queue += _shown(db, connection, part, keys, names)
    return tuple(sorted(queue, key=rules.queue_order)[: limits.queue])


def _shown(
    db: Database, connection: sa.Connection, part: int, keys: _Keys, names: frozenset[str]
) -> list[JobRow]:
    """Return so many jobs of each key, a project or a person in one, without those that are looked at."""
    found: list[JobRow] = []
    key_of = itemgetter("project") if len(keys[0] if keys else ()) == 1 else itemgetter("project", "person")
    for _, rows in groupby(db.of_each(connection, heads_of(part + len(names)), keys), key_of):
        found += [job_row(row) for row in rows if row["id"] not in names][:part]
    return found
