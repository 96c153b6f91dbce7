"""The portal as an ASGI app: its routes, its errors, and the headers that keep a page to itself."""

from collections.abc import Awaitable, Callable

import httpx2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hutong.clients.portal.assets import load_assets, serve_asset
from hutong.clients.portal.pages import account, device, job, jobs, models, new_job, sign_in, sites, streams
from hutong.clients.portal.visit import House, Visit, make_environment
from hutong.core.kernel.errors import Denied, HutongError, Later, NotFound, Refused

Handler = Callable[[Visit], Awaitable[Response]]

_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)

_PAGES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/", sign_in.front),
    ("GET", "/sign-in", sign_in.ask),
    ("POST", "/sign-in", sign_in.enter),
    ("GET", "/sign-in/with/{issuer}", sign_in.go_to),
    ("GET", "/sign-in/with/{issuer}/back", sign_in.come_back),
    ("GET", "/account", account.overview),
    ("POST", "/account/join/{issuer}", account.join),
    ("POST", "/account/part/{identity}", account.part),
    ("POST", "/account/second-factor", account.begin_factor),
    ("POST", "/account/second-factor/confirm", account.confirm_factor),
    ("POST", "/account/second-factor/remove", account.remove_factor),
    ("GET", "/device", device.ask),
    ("POST", "/device", device.decide),
    ("POST", "/sign-out", sign_in.leave),
    ("GET", "/language", sign_in.speak),
    ("GET", "/jobs", jobs.mine),
    ("GET", "/jobs/new", new_job.blank),
    ("GET", "/jobs/{job}/open", job.enter),
    ("POST", "/jobs/new", new_job.answer),
    ("GET", "/jobs/{job}", job.overview),
    ("GET", "/jobs/{job}/receipt", job.receipt),
    ("POST", "/jobs/{job}/receipt", job.replay),
    ("GET", "/jobs/{job}/bill", job.bill),
    ("GET", "/jobs/{job}/history", job.history),
    ("GET", "/jobs/{job}/file", job.file),
    ("POST", "/jobs/{job}/cancel", job.cancel),
    ("GET", "/jobs/{job}/events", streams.events),
    ("GET", "/jobs/{job}/log", streams.log),
    ("GET", "/jobs/{job}/log/follow", streams.follow_log),
    ("GET", "/jobs/{job}/outputs/{path:path}", streams.output),
    ("GET", "/sites", sites.all_sites),
    ("GET", "/models", models.all_models),
)


def make_portal(api_transport: httpx2.AsyncBaseTransport) -> Starlette:
    """Return the portal over a transport to the API: `InProcess(api)` in the API's own process.

    httpx2's own ASGITransport does not stream: pages work over it, live logs do not.
    """
    assets = load_assets()
    house = House(api_transport, make_environment(assets), assets)

    async def asset(request: Request) -> Response:
        return serve_asset(assets, request)

    async def broken(request: Request, error: Exception) -> Response:
        found = error.status_code if isinstance(error, HTTPException) else _status(error)
        known = error if isinstance(error, HutongError) else None
        return await Visit(house, request).show_error(found, known)

    routes: list[BaseRoute] = [
        Route(path, _answer(house, page), methods=[verb]) for verb, path, page in _PAGES
    ]
    routes.append(Route("/assets/{digest}/{name:path}", asset, methods=["GET"]))
    handlers = {HTTPException: broken, HutongError: broken, Exception: broken}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.add_middleware(_Headers)
    return app


def _answer(house: House, page: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        visit = Visit(house, request)
        async with visit.api:
            try:
                return await page(visit)
            except Denied as error:
                if error.code == "unauthenticated":
                    return visit.ask_to_sign_in()
                return await visit.show_error(_status(error), error)
            except HutongError as error:
                return await visit.show_error(_status(error), error)

    return answer


def _status(error: Exception) -> int:
    match error:
        case NotFound():
            return 404
        case Refused():
            return error.status
        case Later():
            return 503
    return 500


class _Headers:
    """Adds the security headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)
