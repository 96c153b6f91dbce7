"""Budgets as the registry keeps them, their four numbers, and the notices of thresholds that are reached."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from hutong.core.accounts.budgets import Action, Budget, Scope, Threshold, amount_text, told
from hutong.core.book.ahead import still_to_use
from hutong.core.book.spending import Spending, measured, notice_id, with_carbon
from hutong.core.book.store import JobQuery, Record, Store
from hutong.core.book.uses import Amounts
from hutong.core.capacity.sites import Site, SiteStatus
from hutong.core.kernel.days import day_of
from hutong.core.kernel.errors import Conflict, Refused
from hutong.core.kernel.quantities import DAY_MS
from hutong.core.work.fold import Attempt
from hutong.core.work.states import AttemptState, JobState
from hutong.server.registry import document, every, read

KIND = "budget"
NOTICE = "notice"
NOTICES_KEPT_MS = 400 * DAY_MS
EACH_MOST = 50
"""How many budgets an institution or a project may have, of its people too."""

_RUNNING = frozenset({JobState.RUNNING.value, JobState.FINISHING.value})
_COUNTED = 1000
_AT_ONCE = 20

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Notice:
    """That a budget reached a threshold in a period."""

    budget: str
    scope: Scope
    name: str
    person: str
    period: str
    percent: int
    action: Action
    at_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What is spent of a budget, with what of it is in flight by the clock."""

    spending: Spending
    in_flight: int

    @property
    def committed(self) -> int:
        """What placed work may still use beyond what it has used."""
        return self.spending.ahead - self.in_flight

    @property
    def available(self) -> int:
        """What is left when all that is placed has used what it may; below zero if too much is."""
        return self.spending.budget.amount - self.spending.spent


def standings(store: Store, budgets: Sequence[Budget], now_ms: int) -> dict[str, Standing]:
    """Return how budgets stand that have a period now, by their names.

    What is in flight is of at most the newest 1,000 running jobs of each.
    """
    found = {}
    statuses: Mapping[str, SiteStatus] | None = None
    for each in store.spendings(budgets, now_ms):
        in_flight = 0
        if each.ahead:
            statuses = statuses if statuses is not None else store.statuses()
            in_flight = min(each.ahead, _in_flight(store, each.budget, statuses, now_ms))
        found[each.budget.id] = Standing(each, in_flight)
    return found


def _in_flight(store: Store, budget: Budget, statuses: Mapping[str, SiteStatus], now_ms: int) -> int:
    projects = frozenset({budget.name})
    if budget.scope is Scope.INSTITUTION:
        projects = frozenset(row.id for row in every(store, "project", budget.name, _COUNTED))
    total = 0
    sites: dict[str, Site | None] = {}
    for row in store.jobs(JobQuery(projects, _RUNNING, "", _COUNTED)):
        attempt = row.job.attempt
        if attempt is None or attempt.settled or (budget.person and row.job.by != budget.person):
            continue
        if attempt.site not in sites:
            record = store.get("site", attempt.site)
            sites[attempt.site] = read(Site, record) if record else None
        site = sites[attempt.site]
        used = _unsettled(attempt, statuses.get(attempt.site), now_ms)
        total += measured(
            budget, attempt.accelerator, "card_ms", with_carbon(used, site.supply if site else None)
        )
    return total


def _unsettled(attempt: Attempt, status: SiteStatus | None, now_ms: int) -> Amounts:
    """Return what an attempt has used that is not metered yet, as far as its site was seen."""
    upto_ms = min(now_ms, status.observed_ms) if status else now_ms
    running = attempt.state is AttemptState.RUNNING
    ran_ms = max(0, upto_ms - attempt.started_seen_ms) if running else attempt.ran_ms
    if attempt.run_ms:
        ran_ms = min(ran_ms, attempt.run_ms)
    # As if it were to end now: what it then may still use is what it has used.
    return still_to_use(replace(attempt, state=AttemptState.SUCCEEDED, ran_ms=ran_ms))


def put(store: Store, budget: Budget) -> Budget:
    """Write a budget over the one of that name. Raises Conflict where there are too many of them."""
    there = store.get(KIND, budget.id)
    if there is None and len(store.records(KIND, budget.parent, "", EACH_MOST)) >= EACH_MOST:
        raise Conflict("too_many", f"{budget.parent} has {EACH_MOST} budgets, the most there may be")
    if there is not None and there.parent != budget.parent:
        raise Conflict("exists", f"there is another budget {budget.id!r}, of {there.parent}")
    record = Record(KIND, budget.id, document(budget), budget.parent)
    if there is None or there.doc != record.doc:
        store.put(record, expect=there.version if there else 0)
    return budget


def binding(
    store: Store, project: str, institution: str, person: str, least: Action, now_ms: int
) -> tuple[Spending, ...]:
    """Return what is spent of the budgets that count a person's work and do so much, or worse."""
    parents = [f"{Scope.PROJECT}/{project}", *([f"{Scope.INSTITUTION}/{institution}"] if institution else [])]
    budgets = [read(Budget, row) for parent in parents for row in store.records(KIND, parent, "", EACH_MOST)]
    mine = [each for each in budgets if each.covers(project, person, institution)]
    return store.spendings([each for each in mine if each.limit(least) is not None], now_ms)


def refuse_drained(store: Store, project: str, institution: str, person: str, now_ms: int) -> None:
    """Raise Refused where a budget is used up to where no service is begun any more."""
    for each in binding(store, project, institution, person, Action.DRAIN, now_ms):
        limit = each.budget.limit(Action.DRAIN)
        if limit is not None and each.settled >= limit:
            budget = each.budget
            message = f"budget {budget.id} of {budget.whose} is used up to where no service is begun any more"
            raise Refused("budget", f"{message}; ask {budget.by} for more")


def text_of(spending: Spending, threshold: Threshold) -> str:
    """Return the words of a notice: what is used of what, and what follows."""
    budget = spending.budget
    used, amount = amount_text(spending.settled, budget.unit), amount_text(budget.amount, budget.unit)
    follows = {
        Action.NOTIFY: "nothing is held back for it",
        Action.BLOCK_NEW: "nothing is placed that would go beyond it",
        Action.DRAIN: "nothing is placed that would go beyond it, and no service is begun",
        Action.STOP: "preemptible jobs are stopped at their checkpoint now, the others in an hour",
    }
    return (
        f"budget {budget.id} of {budget.whose}: {used} of {amount} {told(budget)} are used, "
        f"{threshold.percent} % were to be told of; {follows[threshold.action]}"
    )


def notices_of(spending: Spending, now_ms: int) -> tuple[Notice, ...]:
    """Return the notices of the thresholds that are reached, one of each in a period."""
    budget, day = spending.budget, day_of(now_ms)
    harshest = {each.percent: each for each in budget.crossed(spending.settled)}
    return tuple(
        Notice(
            budget.id,
            budget.scope,
            budget.name,
            budget.person,
            budget.period_at(day),
            each.percent,
            each.action,
            now_ms,
            text_of(spending, each),
        )
        for each in harshest.values()
    )


@dataclass(slots=True)
class Noticer:
    """Looks after some budgets at a time and writes what people must know; safe to repeat."""

    store: Store
    _after: str = ""
    _after_notice: str = field(default="")

    def step(self, now_ms: int) -> int:
        """Look at the next budgets, and forget old notices; return how many notices are new."""
        rows = self.store.records(KIND, "", self._after, _AT_ONCE)
        self._after = rows[-1].id if len(rows) == _AT_ONCE else ""
        spent = self.store.spendings([read(Budget, row) for row in rows], now_ms)
        self._forget(now_ms)
        return sum(self._write(each, notices_of(each, now_ms), now_ms) for each in spent)

    def _write(self, spending: Spending, notices: Iterable[Notice], now_ms: int) -> int:
        budget, fresh = spending.budget, 0
        for each in notices:
            name = notice_id(budget, day_of(now_ms), each.percent)
            if self.store.get(NOTICE, name) is not None:
                continue
            try:
                self.store.put(Record(NOTICE, name, document(each), budget.parent), expect=0)
            except Conflict:  # another loop was faster
                continue
            fresh += 1
            log.info("notice", notice=name, detail=each.text)
        return fresh

    def _forget(self, now_ms: int) -> None:
        rows = self.store.records(NOTICE, "", self._after_notice, _AT_ONCE)
        self._after_notice = rows[-1].id if len(rows) == _AT_ONCE else ""
        for row in rows:
            if read(Notice, row).at_ms < now_ms - NOTICES_KEPT_MS:
                self.store.remove(NOTICE, row.id)
