"""Identity providers, sign-in through them, and the identities of a person."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Form, Path, Response

from hutong.adapters.identity import oidc
from hutong.adapters.identity.providers import check_address
from hutong.core.accounts.identities import Identity, Issuer
from hutong.core.accounts.registry import Person
from hutong.core.accounts.roles import Principal
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict, Denied, NotFound, Problem, Refused
from hutong.server import oidc_flows as flows
from hutong.server.api.access import Allowed, Here, Public, Signed, whole
from hutong.server.api.paging import Paging, paging
from hutong.server.api.shapes.accounts import token_shape
from hutong.server.api.shapes.identity import identity_shape, issuer_name_shape, issuer_shape
from hutong.server.audited import marked
from hutong.server.people import projects_of
from hutong.server.registry import document, read
from hutong.server.services import Services
from hutong.server.sign_in import From, end_sessions, start_session
from hutong.wire import identity as w
from hutong.wire.base import Page, Slug

router = APIRouter(prefix="/v1", tags=["identity"])
_log = structlog.get_logger(__name__)

IssuerId = Annotated[Slug, Path(alias="issuer")]
IdentityId = Annotated[str, Path(alias="identity", pattern="^[0-9a-f]{64}$")]
Myself = Annotated[Principal, Depends(Signed(reason="it concerns the caller's own identities alone"))]
Pages = Annotated[Paging, Depends(paging)]
_BEFORE = Public(reason="one has no token before")


@router.put("/issuers/{issuer}", dependencies=[Depends(Allowed("institution.write"))])
def put_issuer(here: Here, issuer: IssuerId, body: w.NewIssuer) -> w.Issuer:
    """Enter an identity provider of an institution, or change it; its discovery document is not asked yet."""
    check_address(body.url, "the issuer")
    if here.store.get("institution", body.institution) is None:
        problem = Problem("/institution", f"there is no institution {body.institution!r}", "create it first")
        raise Refused("unknown_reference", f"there is no institution {body.institution!r}", (problem,))
    before = here.store.get("issuer", issuer)
    sealed = "" if before is None else read(Issuer, before).sealed
    if body.secret is not None:
        sealed = here.vault.seal(body.secret, f"issuer/{issuer}") if body.secret else ""
    made = Issuer(
        issuer,
        body.url,
        body.client_id,
        body.institution,
        body.name_zh,
        body.name_en,
        sealed,
        body.name_claim,
        body.creates,
        body.multi_factor,
        body.scim,
    )
    expect = 0 if before is None else before.version
    here.store.put(Record("issuer", issuer, document(made), body.institution, body.url), expect=expect)
    here.providers.forget(body.url)
    return issuer_shape(here.settings.portal_address, made)


@router.get("/issuers", dependencies=[Depends(_BEFORE)])
def list_issuers(here: Here, pages: Pages) -> Page[w.IssuerName]:
    """List the identity providers that one may sign in through."""
    rows = here.store.records("issuer", "", pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: issuer_name_shape(read(Issuer, row)))


@router.get("/issuers/{issuer}", dependencies=[Depends(Allowed("institution.read"))])
def get_issuer(here: Here, issuer: IssuerId) -> w.Issuer:
    """Return a provider's settings, without its secret."""
    return issuer_shape(here.settings.portal_address, flows.load_issuer(here, issuer))


@router.delete("/issuers/{issuer}", status_code=204, dependencies=[Depends(Allowed("institution.write"))])
def delete_issuer(here: Here, issuer: IssuerId) -> Response:
    """Take a provider away: nobody signs in through it any more. Identities stay, should it come back."""
    if not here.store.remove("issuer", issuer):
        raise NotFound("not_found", f"there is no issuer {issuer!r}")
    return Response(status_code=204)


@router.post("/issuers/{issuer}/begin", dependencies=[Depends(_BEFORE)])
def begin_sign_in(here: Here, issuer: IssuerId, body: w.BeginSignIn) -> w.Begun:
    """Begin a sign-in through a provider; nothing is stored."""
    address, flow = flows.begin(here, flows.load_issuer(here, issuer), body.back)
    return w.Begun(address=address, flow=flow)


@router.post("/issuers/{issuer}/finish", status_code=201, dependencies=[Depends(_BEFORE)])
def finish_sign_in(here: Here, issuer: IssuerId, body: w.FinishSignIn) -> w.SignedIn:
    """Finish a sign-in through a provider: the answer has the session's token."""
    known = flows.load_issuer(here, issuer)
    found, back = flows.arrive(here, known, _arrival(body))
    try:
        person = flows.person_of(here, known, found)
    except Denied as error:
        raise Denied("unauthenticated", error.message) from error
    origin = From(known.url, found.subject, found.sid)
    grant = start_session(here, person, strong=found.strong or known.multi_factor, origin=origin)
    _log.info("signed in", person=person.id, issuer=issuer)
    if not (back.startswith("/device") or person.operator or projects_of(here.store, person.id)):
        back = "/account"  # every other page would only tell a newcomer that they may not
    return w.SignedIn(token=token_shape(grant.token, grant.secret), back=back)


@router.post(
    "/issuers/{issuer}/logout",
    status_code=200,
    dependencies=[Depends(Public(reason="the token that it brings is signed by the provider"))],
)
def log_out_from_provider(
    here: Here, issuer: IssuerId, logout_token: Annotated[str, Form(min_length=1, max_length=20_000)]
) -> Response:
    """End sessions that a provider signed out (OpenID Connect Back-Channel Logout 1.0)."""
    known = flows.load_issuer(here, issuer)
    now_ms = here.clock()
    try:
        out = oidc.read_logout(here.providers, flows.client_of(here, known), logout_token, now_ms)
    except Denied as error:
        refusal = Refused("bad_logout_token", error.message)
        refusal.status = 400
        raise refusal from error
    # A second is what `iat` may be cut by; a session that began in the same second is ended too.
    store = marked(here.store, actor=f"issuer:{issuer}")
    ended = end_sessions(store, known.url, out.subject, out.sid, out.at_ms + 999)
    here.principals.forget()
    _log.info("signed out by the provider", issuer=issuer, sessions=ended)
    return Response(status_code=200)


@router.post("/issuers/{issuer}/join/begin")
def begin_join(here: Here, me: Myself, issuer: IssuerId, body: w.BeginSignIn) -> w.Begun:
    """Begin to join an identity of this provider to the caller."""
    whole(me)
    address, flow = flows.begin(here, flows.load_issuer(here, issuer), body.back, _person(here, me).id)
    return w.Begun(address=address, flow=flow)


@router.post("/issuers/{issuer}/join/finish", status_code=201)
def finish_join(here: Here, me: Myself, issuer: IssuerId, body: w.FinishSignIn) -> w.Linked:
    """Join the identity that the provider vouches for to the caller: it signs in as them from now on."""
    whole(me)
    known = flows.load_issuer(here, issuer)
    found, back = flows.arrive(here, known, _arrival(body), me.id)
    key, identity = flows.join(here, known, found, me.id)
    _log.info("identity joined", person=me.id, issuer=issuer)
    return w.Linked(identity=identity_shape(key, identity), back=back)


@router.get("/me/identities")
def list_identities(here: Here, me: Myself, pages: Pages) -> Page[w.Identity]:
    """List the identities that sign in as the caller."""
    rows = here.store.records("identity", me.id, pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: identity_shape(row.id, read(Identity, row)))


@router.delete("/me/identities/{identity}", status_code=204)
def delete_identity(here: Here, me: Myself, identity: IdentityId) -> Response:
    """Part an identity from the caller; not the last one of somebody without a password."""
    whole(me)
    record = here.store.get("identity", identity)
    if record is None or record.parent != me.id:
        raise NotFound("not_found", "there is no such identity of yours")
    if not _person(here, me).password and len(here.store.records("identity", me.id, "", 2)) < 2:
        raise Conflict("last_identity", "without it you could not sign in any more")
    known = read(Identity, record)
    here.store.remove("identity", identity)
    end_sessions(here.store, known.issuer, known.subject, "", here.clock())
    here.principals.forget()
    return Response(status_code=204)


def _arrival(body: w.FinishSignIn) -> flows.Arrival:
    return flows.Arrival(body.flow, body.state, body.code, body.iss)


def _person(here: Services, me: Principal) -> Person:
    record = here.store.get("person", me.id)
    if record is None:
        raise NotFound("not_found", f"there is no person {me.id!r} any more")
    return read(Person, record)
