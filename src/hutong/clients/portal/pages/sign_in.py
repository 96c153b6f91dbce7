"""Coming and going: sign in, sign out, choose a language."""

from datetime import datetime

from starlette.responses import Response

from hutong.clients.portal import session
from hutong.clients.portal.visit import Visit
from hutong.clients.portal.words import LANGUAGES
from hutong.core.kernel.errors import Denied, HutongError, Later, Refused

_VIEW = "ht_session_"


async def front(visit: Visit) -> Response:
    """Lead to the visitor's jobs."""
    return visit.go("/jobs")


async def ask(visit: Visit) -> Response:
    """Show the form."""
    return visit.render(
        "sign_in.html", {"next": session.safe_next(visit.query("next")), "person": "", "wrong": ""}
    )


async def enter(visit: Visit) -> Response:
    """Sign in and go on to where the visitor wanted to be; a wrong password is told beside the form."""
    form = await visit.form()
    person, target = form.get("person", "").strip(), session.safe_next(form.get("next", ""))
    try:
        secret = form.get("password", "")
        if secret.startswith(_VIEW):
            return await _enter_with(visit, secret, target)
        token = await visit.api.login(person, secret)
    except Later:
        raise
    except (Refused, ValueError) as error:
        locked = isinstance(error, Refused) and error.code not in {"unauthenticated", "bad_login", "invalid"}
        wrong = str(error) if locked and isinstance(error, Denied) else visit.words("sign_in.wrong")
        return visit.render("sign_in.html", {"next": target, "person": person, "wrong": wrong}, 401)
    response = visit.go(target)
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
