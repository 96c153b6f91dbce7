"""Signing in and out, who one is, and tokens."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from hutong.adapters.identity.passwords import verify_password
from hutong.adapters.identity.tokens import digest_secret, make_secret
from hutong.core.accounts.registry import Person, Token
from hutong.core.accounts.roles import PERMISSIONS, Principal, Role
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict, Denied, NotFound, Problem, Refused
from hutong.core.kernel.quantities import DAY_MS
from hutong.server import lockouts
from hutong.server import second_factors as factors
from hutong.server.api.access import Here, Public, Signed, require, whole
from hutong.server.api.once import IdempotencyKey, digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.shapes.accounts import project_shape, token_shape
from hutong.server.people import Grant, grant_token, projects_of
from hutong.server.registry import read
from hutong.server.services import Services
from hutong.server.sign_in import forget_token, start_session
from hutong.server.tokens import check_scopes, last_uses
from hutong.wire import accounts as w
from hutong.wire.base import Page, Ulid

_GIVEN = frozenset().union(*(PERMISSIONS[role] for role in (Role.OPERATOR, Role.OWNER)))

router = APIRouter(prefix="/v1", tags=["sessions"])

Myself = Annotated[Principal, Depends(Signed(reason="it concerns the caller alone"))]
Pages = Annotated[Paging, Depends(paging)]


@router.post("/login", status_code=201, dependencies=[Depends(Public(reason="one has no token before"))])
def login(here: Here, body: w.Login) -> w.Token:
    """Sign in with a password, and a code where one has an authenticator; the answer has the session's token.

    401 `second_factor_needed` asks for the code. Many failures are answered 503.
    """
    lockouts.check(here, body.person)
    record = here.store.get("person", body.person)
    person = None if record is None else read(Person, record)
    if not verify_password(person.password if person else "", body.password) or person is None:
        lockouts.failed(here, body.person, known=person is not None)
        raise Denied("unauthenticated", "this name and this password do not belong together")
    strong = factors.enrolled(here, person.id) is not None
    if strong and body.code is None:
        needed = Denied("second_factor_needed", "a code of your authenticator is needed too")
        needed.status = 401
        raise needed
    if strong and not factors.spend(here, person.id, body.code or ""):
        lockouts.failed(here, person.id, known=True)
        raise Denied("unauthenticated", "this code is not right now, or was used before")
    lockouts.passed(here, person.id)
    grant = start_session(here, person, strong=strong)
    return token_shape(grant.token, grant.secret)


@router.post("/logout", status_code=204)
def logout(here: Here, request: Request, me: Myself) -> Response:  # noqa: ARG001
    """End the session: the token that is used for this call is forgotten."""
    secret = request.headers["authorization"].partition(" ")[2].strip()
    record = here.store.find("token", digest_secret(secret))
    if record is not None:
        forget_token(here.store, record.id)
    here.principals.forget()
    return Response(status_code=204)


@router.get("/me")
def read_me(here: Here, me: Myself) -> w.Me:
    """Return who is asking, and their projects."""
    record = here.store.get("person", me.id)
    if record is None:
        raise NotFound("not_found", f"there is no person {me.id!r} any more")
    person = read(Person, record)
    projects = tuple(project_shape(project) for project in projects_of(here.store, me.id))
    return w.Me(id=person.id, name=person.name, operator=me.operator, projects=projects, viewed_by=me.behind)


@router.post("/tokens", status_code=201)
def create_token(here: Here, me: Myself, body: w.NewToken, key: IdempotencyKey = "") -> w.Token:
    """Make a token: `person` acts as its owner, `key` may only ask the models of a project.

    The secret is in this answer only. A repeat with the same Idempotency-Key gives the same token again.
    """
    check_scopes(me, body.scopes, _GIVEN)
    if body.kind == "key" and body.project is None:
        problem = Problem("/project", "a key belongs to a project", "name the project")
        raise Refused("project_missing", "a key belongs to a project", (problem,))
    if body.kind == "key" and body.scopes:
        problem = Problem("/scopes", "a key may ask models and nothing else", "leave them out")
        raise Refused("scopes_unused", "a key has no scopes", (problem,))
    if body.kind == "person" and body.project is not None:
        problem = Problem("/project", "only a key is bound to a project", "leave it out, or kind: key")
        raise Refused("project_unused", "only a key is bound to a project", (problem,))
    if body.project is not None:
        require(me, "key.write", body.project, f"project {body.project!r}")
    return issue_token(
        here,
        me.id,
        body.name,
        body.kind,
        body.days,
        once=key,
        project=body.project or "",
        scopes=body.scopes,
        request=body,
    )


@router.get("/tokens")
def list_tokens(here: Here, me: Myself, pages: Pages) -> Page[w.Token]:
    """List one's own tokens with when each was last used, to ten minutes; without their secrets."""
    return token_page(here, me.id, pages)


def token_page(here: Services, owner: str, pages: Paging) -> Page[w.Token]:
    """Return a page of an owner's tokens."""
    rows = here.store.records("token", owner, pages.after, pages.limit + 1)
    uses = last_uses(here.store, owner, pages.after, pages.limit + 1)
    return pages.page(
        rows,
        lambda row: row.id,
        lambda row: token_shape(read(Token, row), used_ms=uses.get(row.id)),
    )


@router.delete("/tokens/{token}", status_code=204)
def delete_token(here: Here, me: Myself, token: Ulid) -> Response:
    """Revoke a token: at once in this process, within five seconds everywhere."""
    whole(me)
    record = here.store.get("token", token)
    found = None if record is None else read(Token, record)
    mine = found is not None and not found.site and me.id in {found.owner, found.behind}
    theirs = found is not None and bool(found.site) and me.everywhere("site.write")
    provisions = found is not None and found.kind == "scim" and me.everywhere("institution.write")
    managed = found is not None and bool(found.project) and me.may("key.write", found.project)
    if not (mine or theirs or managed or provisions):
        raise NotFound("not_found", f"there is no token {token!r}")
    forget_token(here.store, token)
    here.principals.forget()
    return Response(status_code=204)


def issue_token(
    here: Services,
    owner: str,
    name: str,
    kind: str,
    days: int,
    *,
    once: str,
    project: str = "",
    site: str = "",
    scopes: tuple[str, ...] = (),
    request: object = None,
) -> w.Token:
    """Make a token, or give again the one that the same idempotency key made.

    Its secret is never stored: it is derived from the vault's key and the token's id, so a repeat can say
    it once more, and nobody who has only the database can.
    """
    digest = digest_of(owner, name, kind, days, project, site, request)
    memo_id = digest_of(owner, once)
    if once:
        memo = here.store.get("request", memo_id)
        if memo is not None:
            return _again(here, memo, digest)
    token_id, now_ms = here.new_id(), here.clock()
    grant: Grant = grant_token(
        here.store,
        token_id,
        kind=kind,
        owner=owner,
        name=name,
        now_ms=now_ms,
        lives_ms=days * DAY_MS,
        project=project,
        site=site,
        scopes=scopes,
        entropy=here.vault.derive(f"token/{token_id}"),
    )
    if once:
        doc: dict[str, object] = {"digest": digest, "token": token_id}
        try:
            here.store.put(Record("request", memo_id, doc), expect=0)
        except Conflict:  # the same request, at the same time, was faster
            here.store.remove("token", token_id)
            memo = here.store.get("request", memo_id)
            if memo is None:
                raise
            return _again(here, memo, digest)
    return token_shape(grant.token, grant.secret)


def _again(here: Services, memo: Record, digest: str) -> w.Token:
    if memo.doc["digest"] != digest:
        raise Conflict("idempotency_conflict", "this Idempotency-Key was used for another request")
    record = here.store.get("token", str(memo.doc["token"]))
    if record is None:
        raise Conflict("revoked", "the token that this Idempotency-Key made was revoked")
    token = read(Token, record)
    secret = make_secret(token.kind, token.id, here.vault.derive(f"token/{token.id}"))
    return token_shape(token, secret)
