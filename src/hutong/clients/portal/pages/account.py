"""One's own account: the identities that sign in as one."""

from starlette.responses import Response

from hutong.clients.portal import session
from hutong.clients.portal.visit import Visit


async def overview(visit: Visit) -> Response:
    """Show who one is and through what one signs in."""
    me = await visit.signed_in()
    identities = [each async for each in visit.api.identities.list(limit=50)]
    return visit.render(
        "account.html", {"person": me, "identities": identities, "issuers": await visit.issuers()}
    )


async def join(visit: Visit) -> Response:
    """Lead to an identity provider, to join what it vouches for to who is signed in.

    The page that answers leads on by itself: a form's answer may not redirect to another host.
    """
    await visit.form()
    await visit.signed_in()
    begun = await visit.api.issuers.begin_join(visit.path("issuer"), "/account")
    response = visit.render("go_on.html", {"address": begun.address})
    response.headers["Refresh"] = f"0;url={begun.address}"
    session.keep_flow(response, visit.request, begun.flow, session.JOIN)
    return response


async def part(visit: Visit) -> Response:
    """Part an identity from who is signed in."""
    await visit.form()
    await visit.api.identities.remove(visit.path("identity"))
    return visit.go("/account")
