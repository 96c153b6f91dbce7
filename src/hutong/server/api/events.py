"""Server-sent events: one form, a bound on open streams, and a sign of life every few seconds."""

import codecs
import json
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from hutong.core.kernel.errors import Later
from hutong.server.services import Services

MEDIA_TYPE = "text/event-stream"
DESCRIBED = {
    "schema": {
        "type": "object",
        "description": "one event",
        "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
    }
}
BEAT_S = 10.0
BEAT = ": still here\n\n"


def event(data: str, *, id_: str = "", name: str = "") -> str:
    """Return one event; `data` is JSON on one line."""
    head = (f"id: {id_}\n" if id_ else "") + (f"event: {name}\n" if name else "")
    return f"{head}data: {data}\n\n"


def end(data: object) -> str:
    """Return the event that says that nothing will follow."""
    return event(json.dumps(data), name="end")


class StreamSlots:
    """Counts the open streams of this process; beyond `most`, new ones are answered Later."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0

    def answer(self, here: Services, events: AsyncIterator[str]) -> StreamingResponse:
        """Return the response that sends these events."""
        if self._open >= self._most:
            raise Later(f"{self._most} streams are open here already", 10)
        return StreamingResponse(
            self._counted(here, events),
            media_type=MEDIA_TYPE,
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    async def _counted(self, here: Services, events: AsyncIterator[str]) -> AsyncIterator[str]:
        self._open += 1
        here.meters.streams(1)
        try:
            async for each in events:
                yield each
        finally:
            self._open -= 1
            here.meters.streams(-1)


def _same_length(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "?" * (error.end - error.start), error.end


codecs.register_error("hutong.same-length", _same_length)


def whole_characters(data: bytes) -> bytes:
    """Return the data without a UTF-8 character that is cut at its end; never nothing of something."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        needs = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return data[:-back] if needs > back and len(data) > back else data
    return data


def text_of(data: bytes) -> str:
    """Return the text of log bytes; each byte that is not UTF-8 becomes one `?`, so that offsets hold."""
    return data.decode("utf-8", errors="hutong.same-length")
