"""How large a body may be, by route; what is larger is answered 413 before it is read."""

import re
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hutong.server.api.problems import problem_response, report_of
from hutong.wire.agent import LOG_CHUNK_BYTES

_MIB = 1 << 20
# Uploads count for themselves while they stream; the rest of the API takes `Settings.body_bytes_max`.
_OTHERS: tuple[tuple[str, re.Pattern[str], int | None], ...] = (
    ("PUT", re.compile(r"^/v1/(agent/)?objects/"), None),
    ("PUT", re.compile(r"^/v1/agent/logs/"), LOG_CHUNK_BYTES),
    ("POST", re.compile(r"^/v1/agent/report$"), 32 * _MIB),
    ("POST", re.compile(r"^/v1/jobs/batch$"), 16 * _MIB),
)


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """Wraps an app so that no body is larger than its route's limit."""

    app: ASGIApp
    usual_bytes: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        limit = self._limit(scope) if scope["type"] == "http" else None
        if limit is None:
            await self.app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > limit:
                await problem_response(report_of(413, "too_large", _text(limit)))(scope, receive, send)
                return
        taken = 0

        async def take() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413, _text(limit))
            return message

        await self.app(scope, take, send)

    def _limit(self, scope: Scope) -> int | None:
        for method, path, limit in _OTHERS:
            if scope["method"] == method and path.match(scope["path"]):
                return limit
        return self.usual_bytes


def _text(limit: int) -> str:
    return f"the body is larger than {limit} bytes, which is the most this route takes"
