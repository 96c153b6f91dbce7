"""Models and the deployments that serve them."""

from starlette.responses import Response

from hutong.clients.portal.visit import Visit

_AT_MOST = 200


async def all_models(visit: Visit) -> Response:
    """Show the newest models and deployments of the visitor's projects."""
    await visit.signed_in()
    models = [model async for model in visit.api.models.list(limit=_AT_MOST)]
    deployments = [each async for each in visit.api.deployments.list(limit=_AT_MOST)]
    return visit.render("models.html", {"models": models, "deployments": deployments})
