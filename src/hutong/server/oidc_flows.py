"""Sign-in through identity providers: the round trip of a browser, and whom it brings.

Nothing of a round trip is stored. What must come back unchanged is sealed with the vault's key and kept
by the browser: any process can finish what another began, and no stranger can fill the store.
"""

import hmac
import json
import re
import secrets
from dataclasses import dataclass

from hutong.adapters.identity import oidc
from hutong.core.accounts.identities import Identity, Issuer
from hutong.core.accounts.registry import Person
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Broken, Conflict, Denied, Problem, Refused
from hutong.server import scim
from hutong.server.registry import create, document, read
from hutong.server.services import Services
from hutong.server.sign_in import digest_of_pair

FLOW_LIVES_MS = 600_000
IDENTITIES_OF_A_PERSON = 50
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the provider's redirect brought to the browser that keeps `flow`."""

    flow: str
    state: str
    code: str
    iss: str


def redirect_of(here: Services, issuer: str) -> str:
    """Return where a provider sends browsers back to. Each has its own, so answers cannot be mixed up."""
    return f"{here.settings.portal_address}/sign-in/with/{issuer}/back"


def load_issuer(here: Services, issuer: str) -> Issuer:
    """Return a provider's settings; raises Refused."""
    record = here.store.get("issuer", issuer)
    if record is None:
        problem = Problem("{issuer}", f"there is no issuer {issuer!r}", "one of GET /v1/issuers")
        raise Refused("unknown_issuer", f"there is no issuer {issuer!r}", (problem,))
    return read(Issuer, record)


def client_of(here: Services, issuer: Issuer) -> oidc.Client:
    """Return who we are at a provider."""
    secret = here.vault.unseal(issuer.sealed, f"issuer/{issuer.id}") if issuer.sealed else ""
    return oidc.Client(issuer.url, issuer.client_id, secret)


def begin(here: Services, issuer: Issuer, back: str, person: str = "") -> tuple[str, str]:
    """Return where to send the browser, and the flow that it keeps; `person`: to be joined to that person."""
    now_ms = here.clock()
    metadata = here.providers.metadata(issuer.url, now_ms)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    address = oidc.authorization_url(
        metadata,
        client_of(here, issuer),
        redirect=redirect_of(here, issuer.id),
        state=state,
        nonce=nonce,
        verifier=verifier,
    )
    kept = {
        "state": state,
        "nonce": nonce,
        "verifier": verifier,
        "back": back,
        "person": person,
        "until_ms": str(now_ms + FLOW_LIVES_MS),
    }
    return address, here.vault.seal(json.dumps(kept), f"flow/{issuer.id}")


def arrive(here: Services, issuer: Issuer, arrival: Arrival, person: str = "") -> tuple[oidc.SignedIn, str]:
    """Return whom the provider vouches for, and where they wanted to be.

    Raises Denied if the answer is not to this browser's question, comes late, or is not the provider's.
    """
    now_ms = here.clock()
    kept = _unseal(here, issuer, arrival.flow)
    if now_ms >= int(kept["until_ms"]):
        raise oidc.refused("it took longer than ten minutes; begin again")
    if not hmac.compare_digest(kept["state"].encode(), arrival.state.encode()):
        raise oidc.refused("the answer belongs to another sign-in (state)")
    if kept["person"] != person:
        raise oidc.refused("it was begun for another purpose; begin again")
    metadata = here.providers.metadata(issuer.url, now_ms)
    if arrival.iss != issuer.url and (arrival.iss or metadata.says_issuer):
        raise oidc.refused("the answer comes from another issuer (iss)")
    found = oidc.redeem(
        here.providers,
        client_of(here, issuer),
        code=arrival.code,
        verifier=kept["verifier"],
        redirect=redirect_of(here, issuer.id),
        nonce=kept["nonce"],
        now_ms=now_ms,
    )
    return found, kept["back"]


def _unseal(here: Services, issuer: Issuer, flow: str) -> dict[str, str]:
    try:
        kept: dict[str, str] = json.loads(here.vault.unseal(flow, f"flow/{issuer.id}"))
    except Broken:  # here it is a visitor's text, and no fault of ours
        raise oidc.refused("this browser did not begin it here; begin again") from None
    return kept


def person_of(here: Services, issuer: Issuer, found: oidc.SignedIn) -> Person:
    """Return the person of an identity, made where the issuer's settings say so. Raises Denied otherwise."""
    key = digest_of_pair(issuer.url, found.subject)
    record = here.store.get("identity", key)
    if record is None and issuer.scim:
        known = scim.external(here, issuer.institution, found.subject)
        if known:
            join(here, issuer, found, known)
            record = here.store.get("identity", key)
    if record is None:
        if not issuer.creates:
            raise Denied(
                "unknown_identity",
                f"{issuer.name_en} knows you, but no account here is joined to you: sign in as before and "
                "join it under Account, or ask the administrator of your institution",
            )
        record = _claim(here, issuer, found, key)
    identity = read(Identity, record)
    there = here.store.get("person", identity.person)
    if there is None:  # the identity was written, then we were killed before the person was
        person = Person(identity.person, identity.label, issuer.institution)
        there = create(
            here.store, Record("person", person.id, document(person), person.institution), "person"
        )
    return read(Person, there)


def _claim(here: Services, issuer: Issuer, found: oidc.SignedIn, key: str) -> Record:
    """Write down that an unknown identity is a new person, whose id nobody has."""
    label = label_of(issuer, found)
    for _ in range(_TRIES):
        person = _new_name(issuer, found)
        if here.store.get("person", person) is not None:
            continue
        identity = Identity(issuer.url, found.subject, person, label, here.clock())
        try:
            return here.store.put(Record("identity", key, document(identity), person), expect=0)
        except Conflict:  # the same person, in another window, was faster
            there = here.store.get("identity", key)
            if there is not None:
                return there
    raise Conflict("busy", "no free name was found; try again")


def _new_name(issuer: Issuer, found: oidc.SignedIn) -> str:
    # A random end keeps people of different institutions apart, and a provider from choosing somebody's name.
    wish = str(found.claims.get("preferred_username") or issuer.institution).partition("@")[0].lower()
    stem = re.sub(r"[^a-z0-9]+", "-", wish)[:40].strip("-") or issuer.institution[:40]
    return f"{stem}-{''.join(secrets.choice(_ALPHABET) for _ in range(6))}"


def label_of(issuer: Issuer, found: oidc.SignedIn) -> str:
    """Return how the provider calls somebody: the claim that its settings name, else what else there is."""
    for claim in (issuer.name_claim, "name", "preferred_username"):
        value = found.claims.get(claim)
        if isinstance(value, str) and value.strip():
            return value.strip()[:200]
    return found.subject[:200]


def join(here: Services, issuer: Issuer, found: oidc.SignedIn, person: str) -> tuple[str, Identity]:
    """Join an identity to a person; again changes nothing. Raises Conflict if it is somebody else's."""
    key = digest_of_pair(issuer.url, found.subject)
    there = here.store.get("identity", key)
    if there is None:
        if len(here.store.records("identity", person, "", IDENTITIES_OF_A_PERSON)) >= IDENTITIES_OF_A_PERSON:
            raise Conflict("too_many", f"a person has at most {IDENTITIES_OF_A_PERSON} identities")
        identity = Identity(issuer.url, found.subject, person, label_of(issuer, found), here.clock())
        try:
            there = here.store.put(Record("identity", key, document(identity), person), expect=0)
        except Conflict:
            there = here.store.get("identity", key)
    if there is None or read(Identity, there).person != person:
        raise Conflict("identity_taken", "this identity signs in as another person already")
    return key, read(Identity, there)
