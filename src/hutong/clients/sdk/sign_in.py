"""Calls about devices that sign in by a browser's consent, and about second factors."""

from hutong.clients.sdk.call import Call, document, nothing, path_of, post, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, Verb
from hutong.wire import accounts as a
from hutong.wire import sign_in as s


def begin_device(client: str) -> Call[s.DeviceBegun]:
    """Begin the sign-in of a device: its user opens the address and consents there."""
    return post(path_of("devices"), shape(s.DeviceBegun), s.NewDevice(client=client), keyed=False)


def poll_device(device_code: str) -> Call[a.Token]:
    """Return the device's session; raises Refused `authorization_pending` or `slow_down` until consent."""
    body = s.DevicePoll(device_code=device_code)
    return post(path_of("devices", "token"), shape(a.Token), body, keyed=False)


def get_device(user_code: str) -> Call[s.DeviceWaiting]:
    """Return what waits under a code."""
    return Call("GET", path_of("devices", user_code), shape(s.DeviceWaiting))


def approve_device(user_code: str) -> Call[None]:
    """Consent: the device signs in as the caller."""
    return post(path_of("devices", user_code, "approve"), nothing, keyed=False)


def deny_device(user_code: str) -> Call[None]:
    """Refuse a device."""
    return post(path_of("devices", user_code, "deny"), nothing, keyed=False)


def second_factor() -> Call[s.SecondFactor]:
    """Say whether the caller has an authenticator, and must have one."""
    return Call("GET", path_of("me", "second-factor"), shape(s.SecondFactor))


def begin_second_factor() -> Call[s.SecondFactorBegun]:
    """Make a secret for an authenticator; it counts once it is confirmed."""
    return post(path_of("me", "second-factor"), shape(s.SecondFactorBegun), keyed=False)


def confirm_second_factor(code: str) -> Call[s.RecoveryCodes]:
    """Confirm the authenticator; the recovery codes are shown in this answer only."""
    path = path_of("me", "second-factor", "confirm")
    return post(path, shape(s.RecoveryCodes), s.SecondFactorCode(code=code), keyed=False)


def remove_second_factor(code: str) -> Call[None]:
    """Take one's own authenticator away."""
    path = path_of("me", "second-factor", "remove")
    return Call("POST", path, nothing, body=document(s.SecondFactorCode(code=code)))


def reset_second_factor(person: str) -> Call[None]:
    """Take somebody's authenticator away, who lost it (operators)."""
    return Call("DELETE", path_of("people", person, "second-factor"), nothing)


class DeviceVerbs:
    """Devices that sign in by a browser's consent."""

    begin = Verb(begin_device)
    poll = Verb(poll_device)
    get = Verb(get_device)
    approve = Verb(approve_device)
    deny = Verb(deny_device)


class SecondFactorVerbs:
    """The caller's authenticator; operators take away somebody's."""

    get = Verb(second_factor)
    begin = Verb(begin_second_factor)
    confirm = Verb(confirm_second_factor)
    remove = Verb(remove_second_factor)
    reset = Verb(reset_second_factor)


class Devices(DeviceVerbs, Group):
    """Devices that sign in by a browser's consent."""


class AsyncDevices(DeviceVerbs, AsyncGroup):
    """Devices that sign in by a browser's consent."""


class SecondFactors(SecondFactorVerbs, Group):
    """The caller's authenticator; operators take away somebody's."""


class AsyncSecondFactors(SecondFactorVerbs, AsyncGroup):
    """The caller's authenticator; operators take away somebody's."""
