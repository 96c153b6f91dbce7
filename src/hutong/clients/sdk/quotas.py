"""Calls about quotas (operators)."""

from hutong.clients.sdk.call import Call, Listing, document, nothing, path_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import quotas as q
from hutong.wire.base import Page


def set_quota(kind: str, name: str, quota: q.NewQuota) -> Call[q.Quota]:
    """Set the quota of an institution or a project (`kind`)."""
    return Call("PUT", path_of("quotas", kind, name), shape(q.Quota), body=document(quota))


def get_quota(kind: str, name: str) -> Call[q.Quota]:
    """Return the quota of an institution or a project."""
    return Call("GET", path_of("quotas", kind, name), shape(q.Quota))


def list_quotas(*, limit: int | None = None) -> Listing[q.Quota]:
    """List the quotas, institutions first."""
    return Listing(path_of("quotas"), shape(Page[q.Quota]), most=limit)


def remove_quota(kind: str, name: str) -> Call[None]:
    """Take a quota away."""
    return Call("DELETE", path_of("quotas", kind, name), nothing)


class QuotaVerbs:
    """What institutions and projects are promised, and the most they may hold."""

    set = Verb(set_quota)
    get = Verb(get_quota)
    list = ListVerb(list_quotas)
    remove = Verb(remove_quota)


class Quotas(QuotaVerbs, Group):
    """What institutions and projects are promised."""


class AsyncQuotas(QuotaVerbs, AsyncGroup):
    """What institutions and projects are promised."""
