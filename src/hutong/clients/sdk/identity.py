"""Calls about identity providers and the identities of people."""

from hutong.clients.sdk.call import Call, Listing, document, nothing, path_of, post, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import accounts as a
from hutong.wire import identity as i
from hutong.wire.base import Page


def set_issuer(issuer: str, settings: i.NewIssuer) -> Call[i.Issuer]:
    """Enter an OpenID Connect provider of an institution, or change it (operators)."""
    return Call("PUT", path_of("issuers", issuer), shape(i.Issuer), body=document(settings))


def get_issuer(issuer: str) -> Call[i.Issuer]:
    """Return a provider's settings, without its secret (operators)."""
    return Call("GET", path_of("issuers", issuer), shape(i.Issuer))


def list_issuers(*, limit: int | None = None) -> Listing[i.IssuerName]:
    """List the providers that one may sign in through."""
    return Listing(path_of("issuers"), shape(Page[i.IssuerName]), most=limit)


def remove_issuer(issuer: str) -> Call[None]:
    """Take a provider away (operators)."""
    return Call("DELETE", path_of("issuers", issuer), nothing)


def begin_sign_in(issuer: str, back: str) -> Call[i.Begun]:
    """Begin a sign-in through a provider: where to send the browser, and what it keeps meanwhile."""
    return post(path_of("issuers", issuer, "begin"), shape(i.Begun), i.BeginSignIn(back=back), keyed=False)


def finish_sign_in(issuer: str, arrival: i.FinishSignIn) -> Call[i.SignedIn]:
    """Finish a sign-in through a provider; the answer's token has the session's secret."""
    return post(path_of("issuers", issuer, "finish"), shape(i.SignedIn), arrival, keyed=False)


def begin_join(issuer: str, back: str) -> Call[i.Begun]:
    """Begin to join an identity of a provider to the caller."""
    path = path_of("issuers", issuer, "join", "begin")
    return post(path, shape(i.Begun), i.BeginSignIn(back=back), keyed=False)


def finish_join(issuer: str, arrival: i.FinishSignIn) -> Call[i.Linked]:
    """Join an identity to the caller: it signs in as them from now on."""
    return post(path_of("issuers", issuer, "join", "finish"), shape(i.Linked), arrival, keyed=False)


def list_identities(*, limit: int | None = None) -> Listing[i.Identity]:
    """List the identities that sign in as the caller."""
    return Listing(path_of("me", "identities"), shape(Page[i.Identity]), most=limit)


def remove_identity(identity: str) -> Call[None]:
    """Part an identity from the caller."""
    return Call("DELETE", path_of("me", "identities", identity), nothing)


def create_scim_token(institution: str, token: a.NewServiceToken) -> Call[a.Token]:
    """Make a token for the directory of an institution (operators); it is shown in this answer only."""
    return post(path_of("institutions", institution, "scim-tokens"), shape(a.Token), token)


def list_scim_tokens(institution: str, *, limit: int | None = None) -> Listing[a.Token]:
    """List the tokens of an institution's directory (operators)."""
    return Listing(path_of("institutions", institution, "scim-tokens"), shape(Page[a.Token]), most=limit)


class DirectoryVerbs:
    """Tokens with which directories of institutions provision people (SCIM)."""

    create_token = Verb(create_scim_token)
    list_tokens = ListVerb(list_scim_tokens)


class IssuerVerbs:
    """Identity providers, and sign-in through them."""

    set = Verb(set_issuer)
    get = Verb(get_issuer)
    list = ListVerb(list_issuers)
    remove = Verb(remove_issuer)
    begin = Verb(begin_sign_in)
    finish = Verb(finish_sign_in)
    begin_join = Verb(begin_join)
    finish_join = Verb(finish_join)


class IdentityVerbs:
    """The identities that sign in as the caller."""

    list = ListVerb(list_identities)
    remove = Verb(remove_identity)


class Issuers(IssuerVerbs, Group):
    """Identity providers, and sign-in through them."""


class AsyncIssuers(IssuerVerbs, AsyncGroup):
    """Identity providers, and sign-in through them."""


class Identities(IdentityVerbs, Group):
    """The identities that sign in as the caller."""


class AsyncIdentities(IdentityVerbs, AsyncGroup):
    """The identities that sign in as the caller."""


class Directories(DirectoryVerbs, Group):
    """Tokens with which directories of institutions provision people (SCIM)."""


class AsyncDirectories(DirectoryVerbs, AsyncGroup):
    """Tokens with which directories of institutions provision people (SCIM)."""
