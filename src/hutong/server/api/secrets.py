"""Secrets of a project: values go in sealed and never come out of the API again."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict, NotFound
from hutong.server.api.access import Here, InProject
from hutong.server.api.accounts import ProjectName
from hutong.server.api.paging import Paging, paging
from hutong.server.services import Services
from hutong.wire import accounts as w
from hutong.wire.base import Page, rfc3339

SECRETS_AT_MOST = 1000

router = APIRouter(prefix="/v1/projects/{project}/secrets", tags=["secrets"])

SecretId = Annotated[str, Path(alias="name", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]


@router.get("", dependencies=[Depends(InProject("secret.list"))])
def list_secrets(
    here: Here, project: ProjectName, pages: Annotated[Paging, Depends(paging)]
) -> Page[w.SecretName]:
    """List the names of a project's secrets."""
    after = f"{project}/{pages.after}" if pages.after else ""
    rows = here.store.records("secret", project, after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id.partition("/")[2], _shape)


@router.put("/{name}", dependencies=[Depends(InProject("secret.write"))])
def put_secret(here: Here, project: ProjectName, name: SecretId, body: w.SecretValue) -> w.SecretName:
    """Store a secret, or replace its value; jobs that start from now on get the new one."""
    id_ = f"{project}/{name}"
    if here.store.get("secret", id_) is None:
        known = here.store.records("secret", project, "", SECRETS_AT_MOST)
        if len(known) >= SECRETS_AT_MOST:
            raise Conflict("too_many", f"a project has at most {SECRETS_AT_MOST} secrets")
    doc: dict[str, object] = {"sealed": here.vault.seal(body.value, id_), "updated_ms": here.clock()}
    return _shape(here.store.put(Record("secret", id_, doc, parent=project)))


@router.delete("/{name}", status_code=204, dependencies=[Depends(InProject("secret.write"))])
def delete_secret(here: Here, project: ProjectName, name: SecretId) -> Response:
    """Forget a secret."""
    if not here.store.remove("secret", f"{project}/{name}"):
        raise NotFound("not_found", f"there is no secret {name!r}")
    return Response(status_code=204)


def open_secrets(here: Services, project: str, names: tuple[str, ...]) -> dict[str, str]:
    """Return the values of a project's secrets by name, those that are there: for a start command only."""
    values = {}
    for name in names:
        record = here.store.get("secret", f"{project}/{name}")
        if record is not None:
            values[name] = here.vault.unseal(str(record.doc["sealed"]), record.id)
    return values


def _shape(record: Record) -> w.SecretName:
    updated_ms = record.doc["updated_ms"]
    at = rfc3339(updated_ms if isinstance(updated_ms, int) else 0)
    return w.SecretName(name=record.id.partition("/")[2], updated=at)
