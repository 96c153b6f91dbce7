"""One request to a served model and its answer: sent on, streamed back, and what was seen of it."""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import orjson
import structlog
from starlette.types import Send

from hutong.server.gateway.asks import BYTES_PER_TOKEN, Ask, text_bytes
from hutong.server.gateway.directory import Target
from hutong.server.gateway.events import DONE, Oversize, Passage, Splitter, Tally
from hutong.server.gateway.faults import Fault, broken_upstream, not_ready
from hutong.server.gateway.purse import Tokens

ANSWER_BYTES_MAX = 64 << 20
_REFUSAL_BYTES_MAX = 64 << 10
_PASSED_ON = frozenset({400, 413, 415, 422})
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
_log = structlog.get_logger(__name__)


class Exchange:
    """Relays one request. `started` says whether the caller has a status line already.

    `settle` is awaited before the caller sees the end of the answer: who has it all, has paid for it.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        target: Target,
        ask: Ask,
        upstream_model: str,
        send: Send,
        settle: Callable[[], Awaitable[None]],
        request_id: str,
    ) -> None:
        self._client = client
        self._target = target
        self._ask = ask
        self._upstream_model = upstream_model
        self._send = send
        self._settle = settle
        self._request_id = request_id
        self._tally = Tally(ask.counted_in)
        self._begun = False
        self.started = False

    @property
    def tokens(self) -> Tokens:
        """What to charge as things stand: nothing before the engine has begun to answer."""
        return self._tally.tokens() if self._begun else Tokens()

    async def run(self) -> None:
        """Send the request on and the answer back; raises Fault where the engine does not answer well."""
        request = self._client.build_request(
            "POST",
            f"{self._target.base_url}{self._ask.path}",
            content=self._ask.body_for(self._upstream_model),
            headers=_HEADERS,
        )
        try:
            response = await self._client.send(request, stream=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise not_ready(self._target.name) from error
        except httpx2.TransportError as error:
            raise _died(error) from error
        try:
            if response.status_code != 200:
                raise await self._refusal(response)
            self._begun = True
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                await self._stream(response)
            else:
                await self._whole(response)
        except httpx2.TransportError as error:
            raise _died(error) from error
        finally:
            await response.aclose()

    async def _stream(self, response: httpx2.Response) -> None:
        passage = Passage(self._target.name, self._ask.wants_usage, self._tally)
        splitter = Splitter()
        await self._start(b"text/event-stream; charset=utf-8")
        try:
            async for piece in response.aiter_bytes():
                if out := b"".join(_until_done(passage, splitter, piece)):
                    await self._send({"type": "http.response.body", "body": out, "more_body": True})
                if self._tally.done or passage.failed:
                    break
        except Oversize as error:
            raise broken_upstream("the engine sent an event that does not end") from error
        if passage.failed:
            raise broken_upstream("the engine reported an error in the middle of its answer")
        await self._settle()
        await self._send({"type": "http.response.body", "body": b"data: " + DONE + b"\n\n"})

    async def _whole(self, response: httpx2.Response) -> None:
        body = await _read(response.aiter_bytes(), ANSWER_BYTES_MAX)
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            self._begun = False
            raise broken_upstream("the engine's answer is not JSON") from error
        if isinstance(document, dict):
            self._tally.note_usage(document.get("usage"))
            self._tally.pieces = _count_text(document.get("choices"))
            if document.get("model", self._target.name) != self._target.name:
                body = orjson.dumps({**document, "model": self._target.name})
        await self._settle()
        await self._start(b"application/json", len(body))
        await self._send({"type": "http.response.body", "body": body})

    async def _start(self, content_type: bytes, length: int | None = None) -> None:
        self.started = True
        headers = [
            (b"content-type", content_type),
            (b"cache-control", b"no-store"),
            (b"x-request-id", self._request_id.encode()),
        ]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _refusal(self, response: httpx2.Response) -> Fault:
        """Return the fault for an answer that is not 200; an engine may say what is wrong with a request."""
        status = response.status_code
        body = await _read(response.aiter_bytes(), _REFUSAL_BYTES_MAX)
        _log.info("the engine refused a request", model=self._target.name, status=status)
        if status in {429, 503}:
            return not_ready(self._target.name)
        if status not in _PASSED_ON:
            return broken_upstream(f"the engine answered {status}")
        return Fault(400, "engine_refused", _message_of(body) or "the engine refused this request")


def _until_done(passage: Passage, splitter: Splitter, piece: bytes) -> list[bytes]:
    """Return what to pass on of a piece; the end mark is kept back, and nothing follows it."""
    out = []
    for event in splitter.feed(piece):
        changed = passage.pass_on(event)
        if passage.tally.done or passage.failed:
            break
        out.append(changed)
    return out


async def _read(pieces: AsyncIterator[bytes], limit_bytes: int) -> bytes:
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > limit_bytes:
            raise broken_upstream("the engine's answer does not end")
    return bytes(body)


def _message_of(body: bytes) -> str:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(document, dict):
        return ""
    error = document.get("error", document.get("detail", document.get("message")))
    text = error.get("message") if isinstance(error, dict) else error
    return text[:1_000] if isinstance(text, str) else ""


def _count_text(choices: object) -> int:
    """Return tokens of a whole answer whose engine did not count them: four bytes a token, as for prompts."""
    if not isinstance(choices, list):
        return 0
    said = [choice.get("message", choice.get("text")) for choice in choices if isinstance(choice, dict)]
    size_bytes = text_bytes(said)
    return -(-size_bytes // BYTES_PER_TOKEN)


def _died(error: httpx2.TransportError) -> Fault:
    if isinstance(error, httpx2.TimeoutException):
        return Fault(504, "upstream_timeout", "the engine did not answer in time", kind="api_error")
    return broken_upstream("the engine's connection broke off")
