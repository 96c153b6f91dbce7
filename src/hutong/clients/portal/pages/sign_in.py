"""Coming and going: sign in, sign out, choose a language."""

from datetime import datetime

from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from hutong.clients.portal import session
from hutong.clients.portal.visit import Visit
from hutong.clients.portal.words import LANGUAGES
from hutong.core.kernel.errors import Denied, HutongError, Later, Refused
from hutong.wire.accounts import Token
from hutong.wire.identity import FinishSignIn

_VIEW = "ht_session_"


async def front(visit: Visit) -> Response:
    """Lead to the visitor's jobs."""
    return visit.go("/jobs")


async def ask(visit: Visit) -> Response:
    """Show the form."""
    return await _show(visit, session.safe_next(visit.query("next")))


async def _show(
    visit: Visit, target: str, person: str = "", wrong: str = "", *, coded: bool = False
) -> Response:
    values = {
        "next": target,
        "person": person,
        "wrong": wrong,
        "coded": coded,
        "issuers": await visit.issuers(),
    }
    return visit.render("sign_in.html", values, 401 if wrong else 200)


async def enter(visit: Visit) -> Response:
    """Sign in and go on to where the visitor wanted to be; a wrong password is told beside the form."""
    form = await visit.form()
    person, target = form.get("person", "").strip(), session.safe_next(form.get("next", ""))
    code = form.get("code", "").strip()
    try:
        secret = form.get("password", "")
        if secret.startswith(_VIEW):
            return await _enter_with(visit, secret, target)
        token = await visit.api.login(person, secret, code or None)
    except Later:
        raise
    except (Refused, ValueError) as error:
        if isinstance(error, Refused) and error.code == "second_factor_needed":
            return await _show(visit, target, person, visit.words("sign_in.code_needed"), coded=True)
        locked = isinstance(error, Refused) and error.code not in {"unauthenticated", "bad_login", "invalid"}
        wrong = str(error) if locked and isinstance(error, Denied) else visit.words("sign_in.wrong")
        return await _show(visit, target, person, wrong, coded=bool(code))
    if not target.startswith("/device") and await _only_account(visit, token):
        target = "/account"
    return _admit(visit, visit.go(target), token)


async def _only_account(visit: Visit, token: Token) -> bool:
    """True for who is in no project yet, or must set up a second factor: no other page is for them."""
    visit.token = token.secret or ""
    async with visit.client() as client:
        me, factor = await client.me(), await client.second_factor.get()
    return not (me.projects or me.operator) or (factor.required and not factor.enrolled)


def _admit(visit: Visit, response: Response, token: Token) -> Response:
    """Have the browser keep the session."""
    expires = datetime.fromisoformat(token.expires)
    session.keep_cookie(response, visit.request, session.SESSION, token.secret or "", expires)
    session.drop_cookie(response, visit.request, session.VISITOR)
    return response


async def _enter_with(visit: Visit, secret: str, target: str) -> Response:
    """Go on with a session that was begun elsewhere, such as a read-only view; the API says if it is good."""
    visit.token = secret
    client = visit.client()
    try:
        ends = [each.expires async for each in client.tokens.list() if each.id in secret]
    finally:
        await client.close()
    response = visit.go(target)
    expires = datetime.fromisoformat(ends[0]) if ends else None
    session.keep_cookie(response, visit.request, session.SESSION, secret, expires)
    session.drop_cookie(response, visit.request, session.VISITOR)
    return response


async def go_to(visit: Visit) -> Response:
    """Send the browser to an identity provider; what it must bring back is kept in a cookie meanwhile."""
    begun = await visit.api.issuers.begin(visit.path("issuer"), session.safe_next(visit.query("next")))
    response = RedirectResponse(begun.address, 303)
    session.keep_flow(response, visit.request, begun.flow)
    return response


async def come_back(visit: Visit) -> Response:
    """Finish what a provider's redirect brought: a sign-in, or an identity to join to who is signed in.

    The flow's cookie is dropped whatever comes of it: no answer is taken twice from one browser.
    """
    purpose, flow = session.read_flow(visit.request)
    response = await _finish(visit, purpose, flow)
    session.drop_cookie(response, visit.request, session.FLOW)
    return response


async def _finish(visit: Visit, purpose: str, flow: str) -> Response:
    issuer, code = visit.path("issuer"), visit.query("code")
    if not (flow and code and visit.query("state")):
        known = visit.query("error") == "access_denied"
        wrong = visit.words("sign_in.declined") if known else visit.words("sign_in.astray")
        return await _show(visit, "/jobs", wrong=wrong)
    try:
        arrival = FinishSignIn(flow=flow, state=visit.query("state"), code=code, iss=visit.query("iss"))
        if purpose == session.JOIN:
            linked = await visit.api.issuers.finish_join(issuer, arrival)
            return visit.go(session.safe_next(linked.back))
        signed = await visit.api.issuers.finish(issuer, arrival)
    except ValidationError:
        return await _show(visit, "/jobs", wrong=visit.words("sign_in.astray"))
    except Denied as error:
        return await _show(visit, "/jobs", wrong=error.message)
    return _admit(visit, visit.go(session.safe_next(signed.back)), signed.token)


async def leave(visit: Visit) -> Response:
    """End the session on both sides."""
    await visit.form()
    try:
        await visit.api.logout()
    except HutongError as error:
        if not (isinstance(error, Denied) and error.code == "unauthenticated"):
            raise
    response = visit.go("/sign-in")
    session.drop_cookie(response, visit.request, session.SESSION)
    return response


async def speak(visit: Visit) -> Response:
    """Remember the language and go back."""
    response = visit.go(session.safe_next(visit.query("next")))
    if visit.query("to") in LANGUAGES:
        session.keep_cookie(response, visit.request, session.LANGUAGE, visit.query("to"))
    return response
