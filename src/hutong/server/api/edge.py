"""The edge of the app: request ids, trace context, security headers, metrics, one log line a request."""

import re
import time
from collections.abc import Callable

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hutong.adapters.telemetry.meters import Meters
from hutong.server.api.problems import internal_error

_TRACE = re.compile(r"^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
)
# What is mounted beside the API (the portal) says for itself what its pages may load and how long they keep.
_API_HEADERS = (
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cache-Control", "no-store"),
)
_API = ("/v1/", "/healthz", "/metrics", "/openapi.json")
_log = structlog.get_logger("hutong.http")


class Edge:
    """Wraps every request. A caller's `X-Request-Id` and `traceparent` are kept; what is malformed is not."""

    def __init__(self, app: ASGIApp, meters: Meters, new_id: Callable[[], str]) -> None:
        self._app = app
        self._meters = meters
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request = Request(scope)
        asked = request.headers.get("x-request-id", "")
        request_id = asked if _REQUEST_ID.match(asked) else self._new_id()
        trace = _TRACE.match(request.headers.get("traceparent", ""))
        status, begun = 500, False

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                _add_headers(MutableHeaders(scope=message), request_id, request.url.path)
            await send(message)

        context = {"request": request_id, **({"trace": trace[1]} if trace else {})}
        with structlog.contextvars.bound_contextvars(**context):
            try:
                await self._app(scope, receive, answer)
            except Exception:
                _log.exception("unexpected error", path=request.url.path)
                if begun:
                    raise  # the answer has begun: only breaking it off tells the client
                await internal_error()(scope, receive, answer)
            finally:
                self._note(scope, request, status, time.perf_counter() - started)

    def _note(self, scope: Scope, request: Request, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", "") or "unknown"
        method = request.method if request.method in _METHODS else "OTHER"
        self._meters.request(method, route, status, seconds)
        _log.info(
            "request", method=method, path=request.url.path, status=status, took_ms=round(seconds * 1000, 2)
        )


def _add_headers(headers: MutableHeaders, request_id: str, path: str) -> None:
    ours = _API_HEADERS if path.startswith(_API) else ()
    for name, value in (*_HEADERS, *ours):
        headers.setdefault(name, value)
    headers["X-Request-Id"] = request_id
