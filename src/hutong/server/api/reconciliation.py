"""The three-way reconciliation at the door: scheduler, records of use and ledger, by site and day."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.core.kernel.quantities import DAY_MS
from hutong.core.ledger.reconciling import Report
from hutong.server.api.access import Allowed, Here
from hutong.server.metering import limits_of
from hutong.server.reconciling import reconcile_day, sources
from hutong.wire import reconciliation as w
from hutong.wire.base import rfc3339

router = APIRouter(prefix="/v1", tags=["ledger"])
SHOWN_AT_MOST = 200
_EPOCH = date(1970, 1, 1)


@router.get("/reconciliation", dependencies=[Depends(Allowed("ledger.verify"))])
def read_reconciliation(
    here: Here,
    day: Annotated[str, Query(max_length=10, description="UTC day, such as 2026-11-28; else yesterday")] = "",
    source: Annotated[str, Query(max_length=63, description="a site; else all of them")] = "",
) -> w.Reconciliation:
    """Compare what each site's scheduler says of a day with the records that came and with the ledger."""
    now_ms = here.clock()
    number = _day(day) if day else now_ms // DAY_MS - 1
    if not 0 <= number <= now_ms // DAY_MS:
        problem = Problem("?day", f"{day} has not begun", "a day that has")
        raise Refused("bad_day", "that day cannot be compared", (problem,))
    if source and here.store.get("site", source) is None:
        raise NotFound("not_found", f"there is no site {source!r}")
    limits = limits_of(here.settings)
    wanted = (source,) if source else sources(here.store)
    reports = (reconcile_day(here.store, each, number, limits, now_ms) for each in wanted)
    return w.Reconciliation(items=tuple(_shape(report) for report in reports))


def _day(text: str) -> int:
    try:
        return (datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date() - _EPOCH).days
    except ValueError as error:
        problem = Problem("?day", f"{text!r} is not a day", "such as 2026-11-28")
        raise Refused("bad_day", "that day cannot be compared", (problem,)) from error


def _shape(report: Report) -> w.SourceDay:
    shown = report.differences[:SHOWN_AT_MOST]
    return w.SourceDay(
        source=report.source,
        day=rfc3339(report.day * DAY_MS)[:10],
        scheduler=w.Column(**asdict(report.scheduler)) if report.scheduler else None,
        usage=w.Column(**asdict(report.usage)),
        ledger=w.Column(**asdict(report.ledger)),
        unbilled_card_ms=report.unbilled_card_ms,
        others=report.others,
        drifts=report.drifts,
        found=len(report.differences),
        differences=tuple(w.Difference.model_validate(asdict(each)) for each in shown),
    )
