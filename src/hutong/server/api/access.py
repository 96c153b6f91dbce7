"""Access rules: every route declares one of these as a dependency, and the app refuses to start without.

`Public(reason)`, `Allowed(permission)` on the whole platform, `Somewhere(permission)` where the route itself
narrows what it shows or does, `InProject(permission)` for routes with `{project}` in their path,
`OfJob(permission)` for routes with `{job}`, `OfArray(permission)` for those with `{array}`, `OfSite()` for
agents. What a principal may not even know of
answers 404, what it may know of but not do answers 403.
"""

from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Path, Request
from fastapi.dependencies.models import Dependant

from hutong.adapters.identity.tokens import digest_secret, looks_like_secret
from hutong.core.accounts.roles import KNOWN, Principal
from hutong.core.book.audit import Author
from hutong.core.book.snapshot import JobRow
from hutong.core.kernel.arrays import job_at, place_of
from hutong.core.kernel.errors import Broken, Denied, NotFound
from hutong.core.kernel.ids import JobId, SiteId
from hutong.server.api.threads import in_thread
from hutong.server.audited import AuthorOf, audited
from hutong.server.services import Services
from hutong.wire.base import Ulid

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
REASON_HEADER = "hutong-reason"
"""Why a change is made, percent-encoded UTF-8: it is kept in the audit."""
_REASON_MOST = 500
_LEAVE = "/v1/logout"  # all that somebody who looks as another may write: that it is over


async def services_of(request: Request) -> Services:
    """Return the services of the app that answers."""
    services = request.app.state.services
    if not isinstance(services, Services):
        raise Broken("the app has no services")
    return services


async def here_of(request: Request) -> Services:
    """Return the services for a route; in one that may write, what it changes is told in the audit."""
    services = await services_of(request)
    if request.method in SAFE:
        return services
    return replace(services, store=audited(services.store, _author_of(request, services)))


def _author_of(request: Request, services: Services) -> AuthorOf:
    def author(owner: str) -> Author:
        who = getattr(request.state, "principal", None)
        asked = unquote(request.headers.get(REASON_HEADER, ""), errors="replace")[:_REASON_MOST]
        return Author(
            actor=(who.behind or who.id) if who is not None else owner or "nobody",
            at_ms=services.clock(),
            on_behalf_of=who.id if who is not None and who.behind else "",
            address=request.client.host if request.client else "",
            reason="".join(each for each in asked if each.isprintable()),
        )

    return author


Here = Annotated[Services, Depends(here_of)]
JobName = Annotated[Ulid, Path(alias="job")]
ArrayName = Annotated[Ulid, Path(alias="array")]


async def principal_of(request: Request) -> Principal:
    """Return who is asking; raises Denied (`unauthenticated`) for no token, or one that is not good."""
    services = await services_of(request)
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not looks_like_secret(secret):
        raise Denied("unauthenticated", "sign in first: send Authorization: Bearer <token>")
    digest, now_ms = digest_secret(secret), services.clock()
    principal = services.principals.recall(digest, now_ms)
    if principal is None:
        principal = await in_thread(services.principals.find, digest, now_ms)
    if principal is None:
        raise Denied("unauthenticated", "this token is not known, or has expired")
    request.state.principal = principal
    if principal.behind and request.method not in SAFE and request.url.path != _LEAVE:
        raise Denied("read_only", f"you look at the platform as {principal.id}, and may change nothing")
    return principal


def require(principal: Principal, permission: str, project: str, what: str) -> None:
    """Raise NotFound(`what`) if the principal may not know of the project, Denied if it may not do this."""
    if principal.may(permission, project):
        return
    if principal.may("project.read", project):
        raise Denied("forbidden", f"{permission} in project {project} is not among your permissions")
    raise NotFound("not_found", f"there is no {what}")


def whole(principal: Principal) -> None:
    """Raise Denied for a token that is narrowed: it must not make or change what is not narrowed."""
    if principal.scopes:
        raise Denied("forbidden", "this token is narrowed to some permissions; sign in to do this")


def reading(principal: Principal, permission: str) -> None:
    """Raise Denied for a token that is narrowed to other things: for what one may read by no role."""
    if principal.scopes and permission not in principal.scopes:
        raise Denied("forbidden", f"this token is narrowed, and not to {permission}")


def token_of(services: Services, request: Request) -> str:
    """Return the id of the token that a call is made with; empty if it was just removed."""
    secret = request.headers.get("authorization", "").partition(" ")[2].strip()
    record = services.store.find("token", digest_secret(secret))
    return "" if record is None else record.id


def sees_all(principal: Principal, permission: str) -> bool:
    """True if the principal holds the permission on the whole platform, as operators do for reading."""
    return principal.everywhere(permission)


@dataclass(frozen=True)
class AccessRule:
    """Base of the rules; `permission` is empty where none is needed."""

    permission: str = ""

    def __post_init__(self) -> None:
        if self.permission and self.permission not in KNOWN:
            raise Broken(f"no role has the permission {self.permission}")


@dataclass(frozen=True)
class Public(AccessRule):
    """Anybody may call; `reason` says why that is right."""

    reason: str = ""

    async def __call__(self) -> None:
        """Let everybody in."""


@dataclass(frozen=True)
class Signed(AccessRule):
    """Any person with a token may call about themselves; `reason` says why no permission is needed."""

    reason: str = ""

    async def __call__(self, request: Request) -> Principal:
        """Return who is asking, if it is a person."""
        principal = await principal_of(request)
        if ":" in principal.id:  # site:, key:, service:
            raise Denied("forbidden", "this token is not a person's")
        return principal


@dataclass(frozen=True)
class Allowed(AccessRule):
    """The caller holds the permission on the whole platform."""

    async def __call__(self, request: Request) -> Principal:
        """Return who is asking."""
        principal = await principal_of(request)
        if not principal.everywhere(self.permission):
            raise Denied("forbidden", f"{self.permission} is not among your permissions")
        return principal


@dataclass(frozen=True)
class Somewhere(AccessRule):
    """The caller holds the permission anywhere: the route itself narrows what is shown or done."""

    async def __call__(self, request: Request) -> Principal:
        """Return who is asking."""
        principal = await principal_of(request)
        if not principal.may(self.permission):
            raise Denied("forbidden", f"{self.permission} is not among your permissions")
        return principal


@dataclass(frozen=True)
class InProject(AccessRule):
    """The caller holds the permission in the project that the path names."""

    async def __call__(self, request: Request) -> Principal:
        """Return who is asking."""
        principal = await principal_of(request)
        project = request.path_params["project"]
        require(principal, self.permission, project, f"project {project!r}")
        return principal


@dataclass(frozen=True)
class OfJob(AccessRule):
    """The caller holds the permission in the project of the job that the path names."""

    async def __call__(self, request: Request, job: JobName) -> JobRow:
        """Return the job."""
        principal = await principal_of(request)
        services = await services_of(request)
        row = await in_thread(services.store.job, JobId(job))
        if row is None:
            raise NotFound("not_found", f"there is no job {job!r}")
        require(principal, self.permission, row.project, f"job {job!r}")
        return row


@dataclass(frozen=True)
class OfArray(AccessRule):
    """The caller holds the permission in the project of the array that the path names."""

    async def __call__(self, request: Request, array: ArrayName) -> JobRow:
        """Return the first job of the array."""
        principal = await principal_of(request)
        services = await services_of(request)
        return await in_thread(first_of_array, services, principal, self.permission, array)


def first_of_array(services: Services, principal: Principal, permission: str, array: str) -> JobRow:
    """Return the first job of an array; raises as `require` does, NotFound also for what is no array."""
    row = services.store.job(job_at(array, 1)) if not place_of(array) else None
    if row is None or row.spec.array is None:
        raise NotFound("not_found", f"there is no array {array!r}")
    require(principal, permission, row.project, f"array {array!r}")
    return row


@dataclass(frozen=True)
class OfSite(AccessRule):
    """The caller is the agent of a site; returns which."""

    permission: str = "agent.call"

    async def __call__(self, request: Request) -> SiteId:
        """Return the site that the token is bound to."""
        principal = await principal_of(request)
        if not principal.site or not principal.may(self.permission):
            raise Denied("forbidden", "only an agent's token, bound to its site, may call here")
        return SiteId(principal.site)


@dataclass(frozen=True)
class OfInstitution(AccessRule):
    """The caller is the directory of an institution; returns which."""

    permission: str = "scim.call"

    async def __call__(self, request: Request) -> str:
        """Return the institution that the token is bound to."""
        principal = await principal_of(request)
        if not principal.may(self.permission):
            raise Denied("forbidden", "only a directory's token, bound to its institution, may call here")
        return principal.id.partition(":")[2]


def rules_of(dependant: Dependant) -> tuple[AccessRule, ...]:
    """Return the access rules that a route declares, at any depth."""
    found: list[AccessRule] = [dependant.call] if isinstance(dependant.call, AccessRule) else []
    deeper = [rule for each in dependant.dependencies for rule in rules_of(each)]
    return (*found, *deeper)
