"""The fold: a job's state is a pure function of its facts, one transition table, illegal moves refused.

`apply` is strict: it raises on a fact that cannot follow, because our own code wrote it. What comes
from outside (late, twice, out of order) is sieved by `advances` before it becomes a fact.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, singledispatch

from hutong.core.kernel.changes import changed, made
from hutong.core.kernel.errors import Broken
from hutong.core.kernel.ids import AttemptKey, JobId, attempt_key
from hutong.core.work import facts as f
from hutong.core.work.states import (
    AT_SITE,
    ENDED,
    FINAL,
    JOB_STATE_OF,
    AttemptState,
    Category,
    JobState,
)

STOPPING_MS = 120_000  # about what a stop takes: its way to the site, the usual grace, a report

_ORDER = {state: rank for rank, state in enumerate(JOB_STATE_OF)}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One placement of a job on one site, folded from the facts about it."""

    number: int
    site: str
    pool: str
    accelerator: str
    nodes: int
    cards: int
    price_micro_per_card_hour: int
    pue_milli: int
    tdp_w: int
    placed_ms: int
    state: AttemptState = AttemptState.PLANNED
    dispatched_ms: int = 0
    external_id: str = ""
    adopted: bool = False
    started_ms: int = 0
    started_seen_ms: int = 0
    port: int = 0
    stop_category: Category = Category.NONE
    stop_reason: str = ""
    stop_sent_ms: int = 0
    category: Category = Category.NONE
    reason: str = ""
    ended_ms: int = 0
    ended_seen_ms: int = 0
    ran_ms: int = 0
    exits: tuple[f.RankExit, ...] = ()
    metered_upto_ms: int = 0
    metered_card_ms: int = 0
    charge_micro: int = 0
    settled: bool = False
    collected: bool = False
    outputs: tuple[f.OutputFile, ...] = ()
    log_bytes: int = 0
    missing: str = ""
    checkpoint_coming: bool = False
    checkpoint: str = ""
    checkpoint_bytes: int = 0
    run_ms: int = 0
    preemptible: bool = False
    likely_ms: int = 0
    resume_ms: int = 0

    @property
    def began_ms(self) -> int:
        """From when the attempt's time is counted, as far as it is known."""
        return self.started_seen_ms or self.dispatched_ms or self.placed_ms

    @property
    def until_ms(self) -> int | None:
        """When the attempt is expected to end, by its walltime (None without one); soon, if it is stopped."""
        if self.stop_sent_ms:
            return self.stop_sent_ms + STOPPING_MS
        return self.began_ms + self.run_ms if self.run_ms else None

    @property
    def guess_ms(self) -> int:
        """How long it is expected to run by what came before, 0 where nothing is known or it is stopped."""
        return 0 if self.stop_sent_ms else self.likely_ms

    @property
    def gives_way(self) -> bool:
        """True while it might be stopped to make room for another."""
        return self.preemptible and not self.stop_sent_ms and not self.over

    @property
    def making_room(self) -> bool:
        """True from when it is stopped for another until it has ended."""
        return self.stop_category is Category.PREEMPTED and not self.over

    @property
    def over(self) -> bool:
        """True once the attempt can never run (again)."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its facts tell it. `seq` is the number of the last fact: the version for guarded writes.

    `queued_ms` is from when it stands in the queue, `retry_ms` when its back-off ends (0: it has none).
    """

    id: JobId
    seq: int
    state: JobState
    submitted_ms: int
    changed_ms: int
    by: str
    queued_ms: int = 0
    retry_ms: int = 0
    attempts: tuple[Attempt, ...] = ()
    waiting_code: str = ""
    waiting_text: str = ""
    hold_asked: bool = False
    cancel_by: str = ""
    cancel_reason: str = ""
    restarts: tuple[tuple[Category, int], ...] = ()
    finished_ms: int = 0
    reason: str = ""

    @property
    def attempt(self) -> Attempt | None:
        """The latest attempt, if any."""
        return self.attempts[-1] if self.attempts else None

    @property
    def live(self) -> Attempt | None:
        """The one attempt that has, or may still get, permission to run (invariant A: at most one)."""
        last = self.attempt
        return last if last is not None and not last.over else None

    @property
    def final(self) -> bool:
        """True when nothing will ever happen to the job again."""
        return self.state in FINAL

    def key(self, attempt: Attempt) -> AttemptKey:
        """The attempt's name on its engine."""
        return attempt_key(self.id, attempt.number)

    def checkpoint_for(self, attempt: Attempt) -> str:
        """Return, by digest, the checkpoint that an attempt's site must be given, or nothing.

        A site at which the job ran since holds what is newer itself.
        """
        for earlier in reversed(self.attempts[: attempt.number - 1]):
            if earlier.started_ms and earlier.site == attempt.site:
                return ""
            if earlier.checkpoint:
                return earlier.checkpoint
        return ""

    def restarts_of(self, category: Category) -> int:
        """How often the job went back to the queue for that reason."""
        return dict(self.restarts).get(category, 0)


def fold(history: Iterable[f.Fact]) -> Job:
    """Return the job that these facts, in sequence and without gaps, describe."""
    job: Job | None = None
    for fact in history:
        job = begin(fact) if job is None else apply(job, fact)
    if job is None:
        raise Broken("a job has at least one fact")
    return job


def begin(fact: f.Fact) -> Job:
    """Return the job that a first fact brings into being."""
    if fact.seq != 1 or not isinstance(fact.event, f.Submitted):
        raise Broken(f"the first fact of {fact.job} is {fact.event!r} with seq {fact.seq}")
    at = fact.at_ms
    return Job(fact.job, 1, JobState.ACCEPTED, at, at, fact.event.by)


def apply(job: Job, fact: f.Fact) -> Job:
    """Return the job after one more fact; raises Broken where the fact cannot follow."""
    if fact.job != job.id or fact.seq != job.seq + 1:
        raise Broken(f"fact {fact.seq} of {fact.job} cannot follow {job.seq} of {job.id}")
    if job.final and not isinstance(fact.event, f.Collected):
        raise Broken(f"{job.id} is {job.state}; nothing follows, yet came {fact.event!r}")
    step = _on.registry.get(type(fact.event), _on)  # as `_on` finds it, at half the time
    return step(fact.event, job, fact.at_ms)  # which counts the fact, so that the job is copied once


def advances(job: Job, event: f.AgentEvent) -> bool:
    """True if what an agent reports is news that may follow; False for repeats and for the past."""
    if event.attempt < 1 or event.attempt > len(job.attempts):
        return False
    attempt = job.attempts[event.attempt - 1]
    match event:
        case f.Collected():
            return attempt.over and not attempt.collected
        case f.Ended():
            return not attempt.over and event.outcome in ENDED
        case f.Accepted():
            ahead = AttemptState.PENDING
        case f.Starting():
            ahead = AttemptState.STARTING
        case f.Started():
            ahead = AttemptState.RUNNING
    return not attempt.over and _ORDER[attempt.state] < _ORDER[ahead]


@lru_cache(maxsize=64)
def planned(event: f.Placed, at_ms: int) -> Attempt:
    """Return the attempt that a placement plans: the very same for all that are placed alike in a turn."""
    return made(
        Attempt, event.attempt, event.site, event.pool, event.accelerator, event.nodes, event.cards,
        event.price_micro_per_card_hour, event.pue_milli, event.tdp_w, at_ms,
        run_ms=event.run_ms, preemptible=event.preemptible, likely_ms=event.likely_ms,
    )  # fmt: skip


@singledispatch
def _on(event: object, job: Job, at_ms: int) -> Job:
    raise Broken(f"no transition for {event!r} at {at_ms} of {job.id}")


def _require(ok: bool, job: Job, event: object) -> None:
    if not ok:
        raise Broken(f"{job.id} is {job.state}; {event!r} cannot follow")


def _with(job: Job, at_ms: int, attempt: Attempt, state: JobState | None = None) -> Job:
    attempts = (*job.attempts[: attempt.number - 1], attempt, *job.attempts[attempt.number :])
    state = state or job.state
    changed_ms = job.changed_ms if state is job.state else at_ms
    return changed(job, seq=job.seq + 1, changed_ms=changed_ms, attempts=attempts, state=state)


def _live(job: Job, number: int, event: object) -> Attempt:
    live = job.live
    if live is None or live.number != number:
        raise Broken(f"{job.id} has no live attempt {number}; {event!r} cannot follow")
    return live


@_on.register
def _(event: f.Queued, job: Job, at_ms: int) -> Job:
    if not event.reason:
        _require(job.state is JobState.ACCEPTED, job, event)
        restarts = job.restarts
    else:
        _require(job.state is JobState.FINISHING, job, event)
        counts = dict(job.restarts)
        counts[event.category] = counts.get(event.category, 0) + 1
        restarts = tuple(sorted(counts.items()))
    _require(event.wait_ms >= 0, job, event)
    ready_ms = at_ms + event.wait_ms
    return changed(
        job, seq=job.seq + 1, state=JobState.QUEUED, changed_ms=at_ms, queued_ms=ready_ms,
        retry_ms=ready_ms if event.wait_ms else 0, restarts=restarts,
    )  # fmt: skip


@_on.register
def _(event: f.Waiting, job: Job, at_ms: int) -> Job:  # noqa: ARG001
    _require(job.state is JobState.QUEUED, job, event)
    return changed(job, seq=job.seq + 1, waiting_code=event.code, waiting_text=event.text)


@_on.register
def _(event: f.HoldAsked, job: Job, at_ms: int) -> Job:
    _require(job.state in {JobState.ACCEPTED, JobState.QUEUED}, job, event)
    return changed(job, seq=job.seq + 1, state=JobState.HELD, changed_ms=at_ms, hold_asked=True)


@_on.register
def _(event: f.Released, job: Job, at_ms: int) -> Job:
    _require(job.state is JobState.HELD, job, event)
    return changed(
        job, seq=job.seq + 1, state=JobState.QUEUED, changed_ms=at_ms, hold_asked=False,
        queued_ms=job.queued_ms or at_ms,
    )  # fmt: skip


@_on.register
def _(event: f.CancelAsked, job: Job, at_ms: int) -> Job:  # noqa: ARG001
    _require(not job.cancel_by, job, event)
    return changed(job, seq=job.seq + 1, cancel_by=event.by, cancel_reason=event.reason)


@_on.register
def _(event: f.Placed, job: Job, at_ms: int) -> Job:
    _require(job.state is JobState.QUEUED and job.live is None, job, event)
    _require(event.attempt == len(job.attempts) + 1, job, event)
    return changed(
        job, seq=job.seq + 1, state=JobState.PLACED, changed_ms=at_ms, waiting_code="", waiting_text="",
        attempts=(*job.attempts, planned(event, at_ms)), retry_ms=0,
    )  # fmt: skip


@_on.register
def _(event: f.StopSent, job: Job, at_ms: int) -> Job:
    live = _live(job, event.attempt, event)
    stopped = changed(live, stop_category=event.category, stop_reason=event.reason, stop_sent_ms=at_ms)
    return _with(job, at_ms, changed(stopped, resume_ms=event.resume_ms))


@_on.register
def _(event: f.Dispatched, job: Job, at_ms: int) -> Job:
    live = _live(job, event.attempt, event)
    _require(live.state is AttemptState.PLANNED, job, event)
    moved = changed(live, state=AttemptState.SUBMITTING, dispatched_ms=at_ms)
    return _with(job, at_ms, moved, JobState.DISPATCHED)


@_on.register
def _(event: f.Accepted, job: Job, at_ms: int) -> Job:
    live = _live(job, event.attempt, event)
    moved = changed(live, external_id=event.external_id, adopted=event.adopted)
    return _forward(job, at_ms, moved, AttemptState.PENDING, event)


@_on.register
def _(event: f.Starting, job: Job, at_ms: int) -> Job:
    return _forward(job, at_ms, _live(job, event.attempt, event), AttemptState.STARTING, event)


@_on.register
def _(event: f.Started, job: Job, at_ms: int) -> Job:
    live = _live(job, event.attempt, event)
    moved = changed(live, started_ms=event.started_ms, started_seen_ms=at_ms, port=event.port)
    return _forward(job, at_ms, moved, AttemptState.RUNNING, event)


def _forward(job: Job, at_ms: int, attempt: Attempt, state: AttemptState, event: object) -> Job:
    _require(_ORDER[attempt.state] < _ORDER[state], job, event)
    return _with(job, at_ms, changed(attempt, state=state), JOB_STATE_OF[state])


@_on.register
def _(event: f.Ended, job: Job, at_ms: int) -> Job:
    _require(job.state in AT_SITE and event.outcome in ENDED, job, event)
    live = _live(job, event.attempt, event)
    ended = changed(
        live, state=event.outcome, category=event.category, reason=event.reason,
        started_ms=event.started_ms or live.started_ms, ended_ms=event.ended_ms, ended_seen_ms=at_ms,
        ran_ms=event.ran_ms, exits=event.exits, checkpoint_coming=event.checkpoint,
    )  # fmt: skip
    return _with(job, at_ms, ended, JobState.FINISHING)


@_on.register
def _(event: f.Metered, job: Job, at_ms: int) -> Job:
    _require(0 < event.attempt <= len(job.attempts), job, event)
    attempt = job.attempts[event.attempt - 1]
    grows = event.card_ms >= attempt.metered_card_ms and event.charge_micro >= attempt.charge_micro
    _require(grows and not attempt.settled and event.final == attempt.over, job, event)
    metered = changed(
        attempt,
        metered_upto_ms=event.upto_ms,
        metered_card_ms=event.card_ms,
        charge_micro=event.charge_micro,
        settled=event.final,
    )
    return _with(job, at_ms, metered)


@_on.register
def _(event: f.Collected, job: Job, at_ms: int) -> Job:
    _require(0 < event.attempt <= len(job.attempts), job, event)
    attempt = job.attempts[event.attempt - 1]
    _require(attempt.over and not attempt.collected, job, event)
    kept = changed(
        attempt,
        collected=True,
        outputs=event.outputs,
        log_bytes=event.log_bytes,
        missing=event.missing,
        checkpoint=event.checkpoint,
        checkpoint_bytes=event.checkpoint_bytes,
    )
    return _with(job, at_ms, kept)


@_on.register
def _(event: f.Finished, job: Job, at_ms: int) -> Job:
    _require(event.state in FINAL and job.live is None, job, event)
    return changed(
        job, seq=job.seq + 1, state=event.state, changed_ms=at_ms, reason=event.reason, finished_ms=at_ms
    )
