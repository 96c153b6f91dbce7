"""The OpenAPI document: every operation with the problems it may answer and the access it needs."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from hutong.server.api.access import Public, rules_of
from hutong.server.api.problems import MEDIA_TYPE
from hutong.server.api.scim import MEDIA_TYPE as SCIM_MEDIA_TYPE
from hutong.server.api.scim import ScimRoute
from hutong.wire.base import ProblemReport

_REPORT = {"$ref": "#/components/schemas/ProblemReport"}
_BEARER = "bearer"


def install(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Have the app describe itself with this document."""
    made: dict[str, Any] = {}

    def describe() -> dict[str, Any]:
        if not made:
            made.update(_describe(app, routes))
        return made

    app.openapi = describe  # type: ignore[method-assign]


def _describe(app: FastAPI, routes: Sequence[APIRoute]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=routes,
        separate_input_output_schemas=False,
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    report = ProblemReport.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(report.pop("$defs", {}))
    schemas["ProblemReport"] = report
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    components["securitySchemes"] = {_BEARER: {"type": "http", "scheme": "bearer"}}
    for route in routes:
        for method in sorted(route.methods or ()):
            operation = document["paths"].get(route.path_format, {}).get(method.lower())
            if operation is not None:
                _complete(operation, route, method)
    return document


def _complete(operation: dict[str, Any], route: APIRoute, method: str) -> None:
    rule = rules_of(route.dependant)[0]
    public = isinstance(rule, Public)
    if not public:
        operation["security"] = [{_BEARER: []}]
        operation["x-permission"] = rule.permission
    responses = operation["responses"]
    if isinstance(route, ScimRoute):
        _complete_scim(operation)
        return
    for status, text in _problems(operation, method, public=public).items():
        responses[status] = {"description": text, "content": {MEDIA_TYPE: {"schema": _REPORT}}}


def _complete_scim(operation: dict[str, Any]) -> None:
    """Describe the refusals of a SCIM route, which have that standard's own form."""
    operation["responses"].pop("422", None)
    content = {SCIM_MEDIA_TYPE: {"schema": {"type": "object"}}}
    texts = {"400": "Not valid", "401": "No good token", "403": "Not a directory", "404": "No such thing"}
    for status, text in {**texts, "409": "Taken"}.items():
        operation["responses"][status] = {"description": text, "content": content}
    report = {"content": {MEDIA_TYPE: {"schema": _REPORT}}}
    for status, text in {
        "413": "The body is too large",
        "500": "Our fault",
        "503": "Try again later",
    }.items():
        operation["responses"][status] = {"description": text, **report}


def _problems(operation: dict[str, Any], method: str, *, public: bool) -> dict[str, str]:
    found = {"500": "Our fault", "503": "Try again later; see Retry-After"}
    if not public or "/login" in str(operation.get("operationId", "")) or method == "POST":
        found |= {"401": "Not signed in"}
    if not public:
        found |= {"403": "Not allowed", "404": "No such thing, or not yours to see"}
    elif any(each["in"] == "path" for each in operation.get("parameters", ())):
        found |= {"404": "No such thing"}
    if operation.get("parameters") or operation.get("requestBody"):
        found |= {"422": "Not valid: `problems` names each field"}
    if operation.get("requestBody"):
        found |= {"400": "The body is not JSON", "413": "The body is too large"}
    if method != "GET":
        found |= {"409": "In conflict with what is there"}
    return found
