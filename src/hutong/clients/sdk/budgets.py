"""Calls about budgets, notices, and use by day."""

from collections.abc import Iterable

from hutong.clients.sdk.call import Call, Listing, document, path_of, query_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import budgets as w
from hutong.wire.base import Page


def set_budget(budget: str, wanted: w.NewBudget) -> Call[w.Budget]:
    """Set a budget of that name, whole."""
    return Call("PUT", path_of("budgets", budget), shape(w.Budget), body=document(wanted))


def get_budget(budget: str) -> Call[w.Budget]:
    """Return a budget and what is spent of it."""
    return Call("GET", path_of("budgets", budget), shape(w.Budget))


def list_budgets(*, project: str = "", institution: str = "", limit: int | None = None) -> Listing[w.Budget]:
    """List budgets; of one project or institution, where it is named."""
    return Listing(path_of("budgets"), shape(Page[w.Budget]), _of(project, institution), most=limit)


def end_budget(budget: str) -> Call[w.Budget]:
    """End a budget: it bounds nothing any more."""
    return Call("DELETE", path_of("budgets", budget), shape(w.Budget))


def list_notices(*, project: str = "", institution: str = "", limit: int | None = None) -> Listing[w.Notice]:
    """List the notices of thresholds that budgets reached."""
    return Listing(path_of("notices"), shape(Page[w.Notice]), _of(project, institution), most=limit)


def read_usage(
    *,
    by: Iterable[str] = (),
    start: str = "",
    end: str = "",
    project: str = "",
    institution: str = "",
    people: Iterable[str] = (),
    sites: Iterable[str] = (),
    accelerators: Iterable[str] = (),
    units: Iterable[str] = (),
    compare: bool = False,
    cursor: str = "",
    limit: int | None = None,
) -> Call[w.Usage]:
    """Return use of UTC days `[start, end)` in groups by up to two things, a page of them."""
    named = {"by": by, "person": people, "site": sites, "accelerator": accelerators, "unit": units}
    many = tuple((name, value) for name, values in named.items() for value in values)
    one = query_of(
        **{
            "from": start,
            "to": end,
            "project": project,
            "institution": institution,
            "compare": "true" if compare else "",
            "cursor": cursor,
            "limit": limit,
        }
    )
    return Call("GET", path_of("usage"), shape(w.Usage), (*many, *one))


def rebuild_usage() -> Call[w.Rebuilt]:
    """Make use by day anew from the usage records (operators)."""
    return Call("POST", path_of("ledger", "usage", "days", "rebuild"), shape(w.Rebuilt), keyed=True)


def _of(project: str, institution: str) -> tuple[tuple[str, str], ...]:
    return query_of(project=project, institution=institution)


class BudgetVerbs:
    """Budgets and the notices of their thresholds."""

    set = Verb(set_budget)
    get = Verb(get_budget)
    list = ListVerb(list_budgets)
    end = Verb(end_budget)
    notices = ListVerb(list_notices)


class UsageVerbs:
    """Use by day."""

    read = Verb(read_usage)
    rebuild = Verb(rebuild_usage)


class Budgets(BudgetVerbs, Group):
    """Budgets and the notices of their thresholds."""


class AsyncBudgets(BudgetVerbs, AsyncGroup):
    """Budgets and the notices of their thresholds."""


class Usage(UsageVerbs, Group):
    """Use by day."""


class AsyncUsage(UsageVerbs, AsyncGroup):
    """Use by day."""
