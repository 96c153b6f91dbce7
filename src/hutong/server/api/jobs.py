"""Jobs: submit, look, check, cancel, hold, release."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request

from hutong.core.accounts.roles import Principal
from hutong.core.book.snapshot import JobRow
from hutong.core.book.store import JobQuery, UserEvent
from hutong.core.capacity.sites import Site
from hutong.core.kernel.arrays import MOST_INDEX, MOST_JOBS, job_at
from hutong.core.kernel.errors import Conflict, NotFound, Problem, Refused
from hutong.core.kernel.ids import ProjectId
from hutong.core.work.facts import CancelAsked, HoldAsked, Released
from hutong.core.work.states import WAITING, AttemptState, JobState
from hutong.core.work.unparse import unparse
from hutong.server.api.access import (
    Here,
    OfJob,
    Somewhere,
    first_of_array,
    principal_of,
    require,
    sees_all,
    services_of,
)
from hutong.server.api.commitments import in_force
from hutong.server.api.once import IdempotencyKey, digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.shapes.jobs import fact_shape, job_detail, job_shape
from hutong.server.api.shapes.previews import check_shape
from hutong.server.api.shapes.quotes import quote_shape
from hutong.server.api.threads import in_thread
from hutong.server.api.wishes import Batch, References, read_spec, store_all, submit_one
from hutong.server.forecasts import forecast_of
from hutong.server.guests import ENTER, OPEN, TICKET_MS, issue_ticket
from hutong.server.registry import read
from hutong.server.services import Services
from hutong.wire import jobs as w
from hutong.wire.base import Page, Slug, Ulid, rfc3339

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Submitter = Annotated[Principal, Depends(Somewhere("job.submit"))]
Reader = Annotated[Principal, Depends(Somewhere("job.read"))]
Asker = Annotated[Principal, Depends(principal_of)]
Pages = Annotated[Paging, Depends(paging)]


@router.post("", status_code=201)
async def submit_job(
    request: Request, principal: Submitter, body: w.NewJob, key: IdempotencyKey = ""
) -> w.Job:
    """Submit a job. It is written down for good when the answer comes."""
    here = await services_of(request)  # not `Here`: nothing but the job is written, which says who asked
    row = await submit_one(here, principal, body.project, body.spec, key)
    return job_shape(row, {}, here.clock(), here.rules.reach_ms)


@router.post("/batch", status_code=201)
def submit_jobs(here: Here, principal: Submitter, body: w.NewJobs, key: IdempotencyKey = "") -> w.JobIds:
    """Submit up to 1,000 jobs, stored together or not at all; the ids come in the order asked."""
    batch = Batch(here, principal)
    digest = digest_of(body) if key else ""
    wishes = [
        batch.wish(
            new.project, new.spec, f"/jobs/{index}/spec", f"{key}/{index}" if key else "", [digest, index]
        )
        for index, new in enumerate(body.jobs)
    ]
    memo = digest_of(principal.id, "batch", key) if key else ""
    return w.JobIds(ids=store_all(here, wishes, memo, digest))


@router.post("/check")
def check_job(here: Here, principal: Submitter, body: w.NewJob) -> w.Check:
    """Say what would happen to the job, where, and why not elsewhere; nothing is stored."""
    require(principal, "job.submit", body.project, f"project {body.project!r}")
    spec = read_spec(body.spec)
    spec = References(here).check(body.project, spec)
    return check_shape(here, spec, ProjectId(body.project), principal.id, fresh=True)


@router.post("/quote")
def quote_job(here: Here, principal: Submitter, body: w.NewJob) -> w.Quote:
    """Say what the job would cost in each pool, what would be held, and who would pay; nothing is stored."""
    require(principal, "job.submit", body.project, f"project {body.project!r}")
    spec = References(here).check(body.project, read_spec(body.spec))
    found = quote_shape(here, spec, ProjectId(body.project), principal.id)
    chips = {each.accelerator for each in found.pools}
    drawn = tuple(each for each in in_force(here, body.project) if each.accelerator in chips)
    return found.model_copy(update={"commitments": drawn})


@router.get("")
def list_jobs(
    here: Here,
    principal: Reader,
    pages: Pages,
    project: Annotated[Slug | None, Query()] = None,
    state: Annotated[list[w.State] | None, Query()] = None,
    array: Annotated[Ulid | None, Query(description="only jobs of this array")] = None,
    index: Annotated[int | None, Query(ge=0, le=MOST_INDEX, description="only that of this index")] = None,
) -> Page[w.Job]:
    """List the jobs one may see, the newest first; `state` may be given several times."""
    least, before = _span(here, principal, array, index)
    if project is not None:
        require(principal, "job.read", project, f"project {project!r}")
        projects: frozenset[str] | None = frozenset({project})
    elif sees_all(principal, "job.read"):
        projects = None
    else:
        projects = principal.projects_with("job.read")
    below = min((each for each in (pages.after, before) if each), default="")
    query = JobQuery(projects, frozenset(state or ()), below, pages.limit + 1, least)
    rows = here.store.jobs(query)
    statuses, now_ms = here.store.statuses(), here.clock()
    return pages.page(
        rows, lambda row: row.job.id, lambda row: job_shape(row, statuses, now_ms, here.rules.reach_ms)
    )


def _span(here: Services, principal: Principal, array: str | None, index: int | None) -> tuple[str, str]:
    """Return the least id of an array's jobs, or of the one with that index, and the one behind them."""
    if array is None:
        if index is not None:
            text = "an index is that of a job in an array"
            raise Refused("bad_query", text, (Problem("/index", text, "array=ID&index=7"),))
        return "", ""
    found = first_of_array(here, principal, "job.read", array).spec.array
    place = found.place(index) if found and index is not None else None
    if index is not None and place is None:
        raise NotFound("not_found", f"array {array!r} has no index {index}")
    return job_at(array, place or 1), job_at(array, (place or MOST_JOBS) + 1)


@router.get("/{job}")
async def get_job(request: Request, row: Annotated[JobRow, Depends(OfJob("job.read"))]) -> w.JobDetail:
    """Return one job with its spec; secrets by name only."""
    return await in_thread(_detail, await services_of(request), row)


def _detail(here: Services, row: JobRow) -> w.JobDetail:
    live = row.job.live
    record = here.store.get("site", live.site) if live is not None and live.port else None
    site = None if record is None else read(Site, record)
    now_ms = here.clock()
    in_line = row.job.state is JobState.QUEUED and row.job.retry_ms <= now_ms
    forecast = forecast_of(here.store, row.job.id, now_ms) if in_line else None
    return job_detail(
        row, here.store.statuses(), site, now_ms, here.rules.reach_ms, unparse(row.spec), forecast
    )


@router.get("/{job}/why")
def explain_job(here: Here, row: Annotated[JobRow, Depends(OfJob("job.read"))]) -> w.Check:
    """Say why a waiting job waits: what each pool would say now if it came first; 404 once it is placed."""
    if row.job.state not in WAITING:
        raise NotFound("not_waiting", f"job {row.job.id} is {row.job.state}: it waits for no pool")
    return check_shape(here, row.spec, row.project, row.job.by)


@router.get("/{job}/facts")
def list_facts(
    here: Here,
    row: Annotated[JobRow, Depends(OfJob("job.read"))],
    pages: Pages,
    after: Annotated[int, Query(ge=0, lt=1 << 53)] = 0,
) -> Page[w.Fact]:
    """List what happened to the job, in order, behind fact number `after`."""
    rows = here.store.facts(row.job.id, max(after, pages.number), pages.limit + 1)
    return pages.page(rows, lambda fact: str(fact.seq), fact_shape)


@router.post("/{job}/cancel")
def cancel_job(
    here: Here,
    row: Annotated[JobRow, Depends(OfJob("job.cancel"))],
    principal: Asker,
    body: w.CancelReason | None = None,
) -> w.Job:
    """Ask for the job to be stopped; it stays asked until the job is seen to be gone."""
    reason = body.reason if body else ""
    return _ask(here, row, CancelAsked(principal.id, reason))


@router.post("/{job}/hold")
def hold_job(
    here: Here,
    row: Annotated[JobRow, Depends(OfJob("job.submit"))],
    principal: Asker,
) -> w.Job:
    """Keep a waiting job in the queue; one that is placed already is answered 409."""
    return _ask(here, row, HoldAsked(principal.id))


@router.post("/{job}/release")
def release_job(
    here: Here,
    row: Annotated[JobRow, Depends(OfJob("job.submit"))],
    principal: Asker,
) -> w.Job:
    """Let a held job go on."""
    return _ask(here, row, Released(principal.id))


@router.post("/{job}/open")
def open_job(
    here: Here,
    row: Annotated[JobRow, Depends(OfJob(OPEN))],
    principal: Asker,
    body: w.Open | None = None,
) -> w.Opened:
    """Return a link that opens the running job's own pages once, and where lines into it begin."""
    live = row.job.live
    if live is None or live.state is not AttemptState.RUNNING:
        raise Conflict(
            "not_running", f"job {row.job.id} is {row.job.state}: only a running job can be opened"
        )
    now_ms, url = here.clock(), ""
    if live.port:
        asked = {"ticket": issue_ticket(here.store, row.job.id, principal.id, now_ms)}
        path = body.path if body else "/"
        query = urlencode({**asked, **({"next": path} if path != "/" else {})})
        url = f"{here.settings.app_address(row.job.id)}{ENTER}?{query}"
    return w.Opened(url=url, expires=rfc3339(now_ms + TICKET_MS), gateway=here.settings.gateway_address)


def _ask(here: Services, row: JobRow, event: UserEvent) -> w.Job:
    job = here.store.ask(row.job.id, event, here.clock())
    here.bell.ring()
    changed = JobRow(job, row.spec, row.project)
    return job_shape(changed, here.store.statuses(), here.clock(), here.rules.reach_ms)
