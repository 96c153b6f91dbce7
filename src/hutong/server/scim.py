"""Accounts that an institution's directory provisions (SCIM 2.0): made, changed, found, ended."""

import re
import secrets
from dataclasses import replace

from hutong.core.accounts.registry import Person
from hutong.core.accounts.scim_users import Described, ScimUser, bad
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict, NotFound
from hutong.server import suspensions
from hutong.server.registry import document, every, read
from hutong.server.services import Services
from hutong.server.sign_in import digest_of_pair, end_tokens

KIND = "scim_user"
EXTERNAL = "scim_external"
USERS_AT_MOST = 20_000
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_TOKENS = frozenset({"person", "session", "key"})
_FILTER = re.compile(r'^\s*(\w+)\s+eq\s+"((?:[^"\\]|\\.)*)"\s*$', re.IGNORECASE)


def find(here: Services, institution: str, id_: str) -> ScimUser:
    """Return a user of the institution; raises NotFound."""
    record = here.store.get(KIND, id_)
    if record is None or record.parent != institution:
        raise NotFound("not_found", f"there is no user {id_[:80]!r}")
    return read(ScimUser, record)


def search(here: Services, institution: str, sought: str) -> list[ScimUser]:
    """Return the users that a filter finds: `userName`, `externalId` or `id` `eq` a text. Raises Refused."""
    parts = _FILTER.match(sought)
    if parts is None:
        raise bad("invalidFilter", "?filter", 'filters are userName, externalId or id, eq, and a "text"')
    name, text = parts[1].lower(), re.sub(r"\\(.)", r"\1", parts[2])
    match name:
        case "username":
            record = here.store.find(KIND, _lookup(institution, text))
        case "externalid":
            person = external(here, institution, text)
            record = here.store.get(KIND, person) if person else None
        case "id":
            record = here.store.get(KIND, text)
        case _:
            raise bad("invalidFilter", "?filter", f"there is no filter by {parts[1]!r}")
    found = None if record is None or record.parent != institution else read(ScimUser, record)
    if found is None or (name == "externalid" and found.external_id != text):
        return []
    return [found]


def users(here: Services, institution: str) -> list[ScimUser]:
    """Return every user of an institution, at most `USERS_AT_MOST`."""
    return [read(ScimUser, row) for row in every(here.store, KIND, institution, USERS_AT_MOST)]


def external(here: Services, institution: str, external_id: str) -> str:
    """Return the person whom a directory knows by an id of its own, ended ones too; empty if nobody."""
    record = here.store.get(EXTERNAL, digest_of_pair(institution, external_id)) if external_id else None
    return "" if record is None else str(record.doc["person"])


def create(here: Services, institution: str, said: Described) -> ScimUser:
    """Make a user and their person; somebody ended, whom the directory gives the same external id, is back.

    Raises Conflict (`uniqueness`) if the user name is taken. Killed on the way, a repeat finishes it.
    """
    if here.store.find(KIND, _lookup(institution, said.user_name)) is not None:
        raise Conflict("uniqueness", f"the user name {said.user_name!r} is taken")
    known = external(here, institution, said.external_id)
    if known and here.store.get(KIND, known) is not None:
        raise Conflict("uniqueness", f"the external id {said.external_id!r} is taken")
    person = known or _new_name(here, said.user_name)
    _remember_external(here, institution, said.external_id, person)
    _put_person(here, Person(person, said.name, institution))
    now_ms = here.clock()
    made = ScimUser(
        person, institution, said.user_name, said.external_id, said.display_name, said.active, now_ms, now_ms
    )
    _write(here, made, 0)
    return made


def change(here: Services, before: ScimUser, said: Described) -> ScimUser:
    """Make a user what the directory says. One that is no longer active is out at once."""
    record = here.store.get(KIND, before.person)
    if record is None:
        raise NotFound("not_found", f"there is no user {before.person!r} any more")
    if said.external_id != before.external_id:
        known = external(here, before.institution, said.external_id)
        if known and known != before.person:
            raise Conflict("uniqueness", f"the external id {said.external_id!r} is taken")
        _remember_external(here, before.institution, said.external_id, before.person)
    after = replace(
        before,
        user_name=said.user_name,
        external_id=said.external_id,
        display_name=said.display_name,
        active=said.active,
        changed_ms=here.clock(),
    )
    _write(here, after, record.version)
    _put_person(here, Person(after.person, said.name, after.institution))
    return after


def end(here: Services, user: ScimUser) -> None:
    """End a user: they are out at once. Their person stays, for bills name it; so does their external id."""
    _keep_out(here, user)
    here.store.remove(KIND, user.person)


def _write(here: Services, user: ScimUser, version: int) -> None:
    """Write a user. Out before it is written, in after: killed between the two, nobody is in by mistake."""
    if not user.active:
        _keep_out(here, user)
    _put_user(here, user, version)
    if user.active:
        suspensions.lift(here.store, user.person)


def _keep_out(here: Services, user: ScimUser) -> None:
    suspensions.suspend(here.store, user.person, f"scim:{user.institution}", here.clock())
    end_tokens(here.store, user.person, _TOKENS)
    here.principals.forget()


def _put_user(here: Services, user: ScimUser, version: int) -> None:
    lookup = _lookup(user.institution, user.user_name)
    try:
        here.store.put(Record(KIND, user.person, document(user), user.institution, lookup), expect=version)
    except Conflict as error:
        raise Conflict("uniqueness", "this user name is taken, or the user was changed meanwhile") from error


def _put_person(here: Services, person: Person) -> None:
    """Write a person's name, and make them if they are new; nothing else of a person is the directory's."""
    record = here.store.get("person", person.id)
    if record is None:
        here.store.put(Record("person", person.id, document(person), person.institution), expect=0)
        return
    there = read(Person, record)
    if there.name != person.name:
        changed = replace(there, name=person.name)
        here.store.put(replace(record, doc=document(changed)), expect=record.version)


def _remember_external(here: Services, institution: str, external_id: str, person: str) -> None:
    if external_id:
        key = digest_of_pair(institution, external_id)
        here.store.put(Record(EXTERNAL, key, {"person": person}, institution))


def _lookup(institution: str, user_name: str) -> str:
    return digest_of_pair(institution, user_name.casefold())


def _new_name(here: Services, user_name: str) -> str:
    stem = re.sub(r"[^a-z0-9]+", "-", user_name.partition("@")[0].lower())[:40].strip("-") or "person"
    for _ in range(20):
        name = f"{stem}-{''.join(secrets.choice(_ALPHABET) for _ in range(6))}"
        if here.store.get("person", name) is None:
            return name
    raise Conflict("busy", "no free name was found; try again")
