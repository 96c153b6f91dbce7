"""Calls about who may do what: roles, grants and the review of them."""

from hutong.clients.sdk.call import Call, Listing, nothing, path_of, post, query_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import grants as g
from hutong.wire.accounts import Token
from hutong.wire.base import Page


def list_roles(*, limit: int | None = None) -> Listing[g.RoleShape]:
    """List the roles that can be granted."""
    return Listing(path_of("access", "roles"), shape(Page[g.RoleShape]), most=limit)


def define_role(role: g.NewRole) -> Call[g.RoleShape]:
    """Define a role (operators); it is never changed."""
    return post(path_of("access", "roles"), shape(g.RoleShape), role)


def list_grants(
    *, scope: str | None = None, person: str | None = None, limit: int | None = None
) -> Listing[g.Grant]:
    """List grants of a scope (`platform`, `institution/NAME`, `project/NAME`), of a person, or all."""
    query = query_of(scope=scope, person=person)
    return Listing(path_of("access", "grants"), shape(Page[g.Grant]), query, limit)


def grant(grant: g.NewGrant) -> Call[g.Grant]:
    """Give somebody a role in a scope for a time."""
    return post(path_of("access", "grants"), shape(g.Grant), grant)


def revoke(grant: str) -> Call[None]:
    """Take a grant away."""
    return Call("DELETE", path_of("access", "grants", grant), nothing)


def view_as(view: g.NewView) -> Call[Token]:
    """Return a short-lived token that reads as somebody and writes nothing."""
    return post(path_of("access", "views"), shape(Token), view, keyed=False)


def review(*, institution: str | None = None) -> Listing[g.Reviewed]:
    """List what everybody holds, person by person."""
    return Listing(path_of("access", "review"), shape(Page[g.Reviewed]), query_of(institution=institution))


class AccessVerbs:
    """Who may do what, where and until when."""

    roles = ListVerb(list_roles)
    define = Verb(define_role)
    grants = ListVerb(list_grants)
    grant = Verb(grant)
    revoke = Verb(revoke)
    view_as = Verb(view_as)
    review = ListVerb(review)


class Access(AccessVerbs, Group):
    """Who may do what."""


class AsyncAccess(AccessVerbs, AsyncGroup):
    """Who may do what."""
