"""Sign-in of devices by a browser's consent, and second factors."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Path, Request, Response

from hutong.core.accounts.registry import Person
from hutong.core.accounts.roles import Principal
from hutong.core.kernel.errors import Conflict, NotFound, Problem, Refused
from hutong.server import devices, lockouts
from hutong.server import second_factors as factors
from hutong.server.api.access import Allowed, Here, Public, Signed, token_of, whole
from hutong.server.api.accounts import PersonName
from hutong.server.api.shapes.accounts import token_shape
from hutong.server.registry import read
from hutong.server.services import Services
from hutong.server.sign_in import NARROWED, widen
from hutong.wire import accounts as a
from hutong.wire import sign_in as w
from hutong.wire.base import rfc3339

router = APIRouter(prefix="/v1", tags=["sign-in"])
_log = structlog.get_logger(__name__)

Myself = Annotated[Principal, Depends(Signed(reason="it concerns the caller alone"))]
UserCode = Annotated[str, Path(alias="code", pattern="^[A-Za-z -]{8,12}$")]
_BEFORE = Public(reason="one has no token before")


@router.post("/devices", status_code=201, dependencies=[Depends(_BEFORE)])
def create_device(here: Here, body: w.NewDevice) -> w.DeviceBegun:
    """Begin the sign-in of a device: its user opens the address, signs in, compares the code, consents."""
    device, secret, user_code = devices.begin(here, body.client)
    shown = f"{user_code[:4]}-{user_code[4:]}"
    place = f"{here.settings.portal_address}/device"
    return w.DeviceBegun(
        device_code=secret,
        user_code=shown,
        verification_uri=place,
        verification_uri_complete=f"{place}?code={shown}",
        expires_in=devices.LIVES_MS // 1000,
        interval=device.interval_s,
    )


@router.post("/devices/token", status_code=201, dependencies=[Depends(_BEFORE)])
def take_device_token(here: Here, body: w.DevicePoll) -> a.Token:
    """Return the device's session once there is consent.

    Until then 400 with `authorization_pending` or `slow_down` (ask five seconds less often), and in the end
    `access_denied` or `expired_token`: RFC 8628's words, in our form of problems.
    """
    grant = devices.poll(here, body.device_code)
    return token_shape(grant.token, grant.secret)


@router.get("/devices/{code}")
def get_device(here: Here, me: Myself, code: UserCode) -> w.DeviceWaiting:
    """Return what waits under a code, for its user to look at before they consent."""
    whole(me)
    device, record = devices.find(here, code)
    shown = f"{record.lookup[:4]}-{record.lookup[4:]}"
    return w.DeviceWaiting(user_code=shown, client=device.client, expires=rfc3339(device.expires_ms))


@router.post("/devices/{code}/approve", status_code=204)
def approve_device(here: Here, request: Request, me: Myself, code: UserCode) -> Response:
    """Consent: the device signs in as the caller."""
    whole(me)
    devices.decide(here, code, me.id, token_of(here, request), consent=True)
    _log.info("device approved", person=me.id)
    return Response(status_code=204)


@router.post("/devices/{code}/deny", status_code=204)
def deny_device(here: Here, request: Request, me: Myself, code: UserCode) -> Response:
    """Refuse: the device is told so, and its code is worth nothing any more."""
    whole(me)
    devices.decide(here, code, me.id, token_of(here, request), consent=False)
    return Response(status_code=204)


@router.get("/me/second-factor")
def get_second_factor(here: Here, me: Myself) -> w.SecondFactor:
    """Say whether the caller has an authenticator, and whether the operator's policy wants one."""
    found = factors.enrolled(here, me.id)
    left = len(found.recovery) if found else 0
    required = factors.required_of(here, _person(here, me))
    return w.SecondFactor(enrolled=found is not None, required=required, recovery_codes_left=left)


@router.post("/me/second-factor", status_code=201)
def create_second_factor(here: Here, me: Myself) -> w.SecondFactorBegun:
    """Make a secret for an authenticator; it counts once it is confirmed."""
    _whole_or_narrowed(me)
    if not _person(here, me).password:
        raise Conflict("no_password", "you sign in through your institution, which asks for a second factor")
    secret, address = factors.begin(here, me.id)
    return w.SecondFactorBegun(secret=secret, address=address)


@router.post("/me/second-factor/confirm")
def confirm_second_factor(
    here: Here, request: Request, me: Myself, body: w.SecondFactorCode
) -> w.RecoveryCodes:
    """Confirm the authenticator by a code of it: from now on sign-in asks for one."""
    _whole_or_narrowed(me)
    codes = factors.confirm(here, me.id, body.code)
    widen(here.store, token_of(here, request))
    here.principals.forget()
    _log.info("second factor set up", person=me.id)
    return w.RecoveryCodes(codes=codes)


@router.post("/me/second-factor/remove", status_code=204)
def remove_second_factor(here: Here, me: Myself, body: w.SecondFactorCode) -> Response:
    """Take one's authenticator away, by a code of it or a recovery code; not where policy wants one."""
    whole(me)
    if factors.required_of(here, _person(here, me)):
        raise Conflict("required", "the operator wants you to have one: ask for a reset to set up another")
    lockouts.check(here, me.id)
    if not factors.spend(here, me.id, body.code):
        lockouts.failed(here, me.id, known=True)
        problem = Problem("/code", "it is not right now, or was used", "the next code of the authenticator")
        raise Refused("wrong_code", "this code is not right", (problem,))
    factors.remove(here, me.id)
    _log.info("second factor removed", person=me.id)
    return Response(status_code=204)


@router.delete("/people/{person}/second-factor", status_code=204)
def reset_second_factor(
    here: Here, person: PersonName, me: Annotated[Principal, Depends(Allowed("person.write"))]
) -> Response:
    """Take somebody's authenticator away, who lost it and their recovery codes; this is noted."""
    if not factors.remove(here, person):
        raise NotFound("not_found", f"{person!r} has no authenticator")
    _log.warning("second factor reset", person=person, by=me.id)
    return Response(status_code=204)


def _whole_or_narrowed(me: Principal) -> None:
    """Let in whole sessions and those that exist only to set this up; raise Denied for narrowed tokens."""
    if me.scopes != NARROWED:
        whole(me)


def _person(here: Services, me: Principal) -> Person:
    record = here.store.get("person", me.id)
    if record is None:
        raise NotFound("not_found", f"there is no person {me.id!r} any more")
    return read(Person, record)
