"""Models: register a version from a job's files, list, look, download."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from hutong.core.accounts.roles import Principal
from hutong.core.book.store import Record
from hutong.core.catalog.models import Model
from hutong.core.kernel.errors import Broken, NotFound
from hutong.core.kernel.ids import JobId
from hutong.server import catalog
from hutong.server.api.access import Here, Somewhere, require
from hutong.server.api.objects import send_content
from hutong.server.api.once import IdempotencyKey
from hutong.server.api.paging import Paging, paging
from hutong.server.api.visible import visible_records
from hutong.server.services import Services
from hutong.wire import models as w
from hutong.wire.base import Page, Slug, rfc3339

router = APIRouter(prefix="/v1/models", tags=["models"])

Pages = Annotated[Paging, Depends(paging)]
Reader = Annotated[Principal, Depends(Somewhere("model.read"))]
Version = Annotated[int, Path(ge=1, le=999_999)]
OfProject = Annotated[
    Slug | None, Query(description="whose model, where several projects have one of that name")
]
FILES_SHOWN = 1000
FILES_IN_LISTS = 20


@router.post("", status_code=201)
def register_model(
    here: Here,
    body: w.NewModel,
    principal: Annotated[Principal, Depends(Somewhere("model.write"))],
    key: IdempotencyKey = "",  # noqa: ARG001 - the same files of the same job are the same version anyway
) -> w.Model:
    """Register the kept files of a finished job as the next version of a model."""
    require(principal, "model.write", body.project, f"project {body.project!r}")
    row = here.store.job(JobId(body.job))
    if row is None or row.project != body.project:
        raise NotFound("not_found", f"there is no job {body.job!r} in project {body.project!r}")
    return model_shape(catalog.register(here, row, body.name, body.path, principal.id))


@router.get("")
def list_models(here: Here, principal: Reader, pages: Pages, project: OfProject = None) -> Page[w.Model]:
    """List the models that one may see, each in its newest version."""
    rows = visible_records(here, principal, "model.read", catalog.INDEX, project, pages)
    return pages.page(rows, lambda row: row.id, lambda row: model_shape(_newest(here, row), FILES_IN_LISTS))


def _newest(here: Services, row: Record) -> Model:
    project, _, name = row.id.partition("/")
    model = catalog.latest(here.store, project, name)
    if model is None:
        raise Broken(f"{row.id} is in the index of models and has no version")
    return model


@router.get("/{name}")
def list_versions(
    here: Here, principal: Reader, pages: Pages, name: Slug, project: OfProject = None
) -> Page[w.Model]:
    """List the versions of a model, the first one first."""
    newest = catalog.find_model(here, principal, name, None, project or "")
    rows = tuple(catalog.versions(here.store, newest.project, name, pages.number, pages.limit + 1))
    return pages.page(
        rows, lambda model: str(model.version), lambda model: model_shape(model, FILES_IN_LISTS)
    )


@router.get("/{name}/{version}")
def get_model(
    here: Here, principal: Reader, name: Slug, version: Version, project: OfProject = None
) -> w.Model:
    """Return one version of a model with its files and where it comes from."""
    return model_shape(catalog.find_model(here, principal, name, version, project or ""))


@router.get(
    "/{name}/{version}/files/{path:path}",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
    },
)
def get_file(
    here: Here,
    request: Request,
    principal: Reader,
    name: Slug,
    version: Version,
    path: Annotated[str, Path(max_length=1_024)],
    project: OfProject = None,
) -> Response:
    """Download one file of a model."""
    model = catalog.find_model(here, principal, name, version, project or "")
    file = next((each for each in model.files if each.path == path), None)
    if file is None:
        raise NotFound("not_found", f"version {version} of model {name!r} has no file {path!r}")
    if request.headers.get("if-none-match") == f'"{file.digest}"':
        return Response(status_code=304)
    return send_content(request, here.objects, file.digest, file.size_bytes, path.rpartition("/")[2])


def model_shape(model: Model, files: int = FILES_SHOWN) -> w.Model:
    """Return a model as the wire shows it, with at most so many of its files."""
    return w.Model(
        id=model.id,
        name=model.name,
        version=model.version,
        project=model.project,
        digest=model.digest,
        size_bytes=model.size_bytes,
        files=tuple(
            w.ModelFile(path=each.path, size_bytes=each.size_bytes, digest=each.digest)
            for each in model.files[:files]
        ),
        lineage=w.Lineage(
            job=model.lineage.job,
            attempt=model.lineage.attempt,
            site=model.lineage.site,
            accelerator=model.lineage.accelerator,
            corpus=dict(model.lineage.corpus),
            training=dict(model.lineage.training),
        ),
        created=rfc3339(model.created_ms),
        by=model.by,
    )
