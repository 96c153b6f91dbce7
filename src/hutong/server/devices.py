"""Sign-in of a device by a browser's consent (RFC 8628): the platform is its own authorization server."""

import hmac
import os
import secrets
from dataclasses import replace

from hutong.adapters.identity.tokens import digest_secret, make_secret
from hutong.core.accounts.identities import Device
from hutong.core.accounts.registry import Person
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict, Later, NotFound, Refused
from hutong.server.audited import untold
from hutong.server.people import Grant
from hutong.server.registry import document, read
from hutong.server.services import Services
from hutong.server.sign_in import origin_of, start_session

KIND = "device"
LIVES_MS = 600_000
INTERVAL_S = 5
SLOWER_BY_S = 5
WAITING_AT_MOST = 500
# Consonants: no words, nothing that looks like something else (RFC 8628, 6.1). 20^8 codes, ten minutes each.
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
_EARLY_MS = 500


def begin(here: Services, client: str) -> tuple[Device, str, str]:
    """Begin a sign-in; return it, the device's secret code, and the code that its user types."""
    now_ms = here.clock()
    _make_room(here, now_ms)
    id_ = here.new_id()
    secret = make_secret(KIND, id_, os.urandom(32))
    user_code = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    device = Device(id_, digest_secret(secret), client, now_ms + LIVES_MS, INTERVAL_S)
    untold(here.store).put(Record(KIND, id_, document(device), lookup=user_code), expect=0)
    return device, secret, user_code


def _make_room(here: Services, now_ms: int) -> None:
    """Remove what has expired. Anybody may begin, so what waits is bounded, and only consent is told."""
    rows = here.store.records(KIND, "", "", WAITING_AT_MOST)
    late = [row for row in rows if read(Device, row).expires_ms <= now_ms]
    for row in late:
        untold(here.store).remove(KIND, row.id)
    if len(rows) - len(late) >= WAITING_AT_MOST:
        raise Later("too many devices wait for consent", 60)


def find(here: Services, user_code: str) -> tuple[Device, Record]:
    """Return the sign-in that waits under a code that its user typed; raises NotFound."""
    plain = user_code.replace("-", "").replace(" ", "").upper()
    record = here.store.find(KIND, plain)
    device = None if record is None else read(Device, record)
    if record is None or device is None or device.expires_ms <= here.clock() or device.state != "pending":
        raise NotFound("not_found", "no device waits under this code: is it typed right, and not too old?")
    return device, record


def decide(here: Services, user_code: str, person: str, token: str, *, consent: bool) -> None:
    """Consent or refuse, as a person who is signed in with `token`."""
    device, record = find(here, user_code)
    state = "approved" if consent else "denied"
    decided = replace(device, state=state, person=person, by_token=token)
    here.store.put(replace(record, doc=document(decided)), expect=record.version)


def poll(here: Services, secret: str) -> Grant:
    """Return the session of a device once it has consent; raises Refused with RFC 8628's codes until then."""
    id_ = secret.removeprefix(f"ht_{KIND}_")[:26]
    record = here.store.get(KIND, id_)
    device = None if record is None else read(Device, record)
    now_ms = here.clock()
    if record is None or device is None or not hmac.compare_digest(device.digest, digest_secret(secret)):
        raise _not_yet("expired_token", "this device code is not known, or was used: begin again")
    if device.expires_ms <= now_ms:
        raise _not_yet("expired_token", "nobody consented within ten minutes: begin again")
    match device.state:
        case "denied":
            raise _not_yet("access_denied", "the request was refused in the browser")
        case "approved":
            return _take(here, device, record)
    early = device.polled_ms and now_ms < device.polled_ms + device.interval_s * 1000 - _EARLY_MS
    interval_s = device.interval_s + (SLOWER_BY_S if early else 0)
    asked = replace(device, polled_ms=now_ms, interval_s=interval_s)
    try:
        untold(here.store).put(replace(record, doc=document(asked)), expect=record.version)
    except Conflict:
        raise _not_yet("authorization_pending", "it was just decided, or asked twice: ask again") from None
    if early:
        raise _not_yet("slow_down", f"ask every {interval_s} s")
    raise _not_yet("authorization_pending", "nobody has consented yet")


def _take(here: Services, device: Device, record: Record) -> Grant:
    store, taken = untold(here.store), replace(device, state="taken")  # the session is told itself
    try:  # two that ask at once get one session
        store.put(replace(record, doc=document(taken)), expect=record.version)
    except Conflict:
        raise _not_yet("expired_token", "this device code was used: begin again") from None
    there = here.store.get("person", device.person)
    store.remove(KIND, device.id)
    if there is None:
        raise _not_yet("access_denied", "who consented is not known any more")
    origin = origin_of(here.store, device.by_token)
    return start_session(here, read(Person, there), name=device.client, origin=origin, strong=True)


def _not_yet(code: str, message: str) -> Refused:
    error = Refused(code, message)
    error.status = 400
    return error
