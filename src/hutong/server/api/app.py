"""The API as one app: routes, access, errors, edge; a route without an access rule keeps it from starting."""

from importlib.metadata import version

from anyio import CapacityLimiter
from fastapi import APIRouter, Depends, FastAPI, Response

from hutong.adapters.telemetry.meters import CONTENT_TYPE
from hutong.server.api import (
    accounts,
    agent,
    agent_meters,
    allocations,
    applications,
    approvals,
    arrays,
    audit,
    budgets,
    calls,
    capacity,
    centres,
    commitments,
    deployments,
    disputes,
    energy,
    energy_supply,
    findings,
    grants,
    identifiers,
    identity,
    institutions,
    invoices,
    jobs,
    ledger,
    links,
    models,
    money,
    objects,
    openapi,
    prices,
    quotas,
    receipts,
    reconciliation,
    reports,
    scim,
    sealed,
    secrets,
    service_accounts,
    sessions,
    sign_in,
    sites,
    statements,
    streams,
    subsidies,
    usage,
    utilisation,
    vouchers,
)
from hutong.server.api.access import Here, Public
from hutong.server.api.edge import Edge
from hutong.server.api.events import StreamSlots
from hutong.server.api.limits import BodyLimit
from hutong.server.api.problems import add_handlers
from hutong.server.api.routes import Routes, routes_of
from hutong.server.reconciling import drifts
from hutong.server.services import Services

# Every router of the API: a new resource is added here and nowhere else.
ROUTERS: tuple[APIRouter, ...] = (
    jobs.router,
    agent.router,
    arrays.router,
    streams.router,
    receipts.router,
    sessions.router,
    identity.router,
    sign_in.router,
    accounts.router,
    grants.router,
    audit.router,
    institutions.router,
    calls.router,
    applications.router,
    allocations.router,
    approvals.router,
    quotas.router,
    budgets.router,
    usage.router,
    utilisation.router,
    reports.router,
    findings.router,
    secrets.router,
    service_accounts.router,
    scim.tokens,
    scim.router,
    sites.router,
    links.router,
    money.router,
    subsidies.router,
    vouchers.router,
    ledger.router,
    reconciliation.router,
    sealed.router,
    agent_meters.router,
    statements.router,
    invoices.router,
    disputes.router,
    objects.router,
    prices.router,
    commitments.router,
    models.router,
    deployments.router,
    capacity.router,
    energy.router,
    energy_supply.router,
    centres.router,
    centres.sums,
    identifiers.router,
)

_open = APIRouter(tags=["platform"])


@_open.get("/healthz", dependencies=[Depends(Public(reason="it says only that we are up"))])
def read_health(here: Here) -> dict[str, str]:
    """Say that the platform answers and that its store does."""
    here.store.pulse()
    return {"status": "ok"}


@_open.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    dependencies=[Depends(Public(reason="counts without names of people, projects or jobs"))],
)
def read_metrics(here: Here) -> Response:
    """Return this process's meters in Prometheus' text form."""
    for each in drifts(here.store):
        here.meters.drift(each.site, each.count)
    return Response(here.meters.render(), media_type=CONTENT_TYPE)


def make_app(services: Services) -> FastAPI:
    """Return the API over these services, which the caller closes after the app has stopped."""
    app = FastAPI(
        title="Hutong",
        version=version("hutong"),
        description="One public AI computing service over many computing centres.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.slots = StreamSlots(services.settings.streams_max)
    app.state.uploads = CapacityLimiter(services.settings.uploads_max)
    routes = routes_of(*ROUTERS, _open)
    app.router.routes.append(Routes(routes))
    add_handlers(app)
    openapi.install(app, routes)
    app.add_middleware(BodyLimit, usual_bytes=services.settings.body_bytes_max)
    app.add_middleware(Edge, meters=services.meters, new_id=services.new_id)
    return app
