"""My jobs: what runs, what waits and why, what it has cost, and the money behind it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from starlette.responses import Response

from hutong.clients.portal import charts
from hutong.clients.portal.milestones import is_final
from hutong.clients.portal.visit import Visit
from hutong.core.kernel.errors import HutongError
from hutong.core.kernel.money import parse_micro
from hutong.wire.accounts import Project
from hutong.wire.jobs import Job, State
from hutong.wire.money import Balance, Lot

_PAGE = 25
_BALANCES_AT_ONCE = 4
STATES: tuple[str, ...] = get_args(State)


@dataclass(frozen=True, slots=True)
class Purse:
    """A project's money as the page shows it: the four numbers, their bar, and the lot that ends first."""

    balance: Balance
    title: str
    bar: tuple[charts.Segment, ...]
    next_end: Lot | None


async def mine(visit: Visit) -> Response:
    """Show a page of jobs; filters and the place in the list are in the URL."""
    me = await visit.signed_in()
    project, state = visit.query("project"), visit.query("state")
    state, array = state if state in STATES else "", visit.query("array")
    page, purses = await asyncio.gather(
        visit.api.jobs.page(
            project=project or None,
            state=state or None,
            array=array or None,
            cursor=visit.query("cursor"),
            limit=_PAGE,
        ),
        _purses(visit, [each for each in me.projects if project in {"", each.id}]),
    )
    kept = {"project": project, "state": state, "array": array}
    return visit.render(
        "jobs.html",
        {
            "jobs": page.items,
            "project": project,
            "state": state,
            "states": STATES,
            "array": array,
            "older": visit.link("/jobs", **kept, cursor=page.next) if page.next else "",
            "newest": visit.link("/jobs", **kept) if visit.query("cursor") else "",
            "here": visit.here,
            "moving": any(not is_final(job) for job in page.items),
            "purses": purses,
            "last": last_attempt,
        },
    )


def last_attempt(job: Job) -> object:
    """Return a job's latest attempt, or nothing."""
    return job.attempts[-1] if job.attempts else None


async def _purses(visit: Visit, projects: Sequence[Project]) -> tuple[Purse, ...]:
    found = await asyncio.gather(*(_purse(visit, each) for each in projects[:_BALANCES_AT_ONCE]))
    return tuple(each for each in found if each is not None)


async def _purse(visit: Visit, project: Project) -> Purse | None:
    try:
        balance = await visit.api.projects.balance(project.id)
    except HutongError:  # the list of jobs is worth showing without the money beside it
        return None
    filled = [lot for lot in balance.lots if parse_micro(lot.available.amount) > 0]
    first = min(filled, key=lambda lot: lot.ends, default=None)
    return Purse(balance, project.title, charts.balance_bar(balance), first)
