"""Calls about service accounts of projects and their tokens."""

from hutong.clients.sdk.call import Call, Listing, document, nothing, path_of, post, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import accounts as a
from hutong.wire.base import Page


def set_service_account(project: str, name: str, title: str) -> Call[a.ServiceAccount]:
    """Make a service account of the project, or change what it is for."""
    body = document(a.NewServiceAccount(title=title))
    return Call("PUT", _path(project, name), shape(a.ServiceAccount), body=body)


def list_service_accounts(project: str, *, limit: int | None = None) -> Listing[a.ServiceAccount]:
    """List the project's service accounts."""
    return Listing(_path(project), shape(Page[a.ServiceAccount]), most=limit)


def remove_service_account(project: str, name: str) -> Call[None]:
    """End a service account and all its tokens."""
    return Call("DELETE", _path(project, name), nothing)


def create_service_token(project: str, name: str, token: a.NewServiceToken) -> Call[a.Token]:
    """Make a token of a service account; the secret is shown in this answer only."""
    return post(_path(project, name, "tokens"), shape(a.Token), token)


def list_service_tokens(project: str, name: str, *, limit: int | None = None) -> Listing[a.Token]:
    """List a service account's tokens, without their secrets."""
    return Listing(_path(project, name, "tokens"), shape(Page[a.Token]), most=limit)


def _path(project: str, *more: str) -> str:
    return path_of("projects", project, "service-accounts", *more)


class ServiceAccountVerbs:
    """Programs that act in a project, and their tokens."""

    set = Verb(set_service_account)
    list = ListVerb(list_service_accounts)
    remove = Verb(remove_service_account)
    create_token = Verb(create_service_token)
    list_tokens = ListVerb(list_service_tokens)


class ServiceAccounts(ServiceAccountVerbs, Group):
    """Programs that act in a project, and their tokens."""


class AsyncServiceAccounts(ServiceAccountVerbs, AsyncGroup):
    """Programs that act in a project, and their tokens."""
