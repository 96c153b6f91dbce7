"""Jobs in memory: wishes, what users ask later, lists, facts and receipts."""

from collections import Counter
from collections.abc import Sequence
from itertools import count, takewhile

from hutong.adapters.store import array_rules, rules
from hutong.adapters.store.codec import encode
from hutong.adapters.store.memory.shelf import Kept, Shelf
from hutong.core.book.snapshot import JobOutcome, JobRow
from hutong.core.book.store import JobQuery, NewJob, Submission, UserEvent
from hutong.core.kernel.arrays import job_at
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import AttemptKey, JobId
from hutong.core.work.facts import Fact
from hutong.core.work.fold import Job, begin
from hutong.core.work.states import JobState


class MemoryJobs(Shelf):
    """The jobs' part of the twin."""

    def __init__(self) -> None:
        super().__init__()
        self._wishes: dict[tuple[str, str], tuple[JobId, str]] = {}
        self._receipts: dict[AttemptKey, bytes] = {}
        self._pages: dict[str, bytes] = {}

    def submit(self, wishes: Sequence[NewJob], now_ms: int) -> tuple[Submission, ...]:
        """Write each wish with its first fact, unless its idempotency key is known."""
        with self._writing():
            answers, fresh = rules.sort_wishes(wishes, self._wishes)
            ids = [wish.id for wish in fresh]
            if len(set(ids)) < len(ids) or not self._jobs.keys().isdisjoint(ids):
                raise Conflict("already_there", "a job of this id is in the book already")
            for wish in fresh:
                encode(wish.spec)
            for wish in fresh:
                fact = rules.first_fact(wish, now_ms)
                self._facts[wish.id] = [fact]
                due_ms = array_rules.first_due(wish, now_ms)
                self._save(JobRow(begin(fact), wish.spec, wish.project), due_ms)
                if wish.idempotency_key:
                    self._wishes[wish.project, wish.idempotency_key] = (wish.id, wish.request_digest)
            return answers

    def ask(self, job: JobId, event: UserEvent, now_ms: int) -> Job:
        """Append what a user wants; a repeat changes nothing. Raises NotFound, or Conflict if too late."""
        with self._writing():
            kept = self._jobs.get(job)
            if kept is None:
                raise rules.unknown_job(job)
            array_rules.check_ask(kept.row.job, kept.due_ms, event)
            if not rules.wants_fact(kept.row.job, event):
                return kept.row.job
            return self._append(kept, event, now_ms)

    def _append(self, kept: Kept, event: UserEvent, now_ms: int) -> Job:
        after, fact = rules.append(kept.row.job, now_ms, f"user:{event.by}", event)
        encode(fact.event)
        self._facts[after.id].append(fact)
        self._move(after, rules.sooner(kept.due_ms, now_ms))
        return after

    def ask_all(self, jobs: Sequence[JobId], event: UserEvent, now_ms: int) -> int:
        """Ask the same of several jobs; return of how many that was news and not too late."""
        with self._writing():
            there = [self._jobs[job] for job in sorted(set(jobs)) if job in self._jobs]
            some = [kept for kept in there if array_rules.may_ask(kept.row.job, kept.due_ms, event)]
            for kept in some:
                self._append(kept, event, now_ms)
            return len(some)

    def _of_array(self, array: str) -> list[Kept]:
        """Return the jobs of an array in order: it has all of its places."""
        ids = takewhile(self._jobs.__contains__, (job_at(array, place) for place in count(1)))
        return [self._jobs[job] for job in ids]

    def array_states(self, array: str) -> dict[str, int]:
        """Return how many jobs of an array are in which state."""
        with self._lock:
            return dict(Counter(kept.row.job.state.value for kept in self._of_array(array)))

    def _following(self, outcomes: Sequence[JobOutcome]) -> list[JobId]:
        """Return which jobs of arrays begin since others are over by these outcomes."""
        over = {each.job for each in outcomes if each.after.final}
        found: list[JobId] = []
        for array, limit in array_rules.limits_of(outcomes).items():
            some = [(kept.row.job, kept.due_ms) for kept in self._of_array(array) if not kept.row.job.final]
            begun = [job.id for job, _ in some if job.state is not JobState.ACCEPTED]
            accepted = [(job.id, due_ms) for job, due_ms in some if job.state is JobState.ACCEPTED]
            found += array_rules.next_of(limit, begun, accepted[: array_rules.looked_at(limit)], over)
        return found

    def job(self, job: JobId) -> JobRow | None:
        """Return one job."""
        with self._lock:
            kept = self._jobs.get(job)
            return kept.row if kept else None

    def jobs(self, query: JobQuery) -> tuple[JobRow, ...]:
        """Return a page of jobs, newest first."""
        with self._lock:
            rows = (self._jobs[name].row for name in sorted(self._jobs, reverse=True))
            found = [
                row
                for row in rows
                if (query.projects is None or row.project in query.projects)
                and (not query.states or row.job.state in query.states)
                and (not query.before or row.job.id < query.before)
                and row.job.id >= query.least
            ]
        return tuple(found[: rules.page(query.limit)])

    def facts(self, job: JobId, after: int, limit: int) -> tuple[Fact, ...]:
        """Return facts of a job with a sequence above `after`."""
        with self._lock:
            found = [fact for fact in self._facts.get(job, ()) if fact.seq > after]
        return tuple(found[: rules.page(limit)])

    def receipt(self, key: AttemptKey) -> bytes | None:
        """Return the stored receipt of an attempt."""
        with self._lock:
            return self._receipts.get(key)

    def page(self, digest: str) -> bytes | None:
        """Return what receipts rest on, by its digest."""
        with self._lock:
            return self._pages.get(digest)
