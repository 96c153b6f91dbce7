"""What the jobs of a turn ask of pools: jobs that ask for the same share one question, judged once."""

from collections.abc import Callable, Sequence

from hutong.core.control.avoiding import broken_by, domains_that_broke
from hutong.core.control.desk import Desk
from hutong.core.control.draft import Draft
from hutong.core.placement.ahead import Hours
from hutong.core.placement.judge import Judged, Table, judge
from hutong.core.placement.page import Question
from hutong.core.placement.request import PoolView, Request, request_of
from hutong.core.placement.staging import cargo_of


class Questions:
    """`all` are the questions, `judged` what each comes to, `of` the question of each job."""

    def __init__(
        self,
        drafts: Sequence[Draft],
        views: Sequence[PoolView],
        table: Table,
        hours: Hours,
        at_ms: int,
        desk: Desk,
    ) -> None:
        self.all: list[Question] = []
        self.judged: list[Judged] = []
        self._views = views
        known: dict[Question, int] = {}
        # A spec that many jobs share is read once.
        by_spec: dict[tuple[object, ...], int] = {}
        fresh: dict[tuple[int, str], int] = {}  # those that were never placed: nothing else tells them apart
        self.of: list[int] = []
        for draft in drafts:
            new = () if draft.job.attempts else (id(draft.row.spec), draft.row.project)
            if new in fresh:
                self.of.append(fresh[new])
                continue
            request, known_as = self._request(draft, desk)
            at = by_spec.get(known_as, -1)
            if at < 0:
                question = Question(request(), desk.policy(draft.row.spec.wish.objective))
                at = by_spec[known_as] = known.setdefault(question, len(known))
                if at == len(self.all):
                    self.all.append(question)
                    ahead = hours.over(at_ms, question.request.run_ms)
                    self.judged.append(judge(question.request, question.policy, table, ahead))
            if new:
                fresh[new] = at
            self.of.append(at)

    def _request(self, draft: Draft, desk: Desk) -> tuple[Callable[[], Request], tuple[object, ...]]:
        """Return what makes a job's request, and by what it is known."""
        spec = draft.row.spec
        avoid = broken_by(draft.job)
        runs = desk.runs_of(draft.row.project, spec) if len(spec.resources.asks) > 1 else ()
        shared = domains_that_broke(draft.job, spec.retry.avoid_domains, self._views)
        cargo = cargo_of(spec, draft.job)
        likely_ms, paid = desk.likely_ms(draft.row.project, spec), desk.paid_by(draft.row.project)

        def make() -> Request:
            return request_of(
                spec,
                avoid=avoid,
                runs=runs,
                cargo=cargo,
                avoid_domains=shared,
                likely_ms=likely_ms,
                paid=paid,
            )

        return make, (id(spec), avoid, shared, runs, cargo, likely_ms, id(paid))
