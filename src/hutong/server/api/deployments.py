"""Deployments: serve a model by a service job, look, stop."""

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.accounts.roles import Principal
from hutong.core.book.store import Record
from hutong.core.capacity.sites import Site
from hutong.core.catalog.deployments import (
    Deployment,
    DeploymentState,
    deployment_id,
    deployment_state,
    serve_document,
    serving,
)
from hutong.core.kernel.errors import Conflict, NotFound, Problem, Refused
from hutong.core.kernel.ids import JobId
from hutong.core.kernel.money import parse_micro
from hutong.core.work.facts import CancelAsked
from hutong.core.work.fold import Job
from hutong.core.work.spec import JobSpec
from hutong.server import catalog
from hutong.server.api.access import Here, InProject, Somewhere, principal_of, require
from hutong.server.api.accounts import load_project
from hutong.server.api.once import IdempotencyKey, digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.visible import visible_records
from hutong.server.api.wishes import References, make_wish, read_spec, submit_here
from hutong.server.budgets import refuse_drained
from hutong.server.pools import asks_prices, paid_by, refuse_impossible
from hutong.server.registry import document, read
from hutong.server.services import Services
from hutong.wire import models as w
from hutong.wire.base import Money, Page, Slug, rfc3339

KIND = "deployment"
_PRICE_MAX_MICRO = 10**12
_BEING_MADE_MS = 60_000
_PROBE_S = 0.3
_PROBES_AT_ONCE = 32

router = APIRouter(prefix="/v1/deployments", tags=["deployments"])

Pages = Annotated[Paging, Depends(paging)]
Asker = Annotated[Principal, Depends(principal_of)]
ProjectName = Annotated[Slug, Path(alias="project")]
Name = Annotated[Slug, Path(alias="name")]


@router.post("", status_code=201)
def create_deployment(
    here: Here,
    body: w.NewDeployment,
    principal: Annotated[Principal, Depends(Somewhere("deployment.write"))],
    key: IdempotencyKey = "",
) -> w.Deployment:
    """Serve a model under `<project>/<name>`. A name is free again when the job behind it has ended.

    A repeat with the same Idempotency-Key and body finds what the first one did.
    """
    require(principal, "deployment.write", body.project, f"project {body.project!r}")
    prices = _read_price(body, "price_in_per_million"), _read_price(body, "price_out_per_million")
    request = digest_of(principal.id, key, body) if key else ""
    before = here.store.get(KIND, deployment_id(body.project, body.name))
    known = read(Deployment, before) if before is not None else None
    if known is None or not request or known.request != request:
        if known is not None:
            _refuse_taken(here, known)
        institution = load_project(here.store, body.project).institution
        refuse_drained(here.store, body.project, institution, principal.id, here.clock())
        model = catalog.find_by_reference(here, principal, body.project, body.model)
        spec = _make_spec(here, body, model.digest)
        known = Deployment(
            project=body.project,
            name=body.name,
            model=model.id,
            job=here.new_id(),
            price_in_micro=prices[0],
            price_out_micro=prices[1],
            created_ms=here.clock(),
            by=principal.id,
            request=request,
        )
        record = Record(KIND, known.id, document(known), known.project)
        here.store.put(record, expect=before.version if before is not None else 0)
    elif here.store.job(JobId(known.job)) is None:
        spec = _make_spec(here, body, catalog.by_id(here.store, known.model).digest)
    else:
        return _shapes(here, (known,))[0]
    wish = make_wish(
        here, principal.id, known.project, spec, key=f"deployment/{known.job}", request=known.job
    )
    submit_here(here, replace(wish, id=JobId(known.job)))
    return _shapes(here, (known,))[0]


def _refuse_taken(here: Services, known: Deployment) -> None:
    row = here.store.job(JobId(known.job))
    fresh = here.clock() - known.created_ms < _BEING_MADE_MS
    if (row is None and not fresh) or (row is not None and row.job.final):
        return
    message = f"{known.id} serves already, by job {known.job}"
    hint = f"another name, or DELETE /v1/deployments/{known.id} first"
    raise Conflict("exists", message, (Problem("/name", message, hint),))


def _make_spec(here: Services, body: w.NewDeployment, digest: str) -> JobSpec:
    asked = serve_document(body.name, digest, body.accelerators, body.max_duration, body.spec)
    spec = replace(read_spec(asked), deployment=deployment_id(body.project, body.name))
    now_ms = here.clock()
    pools = here.pools.load(now_ms)
    paid = paid_by(here.store, pools, body.project, now_ms) if asks_prices(spec, pools) else ()
    refuse_impossible(spec, pools, paid=paid)
    return References(here).check(body.project, spec)


def _read_price(body: w.NewDeployment, name: str) -> int:
    amount: Money = getattr(body, name)
    price_micro = parse_micro(amount.amount, f"/{name}/amount")
    if not 0 <= price_micro <= _PRICE_MAX_MICRO:
        problem = Problem(f"/{name}/amount", f"{amount.amount} is out of range", "0 to 1000000")
        raise Refused("bad_price", f"{amount.amount} is no price for a million tokens", (problem,))
    return price_micro


@router.get("")
def list_deployments(
    here: Here,
    pages: Pages,
    principal: Annotated[Principal, Depends(Somewhere("deployment.read"))],
    project: Annotated[Slug | None, Query()] = None,
) -> Page[w.Deployment]:
    """List the deployments that one may see, in order of their names."""
    rows = visible_records(here, principal, "deployment.read", KIND, project, pages)
    shown = _shapes(here, [read(Deployment, row) for row in rows[: pages.limit]])
    shapes = {shape.call_as: shape for shape in shown}
    return pages.page(rows, lambda row: row.id, lambda row: shapes[row.id])


@router.get("/{project}/{name}", dependencies=[Depends(InProject("deployment.read"))])
def get_deployment(here: Here, project: ProjectName, name: Name) -> w.Deployment:
    """Return one deployment; READY means that its port took a connection just now."""
    return _shapes(here, (_load(here, project, name),))[0]


@router.delete("/{project}/{name}", dependencies=[Depends(InProject("deployment.write"))])
def stop_deployment(here: Here, project: ProjectName, name: Name, principal: Asker) -> w.Deployment:
    """Stop serving: the job behind it is canceled. Stopping what has stopped changes nothing."""
    deployment = _load(here, project, name)
    row = here.store.job(JobId(deployment.job))
    if row is not None and not row.job.final and not row.job.cancel_by:
        try:
            here.store.ask(
                row.job.id, CancelAsked(principal.id, f"{deployment.id} was stopped"), here.clock()
            )
        except Conflict:  # it ended, or somebody else stopped it, in this very moment
            return _shapes(here, (deployment,))[0]
        here.bell.ring()
    return _shapes(here, (deployment,))[0]


def _load(here: Services, project: str, name: str) -> Deployment:
    record = here.store.get(KIND, deployment_id(project, name))
    if record is None:
        raise NotFound("not_found", f"there is no deployment {project}/{name}")
    return read(Deployment, record)


def _shapes(here: Services, deployments: Sequence[Deployment]) -> tuple[w.Deployment, ...]:
    rows = [here.store.job(JobId(each.job)) for each in deployments]
    ports = [_address(here, row.job) if row is not None else None for row in rows]
    asked = sorted({port for port in ports if port is not None})
    with ThreadPoolExecutor(max(1, min(len(asked), _PROBES_AT_ONCE))) as pool:
        answers = dict(zip(asked, pool.map(_answers, asked), strict=True))
    return tuple(
        _shape(each, _state(here, each, row.job if row else None, answers=port is not None and answers[port]))
        for each, row, port in zip(deployments, rows, ports, strict=True)
    )


def _state(here: Services, deployment: Deployment, job: Job | None, *, answers: bool) -> DeploymentState:
    if job is not None:
        return deployment_state(job, answers=answers)
    fresh = here.clock() - deployment.created_ms < _BEING_MADE_MS
    return DeploymentState.STARTING if fresh else DeploymentState.FAILED


def _address(here: Services, job: Job) -> tuple[str, int] | None:
    attempt = serving(job)
    record = here.store.get("site", attempt.site) if attempt is not None else None
    if attempt is None or record is None:
        return None
    return read(Site, record).service_host, attempt.port


def _answers(address: tuple[str, int]) -> bool:
    """Return whether something listens there; a site without an address is for the gateway to reach."""
    if not address[0]:
        return True
    try:
        socket.create_connection(address, _PROBE_S).close()
    except OSError:
        return False
    return True


def _shape(deployment: Deployment, state: DeploymentState) -> w.Deployment:
    return w.Deployment(
        name=deployment.name,
        project=deployment.project,
        model=deployment.model,
        job=deployment.job,
        state=state.value,
        call_as=deployment.id,
        price_in_per_million=Money.of(deployment.price_in_micro),
        price_out_per_million=Money.of(deployment.price_out_micro),
        created=rfc3339(deployment.created_ms),
        by=deployment.by,
    )
