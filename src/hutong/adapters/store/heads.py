"""The head of the queue in SQL: of every project its share, and where people are limited, of every person."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, groupby
from operator import itemgetter

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.asking import Asking, Rows
from hutong.adapters.store.db import MOST, Database, one_of
from hutong.adapters.store.jobs import COLUMNS, job_row
from hutong.adapters.store.tables import IN_QUEUE, jobs, registry
from hutong.core.accounts.quotas import PROJECT
from hutong.core.book.snapshot import JobRow, Limits, PersonHolding
from hutong.core.work.states import JobState

_IN_QUEUE = sa.text(IN_QUEUE)
DUE = (
    sa.select(*COLUMNS)
    .where(jobs.c.due_ms.is_not(None), jobs.c.due_ms <= sa.bindparam("now_ms"))
    .order_by(jobs.c.due_ms, jobs.c.id)
    .limit(sa.bindparam(MOST))
)
_Keys = Sequence[tuple[str, ...]]


def _waiting_projects() -> sa.Select[tuple[str]]:
    """Select the projects that have queued jobs, by stepping from one to the next in the queue's index."""
    first = sa.select(sa.func.min(jobs.c.project).label("project")).where(_IN_QUEUE)
    found = first.cte("found", recursive=True)
    after = sa.select(sa.func.min(jobs.c.project)).where(_IN_QUEUE, jobs.c.project > found.c.project)
    found = found.union_all(sa.select(after.scalar_subquery()).where(found.c.project.is_not(None)))
    return sa.select(found.c.project).where(found.c.project.is_not(None)).limit(rules.QUEUES_MAX)


WAITING = _waiting_projects()


@cache
def people_of(dialect: str) -> sa.Select[*tuple[object, ...]]:
    """Select who has queued jobs in the projects whose `quotas` these are, by steps in an index of queues."""
    project = sa.func.substr(registry.c.id, len(PROJECT) + 2)
    begin = sa.select(sa.func.min(jobs.c.person)).where(_IN_QUEUE, jobs.c.project == project)
    first = sa.select(project.label("project"), begin.scalar_subquery().label("person"))
    first = first.add_columns(sa.literal(1).label("place"))
    of_these = one_of(dialect, registry.c.id, "quotas")
    found = first.where(registry.c.kind == rules.QUOTA, of_these).cte("found", recursive=True)
    after = sa.select(sa.func.min(jobs.c.person)).where(
        _IN_QUEUE, jobs.c.project == found.c.project, jobs.c.person > found.c.person
    )
    more = sa.select(found.c.project, after.scalar_subquery(), found.c.place + 1)
    more = more.where(found.c.person.is_not(None), found.c.place < rules.PEOPLE_MAX)
    found = found.union_all(more)
    known = sa.select(found.c.project, found.c.person).where(found.c.person.is_not(None))
    return known.order_by(found.c.project, found.c.person)


def head_of(
    project: sa.ColumnElement[str], person: sa.ColumnElement[str] | None = None
) -> sa.Select[*tuple[object, ...]]:
    """Select the first queued jobs of a project, or of a person in it, so many at most."""
    waiting = sa.select(*COLUMNS).where(_IN_QUEUE, jobs.c.project == project)
    if person is not None:
        waiting = waiting.add_columns(jobs.c.person).where(jobs.c.person == person)
    waiting = waiting.order_by(jobs.c.priority.desc(), jobs.c.queued_ms, jobs.c.id)
    return waiting.limit(sa.bindparam(MOST, type_=sa.Integer()))


class Heads:
    """Reads the head of the queue without what is due; `limited` are the projects that limit people.

    To be asked in two steps, as who of a project's people is shown goes by who waits and what they hold.
    """

    def __init__(
        self,
        db: Database,
        limits: Limits,
        due: Iterable[JobRow],
        projects: Iterable[str],
        limited: Iterable[str],
    ) -> None:
        self._db = db
        self._most = limits.queue
        self._names = frozenset(row.job.id for row in due if row.job.state is JobState.QUEUED)
        self._projects = list(projects)
        self._apart = frozenset(limited).intersection(self._projects)
        self._share = rules.queue_share(limits.queue, len(self._projects))
        self._people: Rows = []
        self._found: list[tuple[int, int, list[Rows]]] = []

    def ask_projects(self, ask: Asking) -> None:
        """Ask for the jobs of projects, and for the people of those that limit them."""
        self._ask(ask, self._share, [(each,) for each in self._projects if each not in self._apart])
        if self._apart:
            quotas = [f"{PROJECT}/{project}" for project in sorted(self._apart)]
            self._people = ask(people_of(ask.connection.dialect.name), {"quotas": quotas})

    def ask_people(self, ask: Asking, holdings: Iterable[PersonHolding]) -> None:
        """Ask for the jobs of people, once the answers to `ask_projects` are here."""
        held = rules.held_by_person(holdings) if self._apart else {}
        by_part: dict[int, list[tuple[str, ...]]] = defaultdict(list)
        for project, rows in groupby(self._people, itemgetter("project")):
            shown, part = rules.people_shown(self._share, project, [row["person"] for row in rows], held)
            by_part[part] += [(project, person) for person in shown]
        for part, keys in sorted(by_part.items()):
            self._ask(ask, part, keys)

    def _ask(self, ask: Asking, part: int, keys: _Keys) -> None:
        if keys:
            asked = self._db.heads(head_of, keys, part + len(self._names))
            self._found.append((part, len(keys[0]), [ask(*each) for each in asked]))

    def queue(self) -> tuple[JobRow, ...]:
        """Return what was found, in the order of the queue."""
        queue: list[JobRow] = []
        for part, width, answers in self._found:
            key_of = itemgetter("project") if width == 1 else itemgetter("project", "person")
            for _, rows in groupby(chain.from_iterable(answers), key_of):
                queue += [job_row(row) for row in rows if row["id"] not in self._names][:part]
        return tuple(sorted(queue, key=rules.queue_order)[: self._most])
