"""Service accounts of projects, and their tokens."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from hutong.core.accounts.roles import PERMISSIONS, Principal, Role
from hutong.core.accounts.service_accounts import ServiceAccount, account_id, principal_id
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict, NotFound
from hutong.server.api.access import Here, InProject
from hutong.server.api.accounts import ProjectName
from hutong.server.api.once import IdempotencyKey
from hutong.server.api.paging import Paging, paging
from hutong.server.api.sessions import issue_token, token_page
from hutong.server.api.shapes.accounts import service_account_shape
from hutong.server.registry import document, read
from hutong.server.services import Services
from hutong.server.sign_in import end_tokens
from hutong.server.tokens import check_scopes
from hutong.wire import accounts as w
from hutong.wire.base import Page, Slug

ACCOUNTS_AT_MOST = 100
TOKENS_AT_MOST = 100
KIND = "service_account"

router = APIRouter(prefix="/v1/projects/{project}/service-accounts", tags=["service accounts"])

AccountName = Annotated[Slug, Path(alias="account")]
Pages = Annotated[Paging, Depends(paging)]
Manager = Annotated[Principal, Depends(InProject("key.write"))]


@router.put("/{account}")
def put_service_account(
    here: Here, project: ProjectName, account: AccountName, me: Manager, body: w.NewServiceAccount
) -> w.ServiceAccount:
    """Make a service account of a project, or change what it is for."""
    id_ = account_id(project, account)
    before = here.store.get(KIND, id_)
    if before is None:
        if len(here.store.records(KIND, project, "", ACCOUNTS_AT_MOST)) >= ACCOUNTS_AT_MOST:
            raise Conflict("too_many", f"a project has at most {ACCOUNTS_AT_MOST} service accounts")
        made = ServiceAccount(project, account, body.title, me.id, here.clock())
    else:
        old = read(ServiceAccount, before)
        made = ServiceAccount(project, account, body.title, old.made_by, old.made_ms)
    here.store.put(Record(KIND, id_, document(made), project), expect=before.version if before else 0)
    return service_account_shape(made)


@router.get("", dependencies=[Depends(InProject("key.write"))])
def list_service_accounts(here: Here, project: ProjectName, pages: Pages) -> Page[w.ServiceAccount]:
    """List a project's service accounts."""
    after = account_id(project, pages.after) if pages.after else ""
    rows = here.store.records(KIND, project, after, pages.limit + 1)
    return pages.page(
        rows,
        lambda row: row.id.partition("/")[2],
        lambda row: service_account_shape(read(ServiceAccount, row)),
    )


@router.delete("/{account}", status_code=204, dependencies=[Depends(InProject("key.write"))])
def delete_service_account(here: Here, project: ProjectName, account: AccountName) -> Response:
    """End a service account and all its tokens; its jobs go on."""
    if not here.store.remove(KIND, account_id(project, account)):
        raise NotFound("not_found", f"there is no service account {account!r}")
    end_tokens(here.store, principal_id(project, account), frozenset({"service"}))
    here.principals.forget()
    return Response(status_code=204)


@router.post("/{account}/tokens", status_code=201)
def create_service_token(
    here: Here,
    project: ProjectName,
    account: AccountName,
    me: Manager,
    body: w.NewServiceToken,
    key: IdempotencyKey = "",
) -> w.Token:
    """Make a token of a service account; it is in this answer only."""
    _must_exist(here, project, account)
    check_scopes(me, body.scopes, PERMISSIONS[Role.MEMBER])
    owner = principal_id(project, account)
    if len(here.store.records("token", owner, "", TOKENS_AT_MOST)) >= TOKENS_AT_MOST:
        raise Conflict("too_many", f"a service account has at most {TOKENS_AT_MOST} tokens: revoke some")
    return issue_token(
        here,
        owner,
        body.name,
        "service",
        body.days,
        once=key,
        project=project,
        scopes=body.scopes,
        request=body,
    )


@router.get("/{account}/tokens", dependencies=[Depends(InProject("key.write"))])
def list_service_tokens(
    here: Here, project: ProjectName, account: AccountName, pages: Pages
) -> Page[w.Token]:
    """List a service account's tokens with when each was last used, without their secrets."""
    _must_exist(here, project, account)
    return token_page(here, principal_id(project, account), pages)


def _must_exist(here: Services, project: str, account: str) -> None:
    if here.store.get(KIND, account_id(project, account)) is None:
        raise NotFound("not_found", f"there is no service account {account!r}")
