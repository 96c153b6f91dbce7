"""Calls about people, projects, tokens and money."""

from hutong.clients.sdk.call import Call, Listing, document, nothing, path_of, post, query_of, shape
from hutong.clients.sdk.ledger import claim, correct, refund
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import accounts as a
from hutong.wire import money as m
from hutong.wire.base import Page


def login(person: str, password: str, code: str | None = None) -> Call[a.Token]:
    """Sign in, with a code where there is an authenticator; the answer's `secret` is the session's token."""
    given = {"person": person, "password": password, **({"code": code} if code else {})}
    return post(path_of("login"), shape(a.Token), a.Login.model_validate(given), keyed=False)


def logout() -> Call[None]:
    """End the session whose token is in use."""
    return post(path_of("logout"), nothing, keyed=False)


def me() -> Call[a.Me]:
    """Say who is asking, and which projects are theirs."""
    return Call("GET", path_of("me"), shape(a.Me))


def create_institution(institution: a.Institution) -> Call[a.Institution]:
    """Open an institution (operators)."""
    return post(path_of("institutions"), shape(a.Institution), institution)


def get_institution(institution: str) -> Call[a.Institution]:
    """Return one institution."""
    return Call("GET", path_of("institutions", institution), shape(a.Institution))


def list_institutions(*, limit: int | None = None) -> Listing[a.Institution]:
    """List institutions."""
    return Listing(path_of("institutions"), shape(Page[a.Institution]), most=limit)


def create_person(person: a.NewPerson) -> Call[a.Person]:
    """Enter somebody who may sign in; a password that was made is shown in this answer only."""
    return post(path_of("people"), shape(a.Person), person, keyed=False)


def list_people(*, limit: int | None = None) -> Listing[a.Person]:
    """List people."""
    return Listing(path_of("people"), shape(Page[a.Person]), most=limit)


def create_project(project: a.NewProject) -> Call[a.Project]:
    """Open a project; its owner is the first member."""
    return post(path_of("projects"), shape(a.Project), project)


def get_project(project: str) -> Call[a.Project]:
    """Return one project."""
    return Call("GET", path_of("projects", project), shape(a.Project))


def list_projects(*, limit: int | None = None) -> Listing[a.Project]:
    """List the projects one may see."""
    return Listing(path_of("projects"), shape(Page[a.Project]), most=limit)


def set_member(project: str, person: str, role: str = "member") -> Call[a.Project]:
    """Make a person a member or an owner of the project."""
    member = a.Member.model_validate({"person": person, "role": role})
    return Call(
        "PUT", path_of("projects", project, "members", person), shape(a.Project), body=document(member)
    )


def remove_member(project: str, person: str) -> Call[None]:
    """Take a person out of the project."""
    return Call("DELETE", path_of("projects", project, "members", person), nothing)


def award(project: str, award: m.NewAward) -> Call[m.Lot]:
    """Give the project money for a time (operators)."""
    return post(path_of("projects", project, "awards"), shape(m.Lot), award)


def voucher(project: str, voucher: m.NewVoucherLot) -> Call[m.Lot]:
    """Give the project a voucher that pays a share of each charge (operators)."""
    return post(path_of("projects", project, "vouchers"), shape(m.Lot), voucher)


def topup(project: str, topup: m.NewTopup) -> Call[m.Lot]:
    """Book money that the project paid in advance (operators)."""
    return post(path_of("projects", project, "topups"), shape(m.Lot), topup)


def balance(project: str) -> Call[m.Balance]:
    """Return what the project has, holds and has spent."""
    return Call("GET", path_of("projects", project, "balance"), shape(m.Balance))


def project_bill(project: str, *, start: str | None = None, end: str | None = None) -> Call[m.Bill]:
    """Return the project's bill for `[start, end)`; times are RFC 3339."""
    query = query_of(**{"from": start, "to": end})
    return Call("GET", path_of("projects", project, "bill"), shape(m.Bill), query)


def list_secrets(project: str, *, limit: int | None = None) -> Listing[a.SecretName]:
    """List the names of the project's secrets; values never come out."""
    return Listing(path_of("projects", project, "secrets"), shape(Page[a.SecretName]), most=limit)


def set_secret(project: str, name: str, value: str) -> Call[None]:
    """Store a secret of the project under a name."""
    body = document(a.SecretValue(value=value))
    return Call("PUT", path_of("projects", project, "secrets", name), nothing, body=body)


def remove_secret(project: str, name: str) -> Call[None]:
    """Forget a secret of the project."""
    return Call("DELETE", path_of("projects", project, "secrets", name), nothing)


def create_token(token: a.NewToken) -> Call[a.Token]:
    """Make a token or a gateway key; the secret is shown in this answer only."""
    return post(path_of("tokens"), shape(a.Token), token)


def list_tokens(*, limit: int | None = None) -> Listing[a.Token]:
    """List one's tokens, without their secrets."""
    return Listing(path_of("tokens"), shape(Page[a.Token]), most=limit)


def revoke_token(token: str) -> Call[None]:
    """End a token at once."""
    return Call("DELETE", path_of("tokens", token), nothing)


class SessionVerbs:
    """Signing in and out."""

    me = Verb(me)


class InstitutionVerbs:
    """Institutions."""

    create = Verb(create_institution)
    get = Verb(get_institution)
    list = ListVerb(list_institutions)


class PeopleVerbs:
    """People who may sign in."""

    create = Verb(create_person)
    list = ListVerb(list_people)


class ProjectVerbs:
    """Projects, their members and their money."""

    create = Verb(create_project)
    get = Verb(get_project)
    list = ListVerb(list_projects)
    set_member = Verb(set_member)
    remove_member = Verb(remove_member)
    award = Verb(award)
    voucher = Verb(voucher)
    topup = Verb(topup)
    balance = Verb(balance)
    bill = Verb(project_bill)
    refund = Verb(refund)
    correct = Verb(correct)
    claim = Verb(claim)


class SecretVerbs:
    """Secrets of projects: names go out, values only go in."""

    list = ListVerb(list_secrets)
    set = Verb(set_secret)
    remove = Verb(remove_secret)


class TokenVerbs:
    """Tokens of people and gateway keys of projects."""

    create = Verb(create_token)
    list = ListVerb(list_tokens)
    revoke = Verb(revoke_token)


class People(PeopleVerbs, Group):
    """People who may sign in."""


class AsyncPeople(PeopleVerbs, AsyncGroup):
    """People who may sign in."""


class Projects(ProjectVerbs, Group):
    """Projects, their members and their money."""


class AsyncProjects(ProjectVerbs, AsyncGroup):
    """Projects, their members and their money."""


class Secrets(SecretVerbs, Group):
    """Secrets of projects: names go out, values only go in."""


class AsyncSecrets(SecretVerbs, AsyncGroup):
    """Secrets of projects: names go out, values only go in."""


class Tokens(TokenVerbs, Group):
    """Tokens of people and gateway keys of projects."""


class AsyncTokens(TokenVerbs, AsyncGroup):
    """Tokens of people and gateway keys of projects."""
