"""Jobs in memory: wishes, what users ask later, lists, facts and receipts."""

from collections.abc import Sequence

from hutong.adapters.store import rules
from hutong.adapters.store.codec import encode
from hutong.adapters.store.memory.shelf import Shelf
from hutong.core.book.snapshot import JobRow
from hutong.core.book.store import JobQuery, NewJob, Submission, UserEvent
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import AttemptKey, JobId
from hutong.core.work.facts import Fact
from hutong.core.work.fold import Job, begin


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
                self._save(JobRow(begin(fact), wish.spec, wish.project), now_ms)
                if wish.idempotency_key:
                    self._wishes[wish.project, wish.idempotency_key] = (wish.id, wish.request_digest)
            return answers

    def ask(self, job: JobId, event: UserEvent, now_ms: int) -> Job:
        """Append what a user wants; a repeat changes nothing. Raises NotFound, or Conflict if too late."""
        with self._writing():
            kept = self._jobs.get(job)
            if kept is None:
                raise rules.unknown_job(job)
            before = kept.row.job
            if not rules.wants_fact(before, event):
                return before
            after, fact = rules.append(before, now_ms, f"user:{event.by}", event)
            encode(fact.event)
            self._facts[job].append(fact)
            self._move(after, rules.sooner(kept.due_ms, now_ms))
            return after

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
