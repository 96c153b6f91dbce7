"""Who is visiting: the session cookie, protection of forms, and safe places to go back to.

The API's token is the session, kept in a cookie that no script can read. A form carries a digest of a
cookie's secret, which another site can neither read nor make; and a browser that says that a form was
sent from another site is refused before that.
"""

import hmac
from datetime import datetime
from hashlib import sha256
from secrets import token_urlsafe
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from hutong.core.kernel.errors import Denied

SESSION = "ht_session"
VISITOR = "ht_visitor"
LANGUAGE = "ht_language"
FLOW = "ht_flow"
SIGN_IN, JOIN = "sign-in", "join"
_YEAR_S = 365 * 86_400


def cookie_name(request: Request, name: str) -> str:
    """Return the cookie's name; over https it has the prefix that binds it to this host alone."""
    return f"__Host-{name}" if request.url.scheme == "https" else name


def read_cookie(request: Request, name: str) -> str:
    """Return a cookie's value, or nothing."""
    return request.cookies.get(cookie_name(request, name), "")


def keep_cookie(
    response: Response, request: Request, name: str, value: str, expires: datetime | None = None
) -> None:
    """Set a cookie that scripts cannot read and that other sites cannot send along with a form."""
    response.set_cookie(
        cookie_name(request, name), value, expires=expires, max_age=None if expires else _YEAR_S, path="/",
        secure=request.url.scheme == "https", httponly=True, samesite="lax",
    )  # fmt: skip


def keep_flow(response: Response, request: Request, flow: str, purpose: str = SIGN_IN) -> None:
    """Keep what a round trip to an identity provider needs at its end, for ten minutes."""
    response.set_cookie(
        cookie_name(request, FLOW), f"{purpose}:{flow}", max_age=600, path="/",
        secure=request.url.scheme == "https", httponly=True, samesite="lax",
    )  # fmt: skip


def read_flow(request: Request) -> tuple[str, str]:
    """Return the purpose of the round trip that this browser is on, and its flow; nothing if on none."""
    purpose, _, flow = read_cookie(request, FLOW).partition(":")
    return purpose, flow


def drop_cookie(response: Response, request: Request, name: str) -> None:
    """Have the browser forget a cookie."""
    response.delete_cookie(
        cookie_name(request, name), path="/", secure=request.url.scheme == "https", httponly=True,
        samesite="lax",
    )  # fmt: skip


def new_visitor() -> str:
    """Return a fresh secret for a visitor who has not signed in."""
    return token_urlsafe(24)


def form_token(secret: str) -> str:
    """Return what a form must carry when it comes from a page made for this secret."""
    return hmac.new(secret.encode(), b"hutong portal form", sha256).hexdigest()


def require_own_form(request: Request, given: str, secret: str) -> None:
    """Raise Denied unless the form was sent from a page of ours that was made for this visitor."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "")
    foreign = origin and urlsplit(origin).netloc != request.headers.get("host", "")
    if site not in {"same-origin", "none"} or foreign:
        raise Denied("foreign_form", "this form was sent from another site")
    if not secret or not hmac.compare_digest(given.encode(), form_token(secret).encode()):
        raise Denied("stale_form", "this form is too old or not ours: go back, reload the page, try again")


def safe_next(target: str) -> str:
    """Return a path of ours to go on to; anything that could lead elsewhere becomes `/jobs`.

    >>> safe_next("//evil.example/"), safe_next("/jobs?state=RUNNING")
    ('/jobs', '/jobs?state=RUNNING')
    """
    parts = urlsplit(target)
    ours = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.scheme
    if not ours or parts.netloc or "\\" in target or not target.isprintable() or len(target) > 1000:
        return "/jobs"
    return target
