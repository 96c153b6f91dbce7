"""One's own account: the identities that sign in as one, and one's authenticator."""

from collections.abc import Sequence

from starlette.responses import Response

from hutong.clients.portal import session
from hutong.clients.portal.visit import Visit
from hutong.core.kernel.errors import Refused
from hutong.wire.sign_in import SecondFactorBegun

_IDENTITIES_SHOWN = 50


async def overview(visit: Visit) -> Response:
    """Show who one is and how one signs in."""
    return await _show(visit)


async def _show(
    visit: Visit, *, begun: SecondFactorBegun | None = None, codes: Sequence[str] = (), wrong: str = ""
) -> Response:
    me = await visit.signed_in()
    values = {
        "person": me,
        "identities": [each async for each in visit.api.identities.list(limit=_IDENTITIES_SHOWN)],
        "issuers": await visit.issuers(),
        "factor": await visit.api.second_factor.get(),
        "begun": begun,
        "codes": codes,
        "wrong": wrong,
    }
    return visit.render("account.html", values, 422 if wrong else 200)


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


async def begin_factor(visit: Visit) -> Response:
    """Show the secret of a new authenticator."""
    await visit.form()
    return await _show(visit, begun=await visit.api.second_factor.begin())


async def confirm_factor(visit: Visit) -> Response:
    """Confirm it by its code, and show the recovery codes; after a wrong one there is a new secret."""
    try:
        made = await visit.api.second_factor.confirm((await visit.form()).get("code", ""))
    except (Refused, ValueError) as error:
        if _wrong(error):
            return await _show(visit, wrong=visit.words("factor.wrong"))
        raise
    return await _show(visit, codes=made.codes)


async def remove_factor(visit: Visit) -> Response:
    """Take it away, by a code of it."""
    try:
        await visit.api.second_factor.remove((await visit.form()).get("code", ""))
    except (Refused, ValueError) as error:
        if _wrong(error):
            return await _show(visit, wrong=visit.words("factor.wrong"))
        raise
    return visit.go("/account")


def _wrong(error: Exception) -> bool:
    """True for a code that is not right, or not even a code."""
    return not isinstance(error, Refused) or error.code in {"wrong_code", "invalid"}
