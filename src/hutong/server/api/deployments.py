"""Deployments: serve a model by a service job, look, stop."""

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.accounts.roles import Principal
from hutong.core.book.snapshot import JobRow
from hutong.core.book.store import Record
from hutong.core.capacity.sites import Site
from hutong.core.catalog.deployments import (
    Deployment,
    deployment_id,
    deployment_state,
    serve_document,
    serving,
)
from hutong.core.kernel.errors import Broken, Conflict, NotFound, Problem, Refused
from hutong.core.kernel.ids import JobId
from hutong.core.kernel.money import parse_micro
from hutong.core.work.facts import CancelAsked
from hutong.server import catalog
from hutong.server.api.access import Allowed, Here, InProject, principal_of, require
from hutong.server.api.once import IdempotencyKey
from hutong.server.api.paging import Paging, paging
from hutong.server.api.wishes import References, make_wish, read_spec, submit_here
from hutong.server.pools import refuse_impossible
from hutong.server.registry import document, read
from hutong.server.services import Services
from hutong.wire import models as w
from hutong.wire.base import Money, Page, Slug, rfc3339

KIND = "deployment"
_PRICE_MAX_MICRO = 10**12
_PROBE_S = 0.3

router = APIRouter(prefix="/v1/deployments", tags=["deployments"])

Pages = Annotated[Paging, Depends(paging)]
Asker = Annotated[Principal, Depends(principal_of)]
ProjectName = Annotated[Slug, Path(alias="project")]
Name = Annotated[Slug, Path(alias="name")]


@router.post("", status_code=201)
def create_deployment(
    here: Here,
    body: w.NewDeployment,
    principal: Annotated[Principal, Depends(Allowed("deployment.write"))],
    key: IdempotencyKey = "",
) -> w.Deployment:
    """Serve a model under `<project>/<name>`. A name is free again when the job behind it has ended.

    A repeat with the same Idempotency-Key and body finds what the first one did.
    """
    require(principal, "deployment.write", body.project, f"project {body.project!r}")
    prices = _read_price(body.price_in_per_million, "in"), _read_price(body.price_out_per_million, "out")
    name = deployment_id(body.project, body.name)
    before = here.store.get(KIND, name)
    model = catalog.find_by_reference(here, principal, body.project, body.model)
    if key and before is not None and before.doc.get("job") == _known(here, principal, body, model.digest, key):
        return _shape(here, _load(here, body.project, body.name))
    if before is not None and not _row(here, read(Deployment, before)).job.final:
        message = f"{name} serves already, by job {before.doc['job']}"
        problem = Problem("/name", message, f"another name, or DELETE /v1/deployments/{name} first")
        raise Conflict("exists", message, (problem,))
    job = _submit(here, principal, body, model.digest, key or f"deploy:{name}:{before.version if before else 0}")
    made = Deployment(body.project, body.name, model.id, job, *prices, here.clock(), principal.id)
    try:
        here.store.put(Record(KIND, name, document(made), body.project), expect=before.version if before else 0)
    except Conflict:  # the same was asked twice at once: the first record stands, one job is behind it
        made = _load(here, body.project, body.name)
        if made.job != job:
            here.store.ask(JobId(job), CancelAsked(principal.id, f"{name} was deployed twice at once"), here.clock())
            raise
    return _shape(here, made)
