"""Pages: opaque cursors, limits, and the RFC 8288 link to the next page."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Query, Request, Response

from hutong.core.kernel.errors import Problem, Refused
from hutong.wire.base import Page

Row = TypeVar("Row")
Item = TypeVar("Item")

LIMIT = 200


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page is wanted: what lies behind `after` (empty: the first), at most `limit` items."""

    request: Request
    response: Response
    after: str
    limit: int

    @property
    def number(self) -> int:
        """The cursor as a number, for lists ordered by one; raises Refused if it is none."""
        if self.after and not (self.after.isascii() and self.after.isdigit() and len(self.after) < 16):
            raise _bad_cursor()
        return int(self.after or 0)

    def page(
        self, rows: Sequence[Row], key: Callable[[Row], str], shape: Callable[[Row], Item]
    ) -> Page[Item]:
        """Return the page of `rows`, which were read with `limit + 1` as their limit."""
        shown = rows[: self.limit]
        cursor = encode_cursor(key(shown[-1])) if len(rows) > self.limit else ""
        if cursor:
            url = self.request.url.include_query_params(cursor=cursor)
            target = f"{url.path}?{url.query}"
            self.response.headers["Link"] = f'<{target}>; rel="next"'
        return Page(items=tuple(shape(row) for row in shown), next=cursor)


async def paging(
    request: Request,
    response: Response,
    cursor: Annotated[str, Query(max_length=600, description="`next` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=LIMIT)] = 50,
) -> Paging:
    """Read the cursor and the limit of a list's request."""
    return Paging(request, response, decode_cursor(cursor), limit)


def encode_cursor(after: str) -> str:
    """Return the opaque cursor of a place in a list."""
    return base64.urlsafe_b64encode(after.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Return the place that a cursor names; raises Refused (`bad_cursor`) if it is not one of ours."""
    if not cursor:
        return ""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        after = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise _bad_cursor() from error
    if not after.isprintable() or encode_cursor(after) != cursor:
        raise _bad_cursor()
    return after


def _bad_cursor() -> Refused:
    problem = Problem(
        "?cursor", "this cursor is not one of ours", "take `next` of the page before, unchanged"
    )
    return Refused("bad_cursor", "this cursor is not one of ours", (problem,))
