"""The forecaster: beside the loop it plans the queue ahead now and then, and learns how that came out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from hutong.core.book.snapshot import Limits
from hutong.core.book.store import Record, Store
from hutong.core.control import forecast as f
from hutong.core.control.rules import Rules
from hutong.core.kernel.ids import JobId
from hutong.core.work.states import JobState
from hutong.server.forecasts import ID, KIND

log = structlog.get_logger(__name__)

_ASKED_MAX = 200
_TRACKED_MAX = 5_000


@dataclass(slots=True)
class Forecaster:
    """Makes forecasts, and learns from how they came out."""

    store: Store
    rules: Rules
    clock: Callable[[], int]
    limits: Limits = field(default_factory=Limits)
    _record: f.Record | None = None
    _tracked: dict[JobId, tuple[int, int]] = field(default_factory=dict)
    _empty: bool = False

    def step(self) -> int:
        """Make one forecast, write it down where there is a queue, and return of how many jobs it is."""
        now_ms = self.clock()
        record = self._known()
        snapshot = self.store.snapshot(now_ms, replace(self.limits, lengths=self.rules.predicts))
        plans = f.plan(snapshot, self.rules)
        self._learn(record, {row.job.id for row in snapshot.queue})
        self._track(plans, now_ms)
        if plans or not self._empty:
            still = [(planned_ms, now_ms - since_ms) for since_ms, planned_ms in self._tracked.values()]
            corrections = f.Corrections(record, still)
            jobs = {plan.job: _row(plan, corrections, now_ms) for plan in plans}
            doc = {"as_of_ms": now_ms, "jobs": jobs, "ratios": record.document()}
            self.store.put(Record(KIND, ID, doc))
        self._empty = not plans
        return len(plans)

    def _known(self) -> f.Record:
        if self._record is None:
            kept = self.store.get(KIND, ID)
            ratios = kept.doc.get("ratios") if kept else None
            self._record = f.record_of(ratios if isinstance(ratios, dict) else {})
        return self._record

    def _learn(self, record: f.Record, waiting: set[JobId]) -> None:
        """Look at jobs that wait no more: those that were placed tell how long their wait was.

        One that is looked at just now, or beyond the queue's head, waits on.
        """
        for name in [job for job in self._tracked if job not in waiting][:_ASKED_MAX]:
            since_ms, planned_ms = self._tracked.pop(name)
            row = self.store.job(name)
            placed = [each.placed_ms for each in row.job.attempts] if row else []
            since = [placed_ms for placed_ms in placed if placed_ms >= since_ms]
            if since:
                record.learn(planned_ms, min(since) - since_ms)
            elif row is not None and row.job.state is JobState.QUEUED:
                self._tracked[name] = since_ms, planned_ms

    def _track(self, plans: Sequence[f.Plan], now_ms: int) -> None:
        for plan in plans:
            if len(self._tracked) < _TRACKED_MAX and plan.wait_ms is not None:
                self._tracked.setdefault(plan.job, (now_ms, plan.wait_ms))


def _row(plan: f.Plan, corrections: f.Corrections, now_ms: int) -> list[int]:
    if plan.wait_ms is None:
        return [plan.place, 0, 0, 0]
    waits = corrections.of(plan.wait_ms)
    return [plan.place, now_ms + waits.likely_ms, now_ms + waits.late_ms, waits.samples]
