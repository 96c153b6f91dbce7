"""What budgets leave for requests to models: asked of the book at most every two seconds for each project."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from hutong.core.accounts.budgets import Action, Unit
from hutong.core.accounts.registry import Project
from hutong.core.book.spending import Spending
from hutong.core.book.store import Store
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.money import format_micro
from hutong.server.budgets import binding
from hutong.server.gateway.faults import Fault
from hutong.server.registry import read

KEEP_MS = 2_000
_REMEMBERED = 1_000


class Budgets:
    """Remembers, for each project, the budgets of money that hold new work back. Not for an event loop."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[ProjectId, tuple[int, tuple[Spending, ...]]] = OrderedDict()

    def require(self, project: ProjectId, most_micro: int) -> None:
        """Raise Fault `insufficient_quota` where a request that may cost so much would go beyond a budget.

        What is spent is up to two seconds old: requests of that time may go beyond it.
        """
        for each in self._binding(project):
            limit = each.budget.limit(Action.BLOCK_NEW)
            if limit is not None and most_micro and each.spent + most_micro > limit:
                budget = each.budget
                left = format_micro(max(0, limit - each.spent))
                message = (
                    f"budget {budget.id} of {budget.whose} leaves {left} CNY "
                    f"and this request may cost {format_micro(most_micro)}; ask {budget.by} for more"
                )
                raise Fault(429, "budget_exhausted", message, kind="insufficient_quota")

    def _binding(self, project: ProjectId) -> tuple[Spending, ...]:
        now_ms = self._clock()
        with self._lock:
            entry = self._known.get(project)
        if entry is not None and now_ms < entry[0]:
            return entry[1]
        record = self._store.get("project", project)
        institution = read(Project, record).institution if record else ""
        found = binding(self._store, project, institution, "", Action.BLOCK_NEW, now_ms)
        money = tuple(each for each in found if each.budget.unit is Unit.CNY)
        with self._lock:
            self._known[project] = (now_ms + KEEP_MS, money)
            self._known.move_to_end(project)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return money
