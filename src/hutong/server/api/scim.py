"""SCIM 2.0 inbound (RFC 7644): an institution's directory makes, changes and ends its people's accounts."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, ValidationError

from hutong.core.accounts.scim_users import describe, patched
from hutong.core.kernel.errors import Denied, NotFound, Refused
from hutong.server import scim
from hutong.server.api.access import Allowed, Here, OfInstitution
from hutong.server.api.once import IdempotencyKey
from hutong.server.api.paging import Paging, paging
from hutong.server.api.sessions import issue_token, token_page
from hutong.server.api.shapes import scim as shapes
from hutong.server.services import Services
from hutong.wire import accounts as w
from hutong.wire.base import Page, Slug

MEDIA_TYPE = "application/scim+json"
_log = structlog.get_logger(__name__)


class SearchRequest(BaseModel):
    """A query in a body."""

    filter: Annotated[str, Field(max_length=500)] = ""
    start: Annotated[int, Field(alias="startIndex", ge=-1_000_000, le=1_000_000)] = 1
    count: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = shapes.PAGE_AT_MOST
    attributes: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(max_length=50)] = ()
    excluded: Annotated[
        tuple[Annotated[str, Field(max_length=200)], ...], Field(alias="excludedAttributes", max_length=50)
    ] = ()


class ScimResponse(JSONResponse):
    """An answer in SCIM's own media type."""

    media_type = MEDIA_TYPE


class ScimRoute(APIRoute):
    """Answers refusals in SCIM's form instead of problem+json: directories know no other."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except (RequestValidationError, ValidationError) as error:
                first = error.errors()[0]
                return _refusal(400, "invalidSyntax", f"{'/'.join(map(str, first['loc']))}: {first['msg']}")
            except Refused as error:
                unknown = isinstance(error, Denied) and error.code == "unauthenticated"
                plain = isinstance(error, Denied | NotFound)
                status = 401 if unknown else error.status
                return _refusal(status, "" if plain else error.code, error.message)

        return answer


def _refusal(status: int, kind: str, detail: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return ScimResponse(shapes.error_shape(status, kind, detail), status, headers)


tokens = APIRouter(prefix="/v1/institutions/{institution}/scim-tokens", tags=["scim"])
router = APIRouter(
    prefix="/v1/scim/v2", tags=["scim"], route_class=ScimRoute, default_response_class=ScimResponse
)

Institution = Annotated[str, Depends(OfInstitution())]
UserId = Annotated[str, Path(alias="user", max_length=100)]
Document = Annotated[dict[str, Any], Body(media_type=MEDIA_TYPE)]
Attributes = Annotated[str, Query(alias="attributes", max_length=1000)]
Excluded = Annotated[str, Query(alias="excludedAttributes", max_length=1000)]


@tokens.post("", status_code=201, dependencies=[Depends(Allowed("institution.write"))])
def create_scim_token(
    here: Here, institution: Slug, body: w.NewServiceToken, key: IdempotencyKey = ""
) -> w.Token:
    """Make a token for the directory of an institution: it provisions that institution's people alone."""
    _must_exist(here, institution)
    owner = f"scim:{institution}"
    return issue_token(here, owner, body.name, "scim", body.days, once=key, request=body)


@tokens.get("", dependencies=[Depends(Allowed("institution.read"))])
def list_scim_tokens(
    here: Here, institution: Slug, pages: Annotated[Paging, Depends(paging)]
) -> Page[w.Token]:
    """List the tokens of an institution's directory."""
    _must_exist(here, institution)
    return token_page(here, f"scim:{institution}", pages)


def _must_exist(here: Services, institution: str) -> None:
    if here.store.get("institution", institution) is None:
        raise NotFound("not_found", f"there is no institution {institution!r}")


@router.get("/ServiceProviderConfig")
def get_scim_config(here: Here, _of: Institution) -> ScimResponse:
    """Say what this service can do."""
    return ScimResponse(shapes.config_shape(_base(here)))


@router.get("/ResourceTypes")
def list_scim_types(here: Here, _of: Institution) -> ScimResponse:
    """List the types of resources: users."""
    return ScimResponse(shapes.list_shape([shapes.type_shape(_base(here))], 1))


@router.get("/ResourceTypes/{name}")
def get_scim_type(here: Here, _of: Institution, name: str) -> ScimResponse:
    """Return a type of resources."""
    if name != "User":
        raise NotFound("not_found", f"there is no resource type {name[:80]!r}")
    return ScimResponse(shapes.type_shape(_base(here)))


@router.get("/Schemas")
def list_scim_schemas(here: Here, _of: Institution) -> ScimResponse:
    """List the schemas: that of users."""
    return ScimResponse(shapes.list_shape([shapes.schema_shape(_base(here))], 1))


@router.get("/Schemas/{name}")
def get_scim_schema(here: Here, _of: Institution, name: str) -> ScimResponse:
    """Return a schema."""
    if name != shapes.USER:
        raise NotFound("not_found", f"there is no schema {name[:80]!r}")
    return ScimResponse(shapes.schema_shape(_base(here)))


@router.get("/Users")
def list_scim_users(
    here: Here,
    of: Institution,
    sought: Annotated[str, Query(alias="filter", max_length=500)] = "",
    start: Annotated[int, Query(alias="startIndex", ge=-1_000_000, le=1_000_000)] = 1,
    count: Annotated[int, Query(ge=-1_000_000, le=1_000_000)] = shapes.PAGE_AT_MOST,
    attributes: Attributes = "",
    excluded: Excluded = "",
) -> ScimResponse:
    """List the institution's users, all or those that a filter finds."""
    return _listed(here, of, sought, start, count, attributes, excluded)


@router.post("/.search")
@router.post("/Users/.search")
def search_scim_users(here: Here, of: Institution, body: Document) -> ScimResponse:
    """List users as GET does, with the query in the body (RFC 7644, 3.4.3)."""
    query = SearchRequest.model_validate(body)
    attributes, excluded = ",".join(query.attributes), ",".join(query.excluded)
    return _listed(here, of, query.filter, query.start, query.count, attributes, excluded)


def _listed(
    here: Services, of: str, sought: str, start: int, count: int, attributes: str, excluded: str
) -> ScimResponse:
    found = scim.search(here, of, sought) if sought else scim.users(here, of)
    first, most = max(1, start), min(max(0, count), shapes.PAGE_AT_MOST)
    page = found[first - 1 : first - 1 + most]
    shown = [shapes.chosen(shapes.user_shape(_base(here), each), attributes, excluded) for each in page]
    return ScimResponse(shapes.list_shape(shown, len(found), first))


@router.post("/Users", status_code=201)
def create_scim_user(here: Here, of: Institution, body: Document) -> ScimResponse:
    """Make a user: a person of the institution, in no project yet."""
    made = scim.create(here, of, describe(body))
    _log.info("user provisioned", institution=of, person=made.person)
    shown = shapes.user_shape(_base(here), made)
    return ScimResponse(shown, 201, {"Location": f"{_base(here)}/Users/{made.person}"})


@router.get("/Users/{user}")
def get_scim_user(
    here: Here, of: Institution, user: UserId, attributes: Attributes = "", excluded: Excluded = ""
) -> ScimResponse:
    """Return a user."""
    shown = shapes.user_shape(_base(here), scim.find(here, of, user))
    return ScimResponse(shapes.chosen(shown, attributes, excluded))


@router.put("/Users/{user}")
def replace_scim_user(here: Here, of: Institution, user: UserId, body: Document) -> ScimResponse:
    """Replace what is said of a user."""
    changed = scim.change(here, scim.find(here, of, user), describe(body))
    return ScimResponse(shapes.user_shape(_base(here), changed))


@router.patch("/Users/{user}")
def patch_scim_user(here: Here, of: Institution, user: UserId, body: Document) -> ScimResponse:
    """Change parts of a user; `active` false ends sessions and tokens at once."""
    before = scim.find(here, of, user)
    operations = next((value for name, value in body.items() if name.lower() == "operations"), None)
    after = patched(shapes.user_shape(_base(here), before), operations)
    changed = scim.change(here, before, describe(after))
    return ScimResponse(shapes.user_shape(_base(here), changed))


@router.delete("/Users/{user}", status_code=204)
def delete_scim_user(here: Here, of: Institution, user: UserId) -> Response:
    """End a user: sessions and tokens end at once; what they did stays on the books."""
    known = scim.find(here, of, user)
    scim.end(here, known)
    _log.info("user ended", institution=of, person=known.person)
    return Response(status_code=204)


@router.get("/{path:path}")
def get_scim_nothing(_of: Institution, path: str) -> ScimResponse:
    """Say that there is nothing else, in SCIM's form."""
    raise NotFound("not_found", f"there is nothing at {path[:80]!r}")


def _base(here: Services) -> str:
    return f"{here.settings.portal_address}{router.prefix}"
