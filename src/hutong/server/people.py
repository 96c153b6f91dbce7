"""Who is behind a token, what belongs to them, and the first person of a new platform."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from hutong.adapters.identity.passwords import hash_password
from hutong.adapters.identity.tokens import digest_secret, make_secret
from hutong.core.accounts.registry import Institution, InstitutionKind, Person, Project, Token
from hutong.core.accounts.roles import READING, Principal, Role, ScopeKind
from hutong.core.accounts.service_accounts import account_id
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Broken, Conflict
from hutong.core.kernel.quantities import DAY_MS
from hutong.server.grants import reaches_of
from hutong.server.registry import create, document, every, read
from hutong.server.suspensions import suspended
from hutong.server.tokens import note_use

PROJECTS_OF_A_PERSON = 1000
FIRST_PERSON = "admin"
FIRST_INSTITUTION = "operator"
Resolve = Callable[[str, int], tuple[Principal, int] | None]
"""From a token's digest and the time, UTC ms, to who that is and when the token expires."""


def projects_of(store: Store, person: str) -> tuple[Project, ...]:
    """Return the projects a person belongs to.

    `member` records (id `<person>/<project>`) are only an index: the project's own document decides.
    """
    found = []
    for record in every(store, "member", person, PROJECTS_OF_A_PERSON):
        there = store.get("project", record.id.partition("/")[2])
        project = read(Project, there) if there is not None else None
        if project is not None and any(member == person for member, _ in project.members):
            found.append(project)
    return tuple(found)


def index_member(store: Store, person: str, project: str) -> None:
    """Note that a person belongs to a project, so that their projects are found without a scan."""
    store.put(Record("member", f"{person}/{project}", {}, parent=person))


def resolver(store: Store) -> Resolve:
    """Return the function that finds who is behind a token's digest at a moment, and until when.

    It notes the use of tokens; sessions are too many, and each is listed nowhere else.
    """

    def resolve(digest: str, now_ms: int) -> tuple[Principal, int] | None:
        record = store.find("token", digest)
        if record is None:
            return None
        token = read(Token, record)
        principal = _principal(store, token, now_ms)
        if principal is None:
            return None
        if token.kind != "session" and now_ms < token.expires_ms:
            note_use(store, token, record.parent, now_ms)
        return principal, token.expires_ms

    return resolve


def _principal(store: Store, token: Token, now_ms: int) -> Principal | None:
    scopes = frozenset(token.scopes)
    match token.kind:
        case "site":
            return Principal(f"site:{token.site}", site=token.site, scopes=scopes)
        case "key":
            return Principal(f"key:{token.id}", projects=((token.project, Role.CALLER),), scopes=scopes)
        case "service":
            name = token.owner.partition("/")[2]
            if store.get("service_account", account_id(token.project, name)) is None:
                return None
            return Principal(token.owner, projects=((token.project, Role.MEMBER),), scopes=scopes)
        case "scim":
            return Principal(token.owner, projects=(("", Role.DIRECTORY),), scopes=scopes)
        case "person" | "session":
            record = store.get("person", token.owner)
            if record is None or suspended(store, token.owner):
                return None
            principal = principal_of_person(store, read(Person, record), now_ms, scopes)
            return _seen_by(store, token.behind, principal, now_ms) if token.behind else principal
    raise Broken(f"token {token.id} is of the unknown kind {token.kind!r}")


def _seen_by(store: Store, behind: str, principal: Principal, now_ms: int) -> Principal | None:
    """Return a person as somebody else may see through their eyes, as long as that one may."""
    record = store.get("person", behind)
    if record is None:
        return None
    viewer = principal_of_person(store, read(Person, record), now_ms)
    if may_view(viewer, principal) is not None:
        return None
    return replace(principal, scopes=READING, behind=behind)


def may_view(viewer: Principal, person: Principal) -> str | None:
    """Return why somebody may not look at the platform as that person, None if they may."""
    if not viewer.everywhere("person.impersonate"):
        return "person.impersonate is not among your permissions"
    if viewer.id == person.id:
        return "you are that person"
    mighty = person.operator or any(each.kind is ScopeKind.PLATFORM for each in person.grants)
    return "nobody looks as somebody who has a role on the whole platform" if mighty else None


def principal_of_person(
    store: Store, person: Person, now_ms: int, scopes: frozenset[str] = frozenset()
) -> Principal:
    """Return a person as what they are to each of their projects, and by their grants, at that moment."""
    roles = tuple((project.id, dict(project.members)[person.id]) for project in projects_of(store, person.id))
    grants = reaches_of(store, person.id, now_ms)
    return Principal(person.id, person.operator, roles, scopes=scopes, grants=grants)


@dataclass(frozen=True, slots=True)
class Grant:
    """A token with its secret, which exists only here: the store has its digest."""

    token: Token
    secret: str


def grant_token(
    store: Store,
    token_id: str,
    *,
    kind: str,
    owner: str,
    name: str,
    now_ms: int,
    lives_ms: int,
    project: str = "",
    site: str = "",
    scopes: tuple[str, ...] = (),
    entropy: bytes | None = None,
    behind: str = "",
) -> Grant:
    """Make and store a token of one of `KINDS`; 32 bytes of `entropy` fix its secret."""
    secret = make_secret(kind, token_id, entropy or os.urandom(32))
    token = Token(
        id=token_id,
        digest=digest_secret(secret),
        owner=owner,
        name=name,
        kind=kind,
        project=project,
        site=site,
        scopes=scopes,
        created_ms=now_ms,
        expires_ms=now_ms + lives_ms,
        behind=behind,
    )
    parent = f"site:{site}" if site else owner
    store.put(Record("token", token_id, document(token), parent, token.digest), expect=0)
    return Grant(token, secret)


def bootstrap(
    store: Store, password: str | None, *, now_ms: int, new_id: Callable[[], str], days: int = 366
) -> tuple[Person, Grant]:
    """Make the first institution `operator` and its person `admin` unless they exist, and a token for them.

    The person may be made with a password, or without one: then only the token signs in.
    """
    first = Institution(FIRST_INSTITUTION, InstitutionKind.OPERATOR, "平台运营方", "Platform operator")
    record = store.get("institution", first.id)
    if record is None:
        create(store, Record("institution", first.id, document(first)), "institution")
    hashed = hash_password(password) if password else ""
    person = Person(FIRST_PERSON, "Administrator", FIRST_INSTITUTION, operator=True, password=hashed)
    there = store.get("person", person.id)
    if there is None:
        try:
            store.put(Record("person", person.id, document(person), FIRST_INSTITUTION), expect=0)
        except Conflict:  # another process was faster
            there = store.get("person", person.id)
    if there is not None:
        person = read(Person, there)
    grant = grant_token(
        store,
        new_id(),
        kind="person",
        owner=person.id,
        name="bootstrap",
        now_ms=now_ms,
        lives_ms=days * DAY_MS,
    )
    return person, grant
