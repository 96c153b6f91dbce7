"""Objects by content: work folders go in here; kept files come out through their owners' routes."""

import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Annotated
from urllib.parse import quote

import anyio
from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.responses import StreamingResponse

from hutong.adapters.objects.paths import content_path
from hutong.adapters.objects.store import Objects
from hutong.core.kernel.errors import NotFound, Refused
from hutong.server.api.access import Here, Somewhere
from hutong.wire.base import Digest, Shape

router = APIRouter(prefix="/v1/objects", tags=["objects"])

DigestName = Annotated[Digest, Path(alias="digest")]
_FROM = re.compile(r"bytes=(\d{1,18})-")


class StoredObject(Shape):
    """What is stored now: the digest and the size of the bytes."""

    digest: Digest
    size_bytes: int


@router.put(
    "/{digest}",
    dependencies=[Depends(Somewhere("object.write"))],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def put_object(here: Here, request: Request, digest: DigestName) -> StoredObject:
    """Store bytes under their digest; they are checked, and a repeat changes nothing."""
    limit_bytes = here.settings.bundle_bytes_max
    return StoredObject(
        digest=digest, size_bytes=await receive_content(request, here.objects, digest, limit_bytes)
    )


@router.head("/{digest}", response_class=Response, dependencies=[Depends(Somewhere("object.read"))])
def head_object(here: Here, digest: DigestName) -> Response:
    """Say whether the bytes of a digest are here: 200 with their size, or 404."""
    size_bytes = here.objects.size(content_path(digest))
    return Response(headers={"X-Size-Bytes": str(size_bytes), "ETag": f'"{digest}"'})


async def receive_content(request: Request, objects: Objects, digest: str, limit_bytes: int) -> int:
    """Store the body of a request under its digest, streaming, in a worker thread; return its size.

    Raises Refused `wrong_digest` or `too_large`; what is refused, or breaks off, was never visible.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit_bytes:
        raise Refused("too_large", f"{announced} bytes are more than the limit of {limit_bytes}")
    body = request.stream()
    store = partial(objects.put_content, _pull(body), digest, limit_bytes)
    # Slow senders must not take the threads that everybody else's requests run in.
    _, size_bytes = await anyio.to_thread.run_sync(store, limiter=request.app.state.uploads)
    return size_bytes


def _pull(body: AsyncIterator[bytes]) -> Iterator[bytes]:
    """Iterate, in a worker thread, over what an async iterator of the event loop gives."""
    while (piece := anyio.from_thread.run(_next, body)) is not None:
        yield piece


async def _next(body: AsyncIterator[bytes]) -> bytes | None:
    return await anext(body, None)


def send_content(request: Request, objects: Objects, digest: str, size_bytes: int, name: str) -> Response:
    """Answer with the bytes of a digest as a download called `name`; NotFound comes before any of it.

    `Range: bytes=N-` is heeded, so that a download that broke off can go on; other ranges get all.
    """
    etag = f'"{digest}"'
    same = request.headers.get("if-range", etag) == etag
    asked = _FROM.fullmatch(request.headers.get("range", "")) if same else None
    offset = int(asked[1]) if asked else 0
    if asked and offset >= size_bytes:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size_bytes}"})
    try:
        pieces = objects.stream(content_path(digest), offset)
    except NotFound as error:
        raise NotFound("not_found", f"the bytes of {name!r} are not here (any more)") from error
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(size_bytes - offset),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "ETag": etag,
    }
    if asked:
        headers["Content-Range"] = f"bytes {offset}-{size_bytes - 1}/{size_bytes}"
    status = 206 if asked else 200
    return StreamingResponse(pieces, status, headers, media_type="application/octet-stream")
