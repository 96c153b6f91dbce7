"""Authenticators of people: set up, asked for at sign-in, recovered from, taken away."""

import base64
import hmac
import secrets
from dataclasses import replace
from urllib.parse import quote

from hutong.core.accounts.one_time import RECOVERY_CODES, SecondFactor, step_of
from hutong.core.accounts.registry import Person
from hutong.core.accounts.roles import Role
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, Denied, Problem, Refused
from hutong.server.audited import untold
from hutong.server.people import projects_of
from hutong.server.registry import document, read
from hutong.server.services import Services

KIND = "second_factor"
_SECRET_BYTES = 20  # as long as SHA-1's own state (RFC 4226, 4)
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def required_of(here: Services, person: Person) -> bool:
    """True if the operator's policy (`second_factor`) wants somebody of this person's roles to have one."""
    match here.settings.second_factor:
        case "optional":
            return False
        case "operators":
            return person.operator
        case "owners":
            roles = (dict(project.members)[person.id] for project in projects_of(here.store, person.id))
            return person.operator or Role.OWNER in roles
    return True


def load(here: Services, person: str) -> tuple[SecondFactor, Record] | None:
    """Return a person's authenticator, confirmed or not, with its record."""
    record = here.store.get(KIND, person)
    return None if record is None else (read(SecondFactor, record), record)


def enrolled(here: Services, person: str) -> SecondFactor | None:
    """Return a person's authenticator if it is confirmed: only then it is asked for."""
    found = load(here, person)
    return found[0] if found is not None and found[0].confirmed_ms else None


def begin(here: Services, person: str) -> tuple[str, str]:
    """Return a fresh secret (base32) and its `otpauth:` address. Raises Conflict if one is confirmed."""
    found = load(here, person)
    if found is not None and found[0].confirmed_ms:
        raise Conflict("exists", "you have an authenticator; remove it first")
    secret = base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    factor = SecondFactor(person, here.vault.seal(secret, f"{KIND}/{person}"))
    _put(here.store, factor, found[1].version if found else 0)
    label = quote(f"Hutong:{person}", safe="")
    return secret, f"otpauth://totp/{label}?secret={secret}&issuer=Hutong&algorithm=SHA1&digits=6&period=30"


def confirm(here: Services, person: str, code: str) -> tuple[str, ...]:
    """Confirm an authenticator by a code of it; return fresh recovery codes, which are shown this once."""
    found = load(here, person)
    if found is None or found[0].confirmed_ms:
        raise Conflict("not_begun", "begin first: there is no authenticator that waits to be confirmed")
    step = step_of(_secret(here, found[0]), _plain(code), here.clock(), 0)
    if step is None:
        problem = Problem(
            "/code", "this is not its code now", "six digits; is the clock of the device right?"
        )
        raise Refused("wrong_code", "this is not the code of the new authenticator", (problem,))
    codes = tuple(_new_recovery_code() for _ in range(RECOVERY_CODES))
    digests = tuple(_digest(here, person, each) for each in codes)
    factor = replace(found[0], confirmed_ms=here.clock(), last_step=step, recovery=digests)
    _put(here.store, factor, found[1].version)
    return codes


def spend(here: Services, person: str, code: str) -> bool:
    """True if the code is the authenticator's now or a recovery code, and nobody used it before."""
    found = load(here, person)
    if found is None or not found[0].confirmed_ms:
        return False
    factor, plain = found[0], _plain(code)
    step = step_of(_secret(here, factor), plain, here.clock(), factor.last_step)
    if step is not None:
        changed, store = replace(factor, last_step=step), untold(here.store)  # the sign-in is told itself
    else:
        digest = _digest(here, person, plain)
        left = tuple(each for each in factor.recovery if not hmac.compare_digest(each, digest))
        if len(left) == len(factor.recovery):
            return False
        changed, store = replace(factor, recovery=left), here.store
    try:
        _put(store, changed, found[1].version)
    except Denied:  # somebody used a code at this very moment: it may have been this one
        return False
    return True


def remove(here: Services, person: str) -> bool:
    """Take a person's authenticator away; False if there was none."""
    return here.store.remove(KIND, person)


def _put(store: Store, factor: SecondFactor, version: int) -> None:
    try:
        store.put(Record(KIND, factor.person, document(factor), factor.person), expect=version)
    except Conflict as error:
        raise Denied("changed", "the authenticator was changed by another window; begin again") from error


def _secret(here: Services, factor: SecondFactor) -> bytes:
    return base64.b32decode(here.vault.unseal(factor.sealed, f"{KIND}/{factor.person}"))


def _plain(code: str) -> str:
    return code.replace(" ", "").replace("-", "").lower()


def _new_recovery_code() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))


def _digest(here: Services, person: str, code: str) -> str:
    # Keyed: fifty bits could be tried one by one by whoever stole the store alone.
    return hmac.digest(here.vault.derive(f"recovery/{person}"), code.encode(), "sha256").hex()
