"""What every store decides alike about budgets: which bind a project, and since when people know."""

from collections.abc import Iterable, Mapping

from hutong.core.accounts.budgets import Action, Budget
from hutong.core.kernel.ids import ProjectId

BUDGETS_MAX = 500


def binding(budgets: Iterable[Budget]) -> tuple[Budget, ...]:
    """Return those budgets that do more than notify, in order, at most so many."""
    found = [each for each in budgets if each.limit(Action.BLOCK_NEW) is not None]
    return tuple(sorted(found, key=lambda each: (each.parent, each.id))[:BUDGETS_MAX])


def budget_parents(owners: Mapping[ProjectId, str], projects: Iterable[ProjectId]) -> list[str]:
    """Return under what the budgets of some projects, and of those whose they are, are kept."""
    found = {f"project/{each}" for each in projects}
    found |= {f"institution/{owners[each]}" for each in projects if owners.get(each)}
    return sorted(found)


def told_ms(notice: Mapping[str, object] | None) -> int:
    """Return when a notice was written, 0 for none."""
    at_ms = notice.get("at_ms", 0) if notice else 0
    return at_ms if isinstance(at_ms, int) else 0
