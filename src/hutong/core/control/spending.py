"""Budgets in a turn: what a placement would bring beyond one waits and is told why; what runs may be stopped.

A placement counts with all that it may use until its walltime. So what is settled and committed together
never goes beyond a budget by what is placed, in any unit, however many jobs a turn places.
"""

from collections.abc import Sequence

from hutong.core.accounts.budgets import ALL, Action, Unit, amount_text, told
from hutong.core.book.ahead import still_to_use
from hutong.core.book.snapshot import Snapshot
from hutong.core.book.spending import Spending, measured, with_carbon
from hutong.core.book.uses import Amounts
from hutong.core.kernel.days import day_text
from hutong.core.kernel.ids import ProjectId
from hutong.core.work.fold import Attempt, Job

CODE = "budget"
_CARDS = "card_ms"

NOTICE_MS = 3_600_000
"""So long people know that what may not be preempted will be stopped, before it is."""


class Spendings:
    """What is spent of each budget of a snapshot, with what this turn has decided."""

    def __init__(self, shot: Snapshot) -> None:
        self._shot = shot
        self._supplies = {str(site.id): site.supply for site in shot.sites}
        self._spent = [each.spent for each in shot.budgets]

    def refuses(self, project: ProjectId, person: str, attempt: Attempt) -> tuple[str, str] | None:
        """Return a code and a sentence if a placement would bring a budget beyond where it blocks."""
        for at in self._of(project, person):
            spending = self._shot.budgets[at]
            limit, need = spending.budget.limit(Action.BLOCK_NEW), self._need(spending, attempt)
            if limit is not None and need and self._spent[at] + need > limit:
                return CODE, _sentence(spending, limit - self._spent[at], need)
        return None

    def take(self, project: ProjectId, person: str, attempt: Attempt) -> None:
        """Count a placement."""
        for at in self._of(project, person):
            self._spent[at] += self._need(self._shot.budgets[at], attempt)

    def note(self, project: ProjectId, before: Job, after: Job) -> None:
        """Count what a turn's metering changed: use that is settled now, less what is not ahead any more."""
        for at in self._of(project, before.by):
            spending = self._shot.budgets[at]
            grown = self._total(spending, after) - self._total(spending, before)
            self._spent[at] += max(0, grown)  # what became free is known by the next turn

    def stops(self, project: ProjectId, person: str, attempt: Attempt) -> str:
        """Return why an attempt is to be stopped now, empty if it is not.

        What may be preempted is stopped once so much is used, the rest when people have known for a while.
        """
        for at in self._of(project, person):
            each = self._shot.budgets[at]
            limit = each.budget.limit(Action.STOP)
            touches = self._need(each, attempt) > 0
            if limit is None or each.settled < limit or not touches:
                continue
            if attempt.preemptible or 0 < each.told_ms <= self._shot.now_ms - NOTICE_MS:
                used = f"{amount_text(each.settled, each.budget.unit)} {told(each.budget)}"
                return f"budget {each.budget.id} of {each.budget.whose} is used up to where it stops: {used}"
        return ""

    def _of(self, project: ProjectId, person: str) -> Sequence[int]:
        budgets = self._shot.budgets
        if not budgets:
            return ()
        owner = self._shot.institutions.get(project, "")
        return [at for at, each in enumerate(budgets) if each.budget.covers(project, person, owner)]

    def _need(self, spending: Spending, attempt: Attempt) -> int:
        amounts = with_carbon(still_to_use(attempt), self._supplies.get(attempt.site))
        return measured(spending.budget, attempt.accelerator, _CARDS, amounts)

    def _total(self, spending: Spending, job: Job) -> int:
        """Return what a job's last attempt used and may still use."""
        attempt = job.attempt
        if attempt is None:
            return 0
        ahead = Amounts() if attempt.settled else still_to_use(attempt)
        card_ms = ahead.quantity + attempt.metered_card_ms
        charge = ahead.charge_micro + attempt.charge_micro
        energy_j = -(-card_ms * attempt.tdp_w * attempt.pue_milli // 10**6)
        amounts = with_carbon(Amounts(card_ms, charge, energy_j), self._supplies.get(attempt.site))
        return measured(spending.budget, attempt.accelerator, _CARDS, amounts)


def _sentence(spending: Spending, left: int, need: int) -> str:
    """Say which budget is in the way, what is left and needed, and what would help."""
    budget = spending.budget
    has, needs = amount_text(max(0, left), budget.unit), amount_text(need, budget.unit)
    text = f"budget {budget.id} of {budget.whose} has {has} {told(budget)} left, the job may use {needs}"
    help_ = [f"ask {budget.by} for more"]
    if left > 0:
        help_.insert(0, "shorten max_duration or take fewer cards")
    if budget.unit is Unit.CARD_HOURS and budget.accelerator != ALL:
        help_.insert(0, "take another accelerator")
    if budget.monthly and budget.until_day != spending.days[1]:
        help_.append(f"wait until {day_text(spending.days[1])}")
    return f"{text}; {', or '.join(help_)}"
