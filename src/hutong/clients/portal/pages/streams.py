"""What does not fit in a page: facts and logs as server-sent events, logs and outputs as files."""

import json
from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from hutong.clients.portal.visit import Visit
from hutong.clients.sdk import jobs as calls
from hutong.clients.sdk.call import Call
from hutong.core.kernel.errors import HutongError

_SSE = "text/event-stream"
_NO_STORE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def _event(data: object, *, name: str = "", place: int | None = None) -> str:
    head = f"event: {name}\n" if name else ""
    where = f"id: {place}\n" if place is not None else ""
    return f"{head}{where}data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _resumed(visit: Visit, name: str) -> int:
    """Return where the browser wants to go on: behind the last event it had, or where the page says."""
    last = visit.request.headers.get("last-event-id", "")
    return (
        int(last) if last.isascii() and last.isdigit() and len(last) < 16 else max(0, visit.number(name) or 0)
    )


async def events(visit: Visit) -> Response:
    """Stream the numbers and kinds of a job's new facts, until it is over."""
    job, after = visit.path("job"), _resumed(visit, "after")
    await visit.api.jobs.get(job)

    async def tell() -> AsyncIterator[str]:
        async with visit.client() as api:
            try:
                async for fact in api.jobs.follow(job, after=after):
                    yield _event({"kind": fact.kind}, place=fact.seq)
            except HutongError as error:
                yield _event({"reason": str(error)}, name="broken")
                return
        yield _event({}, name="end")

    return StreamingResponse(tell(), media_type=_SSE, headers=_NO_STORE)


async def follow_log(visit: Visit) -> Response:
    """Stream a rank's log from a byte offset, until its attempt is over."""
    job, rank, attempt = visit.path("job"), visit.number("rank") or 0, visit.number("attempt")
    offset = _resumed(visit, "offset")
    await visit.api.jobs.get(job)

    async def tell() -> AsyncIterator[str]:
        async with visit.client() as api:
            try:
                pieces = api.jobs.logs(job, rank=rank, attempt=attempt, offset=offset, follow=True)
                async for piece in pieces:
                    yield _event({"text": piece.text}, place=piece.next_offset)
            except HutongError as error:
                yield _event({"reason": str(error)}, name="broken")
                return
        yield _event({}, name="end")

    return StreamingResponse(tell(), media_type=_SSE, headers=_NO_STORE)


async def log(visit: Visit) -> Response:
    """Hand over a rank's whole log as plain text."""
    job, rank, attempt = visit.path("job"), visit.number("rank") or 0, visit.number("attempt")
    name = f"{job}-rank{rank}.log" if attempt is None else f"{job}-a{attempt}-rank{rank}.log"
    call = calls.read_log(job, rank=rank, attempt=attempt)
    return await _download(visit, call, name, "text/plain; charset=utf-8")


async def output(visit: Visit) -> Response:
    """Hand over one file that the job left, always as a download: it is the job's, not ours."""
    path = visit.path("path")
    call = calls.output(visit.path("job"), path)
    name = path.rpartition("/")[2]
    return await _download(visit, call, name, "application/octet-stream")


async def _download(visit: Visit, call: Call[bytes], name: str, media: str) -> Response:
    api = visit.client()
    pieces = api.download(call)
    try:
        first = await anext(pieces, b"")
    except BaseException:
        await api.close()
        raise

    async def body() -> AsyncIterator[bytes]:
        async with api:
            yield first
            async for piece in pieces:
                yield piece

    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "Cache-Control": "no-store",
    }
    return StreamingResponse(body(), media_type=media, headers=headers)
