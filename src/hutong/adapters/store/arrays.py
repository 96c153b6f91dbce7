"""Jobs of arrays in SQL: how many are in which state, and which of them begin when one is over."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from hutong.adapters.store import array_rules
from hutong.adapters.store.asking import Asking, Rows
from hutong.adapters.store.db import Database, run_among
from hutong.adapters.store.tables import jobs
from hutong.core.book.snapshot import JobOutcome
from hutong.core.kernel.ids import JobId
from hutong.core.work.states import FINAL, JobState

_OF_ARRAY = sa.and_(jobs.c.id > sa.bindparam("after"), jobs.c.id < sa.bindparam("before"))


def _in_states(states: Iterable[JobState]) -> sa.ColumnElement[bool]:
    """Literals: each state is a walk down the index of states, which has the ids too."""
    return jobs.c.state.in_([sa.literal_column(f"'{each.value}'") for each in sorted(states)])


_STATES = (
    sa.select(jobs.c.state, sa.func.count().label("jobs"))
    .where(_in_states(JobState), _OF_ARRAY)
    .group_by(jobs.c.state)
)
_BEGUN = sa.select(jobs.c.id).where(_in_states(set(JobState) - FINAL - {JobState.ACCEPTED}), _OF_ARRAY)
_ACCEPTED = (
    sa.select(jobs.c.id, jobs.c.due_ms)
    .where(_in_states({JobState.ACCEPTED}), _OF_ARRAY)
    .order_by(jobs.c.id)
    .limit(sa.bindparam("most"))
)
_BEGIN = (
    jobs.update()
    .where(_in_states({JobState.ACCEPTED}), jobs.c.due_ms.is_(None))
    .values(due_ms=sa.bindparam("now_ms"))
)


class Arrays:
    """The part of the store that knows arrays."""

    _db: Database

    def array_states(self, array: str) -> dict[str, int]:
        """Return how many jobs of an array are in which state."""
        after, before = array_rules.bounds_of(array)
        with self._db.read() as connection:
            rows = connection.execute(_STATES, {"after": after, "before": before}).mappings().all()
        return {row["state"]: row["jobs"] for row in rows}


class Following:
    """Lets jobs of arrays begin when others are over: asks first, writes later."""

    def __init__(self, ask: Asking, outcomes: Iterable[JobOutcome]) -> None:
        self._asked: dict[str, tuple[int, Rows, Rows]] = {}
        for array, limit in sorted(array_rules.limits_of(outcomes).items()):
            after, before = array_rules.bounds_of(array)
            told = {"after": after, "before": before}
            accepted = ask(_ACCEPTED, {**told, "most": array_rules.looked_at(limit)})
            self._asked[array] = limit, ask(_BEGUN, told), accepted

    def write(self, connection: sa.Connection, fresh: Sequence[JobOutcome], now_ms: int) -> None:
        """Let those begin whom the ends among `fresh` make room for."""
        over = {each.job for each in fresh if each.after.final}
        for array in sorted(array_rules.limits_of(fresh)):
            limit, begun, accepted = self._asked[array]
            names = array_rules.next_of(
                limit,
                [JobId(row["id"]) for row in begun],
                [(JobId(row["id"]), row["due_ms"]) for row in accepted],
                over,
            )
            run_among(connection, _BEGIN, jobs.c.id, names, now_ms=now_ms)
