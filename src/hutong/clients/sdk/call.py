"""Calls without sockets: how a request to the API looks, and what its answer means. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from hutong.core.kernel.errors import (
    Broken,
    Conflict,
    Denied,
    HutongError,
    Later,
    NotFound,
    Problem,
    Refused,
    Waits,
)
from hutong.wire.base import Page, ProblemReport, Shape

Answer = TypeVar("Answer")
Item = TypeVar("Item")
Model = TypeVar("Model", bound=BaseModel)

PAGE_AT_MOST = 200
WAIT_AT_MOST_S = 10.0
_SAFE = frozenset({"GET", "HEAD", "PUT"})
_REFUSALS: Mapping[int, type[Refused]] = {202: Waits, 401: Denied, 403: Denied, 404: NotFound, 409: Conflict}


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request and how to read its answer.

    `keyed` asks for an Idempotency-Key, which makes repeating a POST harmless: `key`, or one that is made
    when the call is sent. A `body` that is a path is read from that file, anew on each trial.
    """

    method: str
    path: str
    read: Callable[[bytes], Answer]
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | Path | None = None
    media: str = "application/json"
    keyed: bool = False
    key: str = ""

    @property
    def repeatable(self) -> bool:
        """True if sending it twice does no more than sending it once."""
        return self.keyed or self.method in _SAFE


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """A list that is read page by page; `most` bounds how many items are wanted (None: all)."""

    path: str
    read: Callable[[bytes], Page[Item]]
    query: tuple[tuple[str, str], ...] = ()
    most: int | None = None

    def page(self, cursor: str = "") -> Call[Page[Item]]:
        """Return the call for the page at a cursor; the empty cursor is the first page."""
        size = PAGE_AT_MOST if self.most is None else max(1, min(PAGE_AT_MOST, self.most))
        place = (("cursor", cursor),) if cursor else ()
        return Call("GET", self.path, self.read, (*self.query, ("limit", str(size)), *place))


def path_of(*segments: str | int) -> str:
    """Return the API path of segments, each quoted; raises Refused for an empty or dotted one."""
    for segment in segments:
        if str(segment) in {"", ".", ".."}:
            raise Refused("bad_name", f"{segment!r} is not a name", (Problem("", "a name is missing"),))
    return "/v1/" + "/".join(quote(str(segment), safe="") for segment in segments)


def file_path_of(*segments: str | int, file: str) -> str:
    """Return the API path of a file, whose own path keeps its slashes."""
    return path_of(*segments, *file.strip("/").split("/"))


def query_of(**fields: str | int | None) -> tuple[tuple[str, str], ...]:
    """Return the query of those fields that say something."""
    return tuple((name, str(value)) for name, value in fields.items() if value not in {None, ""})


def shape(model: type[Model]) -> Callable[[bytes], Model]:
    """Return a reader of one shape. Fields that a newer platform added are ignored."""

    def read(body: bytes) -> Model:
        try:
            return model.model_validate_json(body, extra="ignore")
        except ValidationError as err:
            first = err.errors()[0]
            where = "/".join(str(part) for part in first["loc"])
            raise Broken(f"the platform's answer is not understood: {where}: {first['msg']}") from err

    return read


def nothing(body: bytes) -> None:
    """Read an answer that says no more than that it worked."""


def raw(body: bytes) -> bytes:
    """Read an answer as it is."""
    return body


def post(
    path: str,
    read: Callable[[bytes], Answer],
    body: Shape | None = None,
    *,
    keyed: bool = True,
    key: str = "",
) -> Call[Answer]:
    """Return a POST; `keyed` false is for answers that show a secret once."""
    return Call("POST", path, read, body=document(body), keyed=keyed, key=key)


def document(body: Shape | None) -> bytes | None:
    """Return a shape as JSON; what was not said is left out."""
    return None if body is None else body.model_dump_json(exclude_unset=True).encode()


def headers_of(call: Call[Any], token: str, key: str) -> dict[str, str]:
    """Return a call's headers; `key` is its Idempotency-Key, the same on every trial."""
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if key:
        headers["Idempotency-Key"] = key
    if call.body is not None:
        headers["Content-Type"] = call.media
    if isinstance(call.body, Path):
        headers["Content-Length"] = str(call.body.stat().st_size)
    return headers


def is_answer(status: int, headers: Mapping[str, str]) -> bool:
    """True if it worked; a 202 that is a problem says that a second person is waited for."""
    waits = status == 202 and headers.get("content-type", "").startswith("application/problem+json")
    return status < 400 and not waits


def error_of(status: int, body: bytes, headers: Mapping[str, str]) -> HutongError:
    """Return the kernel's error for an answer that is none, see `is_answer`."""
    report = _problem_report(status, body)
    text = report.detail or report.title
    if status in {429, 502, 503, 504}:
        return Later(text, _seconds(headers.get("retry-after", "")))
    if status >= 500:
        return Broken(f"the platform failed: {text}")
    problems = tuple(Problem(each.path, each.message, each.hint) for each in report.problems)
    error = _REFUSALS.get(status, Refused)(report.code, text, problems)
    error.status = status
    return error


def _problem_report(status: int, body: bytes) -> ProblemReport:
    try:
        return ProblemReport.model_validate_json(body, extra="ignore")
    except ValidationError:
        text = body[:200].decode(errors="replace").strip() or "no reason given"
        return ProblemReport(title=f"HTTP {status}: {text}", status=status, code=f"http_{status}")


def _seconds(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def pause_s(trial: int, after_s: float = 0.0) -> float:
    """Return how long to wait after trial 1, 2, 3, ..., at least as long as the platform asked for."""
    return min(WAIT_AT_MOST_S, max(0.1 * 2.5**trial, after_s))
