"""Errors to problem+json (RFC 9457): the one place where an exception becomes an answer.

In `problems`, `path` is a JSON pointer into the body; `?name` is a query parameter, `{name}` a part of the
path, `name:` a header.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hutong.core.kernel.errors import Denied, HutongError, Later, Refused
from hutong.wire.base import FieldProblem, ProblemReport

MEDIA_TYPE = "application/problem+json"
TWO_PEOPLE: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "Written down: it takes two people, and waits for the second",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemReport"}}},
    }
}
_PROBLEMS_AT_MOST = 50
_CODES = {400: "bad_request", 404: "no_such_route", 405: "method_not_allowed", 413: "too_large"}
_log = structlog.get_logger(__name__)


def problem_response(report: ProblemReport, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that carries a report."""
    body = report.model_dump_json(exclude_defaults=False)
    return Response(body, report.status, dict(headers or {}), MEDIA_TYPE)


def report_of(status: int, code: str, detail: str, problems: tuple[FieldProblem, ...] = ()) -> ProblemReport:
    """Return a report; its title is the status' own phrase."""
    title = HTTPStatus(status).phrase
    return ProblemReport(title=title, status=status, code=code, detail=detail, problems=problems)


def internal_error() -> Response:
    """Return the answer to whatever is our fault: no details leave the house."""
    report = report_of(500, "internal", "something went wrong on our side; it has been noted")
    return problem_response(report)


def add_handlers(app: FastAPI) -> None:
    """Have the app answer every error with a problem."""
    app.add_exception_handler(HutongError, _on_hutong)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)


async def _on_hutong(_request: Request, error: Exception) -> Response:
    match error:
        case Refused():
            return _refused(error)
        case Later():
            report = report_of(503, "later", error.message)
            return problem_response(report, {"Retry-After": str(max(1, error.after_s))})
    _log.error("an invariant of ours does not hold", exc_info=error)
    return internal_error()


def _refused(error: Refused) -> Response:
    unknown = isinstance(error, Denied) and error.code == "unauthenticated"
    status = 401 if unknown else 413 if error.code == "too_large" else error.status
    problems = tuple(
        FieldProblem(path=each.path, message=each.message, hint=each.hint)
        for each in error.problems[:_PROBLEMS_AT_MOST]
    )
    headers = {"WWW-Authenticate": "Bearer"} if unknown else {}
    return problem_response(report_of(status, error.code, error.message, problems), headers)


async def _on_validation(_request: Request, error: Exception) -> Response:
    errors = error.errors() if isinstance(error, RequestValidationError) else ()
    if any(each["type"] == "json_invalid" for each in errors):
        reason = str(errors[0].get("ctx", {}).get("error", ""))
        position = errors[0]["loc"][-1]
        return problem_response(
            report_of(400, "bad_json", f"the body is not JSON: {reason} at position {position}")
        )
    problems = tuple(
        FieldProblem(path=pointer(each["loc"]), message=str(each["msg"]), hint=_hint(each))
        for each in errors[:_PROBLEMS_AT_MOST]
    )
    first = f": {problems[0].path} {problems[0].message}" if problems else ""
    return problem_response(report_of(422, "invalid", f"the request is not valid{first}", problems))


def pointer(loc: tuple[int | str, ...]) -> str:
    """Return where a validation error is: a JSON pointer, `?query`, `{path}` or `header:`."""
    place, rest = (str(loc[0]), loc[1:]) if loc else ("body", ())
    match place:
        case "query":
            return f"?{rest[0]}" if rest else "?"
        case "path":
            return f"{{{rest[0]}}}" if rest else "{}"
        case "header":
            return f"{rest[0]}:" if rest else ":"
    parts = (str(each).replace("~", "~0").replace("/", "~1") for each in rest)
    return "".join(f"/{each}" for each in parts)


def _hint(error: Mapping[str, object]) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "remove this field"
        case "missing":
            return "this field is required"
    return ""


async def _on_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return internal_error()
    code = _CODES.get(error.status_code, "refused")
    detail = error.detail or ""
    match error.status_code:
        case 404:
            detail = f"there is nothing at {request.url.path}; see /openapi.json"
        case 405:
            detail = f"{request.method} is not possible at {request.url.path}"
    return problem_response(report_of(error.status_code, code, detail), error.headers)
