"""Who signs in becomes a session: one way for passwords, identity providers and devices alike."""

from dataclasses import dataclass, replace
from hashlib import sha256

from hutong.core.accounts.identities import Origin
from hutong.core.accounts.registry import Person, Token
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Denied
from hutong.core.kernel.quantities import HOUR_MS
from hutong.server.audited import untold
from hutong.server.people import Grant, grant_token
from hutong.server.registry import document, read
from hutong.server.second_factors import required_of
from hutong.server.services import Services
from hutong.server.suspensions import suspended
from hutong.server.tokens import USE_KIND

# What a session may do that lacks the second factor its person must have.
NARROWED = frozenset({"account.enrol"})
SWEPT_AT_ONCE = 50
SESSIONS_OF_ONE = 1000


@dataclass(frozen=True, slots=True)
class From:
    """The identity a sign-in came through."""

    issuer: str
    subject: str
    sid: str = ""


def digest_of_pair(first: str, second: str) -> str:
    """Return the key of a pair, such as issuer and subject: no two pairs have the same."""
    return sha256(f"{len(first)}:{first}{second}".encode()).hexdigest()


def start_session(
    here: Services, person: Person, *, strong: bool, name: str = "session", origin: From | None = None
) -> Grant:
    """Begin a session of a person; one that came through a provider can be ended by it.

    `strong`: a second factor was asked for. Where policy wants one, a session without it is good for setting
    one up and nothing else; a provider that did not ask for one is refused, for none of ours would help.
    """
    if suspended(here.store, person.id):
        raise Denied("unauthenticated", "this account was ended: ask the administrator of your institution")
    narrow = not strong and required_of(here, person)
    if narrow and origin is not None:
        raise Denied(
            "unauthenticated", "your role needs a second factor, and your institution asked for none"
        )
    now_ms, token_id = here.clock(), here.new_id()
    sweep(here.store, person.id, now_ms)
    if origin is not None:  # before the token: one that exists can always be ended
        remember_origin(here.store, Origin(token_id, origin.issuer, origin.subject, origin.sid, now_ms))
    return grant_token(
        here.store,
        token_id,
        kind="session",
        owner=person.id,
        name=name,
        now_ms=now_ms,
        lives_ms=here.settings.session_hours * HOUR_MS,
        scopes=tuple(NARROWED) if narrow else (),
    )


def widen(store: Store, token: str) -> None:
    """Make a narrowed session whole: its person has set up the second factor just now."""
    record = store.get("token", token)
    found = None if record is None else read(Token, record)
    if record is not None and found is not None and frozenset(found.scopes) == NARROWED:
        store.put(replace(record, doc=document(replace(found, scopes=()))), expect=record.version)


def sweep(store: Store, person: str, now_ms: int) -> None:
    """Remove a person's expired tokens, the oldest first, so that they do not pile up; nobody's doing."""
    store = untold(store)
    for record in store.records("token", person, "", SWEPT_AT_ONCE):
        if read(Token, record).expires_ms <= now_ms:
            forget_token(store, record.id)


def forget_token(store: Store, token: str) -> None:
    """Remove a token, then what was noted of its origin."""
    store.remove("token", token)
    store.remove(USE_KIND, token)
    known = store.get("origin", token)
    if known is not None:
        origin = read(Origin, known)
        store.remove("origin_sid", _by_sid(origin))
        store.remove("origin", token)


def end_tokens(store: Store, person: str, kinds: frozenset[str]) -> int:
    """Remove a person's tokens of some kinds, all of them; return how many."""
    gone, after = 0, ""
    while page := store.records("token", person, after, 200):
        for record in page:
            if read(Token, record).kind in kinds:
                forget_token(store, record.id)
                gone += 1
        after = page[-1].id
    return gone


def remember_origin(store: Store, origin: Origin) -> None:
    """Note where a session came from: by subject, and by the provider's own session where it names one."""
    doc = document(origin)
    if origin.sid:
        by_sid = digest_of_pair(origin.issuer, origin.sid)
        store.put(Record("origin_sid", _by_sid(origin), {"token": origin.token}, by_sid))
    store.put(Record("origin", origin.token, doc, digest_of_pair(origin.issuer, origin.subject)))


def origin_of(store: Store, token: str) -> From | None:
    """Return the identity that a session came through; None for one of a password."""
    known = store.get("origin", token)
    if known is None:
        return None
    origin = read(Origin, known)
    return From(origin.issuer, origin.subject, origin.sid)


def end_sessions(store: Store, issuer: str, subject: str, sid: str, upto_ms: int) -> int:
    """End the sessions that a provider signed out, those that began by then; return how many.

    Later ones stay: a logout token that is sent again does no more than the first time.
    """
    if sid:
        rows = store.records("origin_sid", digest_of_pair(issuer, sid), "", SESSIONS_OF_ONE)
        tokens = [str(row.doc["token"]) for row in rows]
    else:
        rows = store.records("origin", digest_of_pair(issuer, subject), "", SESSIONS_OF_ONE)
        tokens = [row.id for row in rows]
    ended = 0
    for token in tokens:
        known = store.get("origin", token)
        origin = None if known is None else read(Origin, known)
        if origin is None or origin.began_ms > upto_ms or (subject and origin.subject != subject):
            continue
        forget_token(store, token)
        ended += 1
    return ended


def _by_sid(origin: Origin) -> str:
    return f"{digest_of_pair(origin.issuer, origin.sid)}/{origin.token}"
