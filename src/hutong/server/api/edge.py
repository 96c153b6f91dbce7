"""The edge of the app: request ids, trace context, security headers, metrics, one log line a request.

All of it is paid by every request: raw headers are read once, and nothing is made that is not needed.
"""

import re
import time
from collections.abc import Callable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hutong.adapters.telemetry.logs import Lines
from hutong.adapters.telemetry.meters import Meters
from hutong.server.api.problems import internal_error

_TRACE = re.compile(rb"^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")
_REQUEST_ID = re.compile(rb"^[A-Za-z0-9._-]{1,64}\Z")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
_ID = b"x-request-id"
Headers = tuple[tuple[bytes, bytes], ...]
_HEADERS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
# What is mounted beside the API (the portal) says for itself what its pages may load and how long they keep.
_API_HEADERS: Headers = (
    *_HEADERS,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
_API = ("/v1/", "/healthz", "/metrics", "/openapi.json")
_log = structlog.get_logger("hutong.http")
_lines = Lines("hutong.http")


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
        context = self._context(scope)
        status, begun = 500, False

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                message["headers"] = _complete(message.get("headers", ()), context["request"], scope["path"])
            await send(message)

        tokens = structlog.contextvars.bind_contextvars(**context)
        try:
            await self._app(scope, receive, answer)
        except Exception:
            _log.exception("unexpected error", path=scope["path"])
            if begun:
                raise  # the answer has begun: only breaking it off tells the client
            await internal_error()(scope, receive, answer)
        finally:
            structlog.contextvars.reset_contextvars(**tokens)
            self._note(scope, context, status, time.perf_counter() - started)

    def _context(self, scope: Scope) -> dict[str, str]:
        """Return what every log line of the request has: its id, and the id of its trace."""
        asked, trace = None, None
        for name, value in scope["headers"]:
            if name == _ID and asked is None:
                asked = value
            elif name == b"traceparent" and trace is None:
                trace = _TRACE.match(value)
        known = asked is not None and _REQUEST_ID.match(asked)
        context = {"request": asked.decode() if asked and known else self._new_id()}
        return {**context, "trace": trace[1].decode()} if trace else context

    def _note(self, scope: Scope, context: dict[str, str], status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", "") or "unknown"
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._meters.request(method, route, status, seconds)
        took_ms = round(seconds * 1000, 2)
        _lines.write("request", method=method, path=scope["path"], status=status, took_ms=took_ms, **context)


def _complete(headers: list[tuple[bytes, bytes]], request_id: str, path: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer with ours: the request's id, and what the app has not said itself."""
    kept = [each for each in headers if each[0] != _ID]
    said = {name for name, _ in kept}
    ours = _API_HEADERS if path.startswith(_API) else _HEADERS
    return [*kept, *(each for each in ours if each[0] not in said), (_ID, request_id.encode())]
