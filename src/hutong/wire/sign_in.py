"""Devices that sign in by a browser's consent, and second factors: JSON shapes."""

from typing import Annotated

from pydantic import Field

from hutong.wire.accounts import Code, Name
from hutong.wire.base import Shape, Time


class NewDevice(Shape):
    """A device that wants to sign in; `client` is what it calls itself."""

    client: Name


class DeviceBegun(Shape):
    """A sign-in of a device that waits for consent (RFC 8628, 3.2)."""

    device_code: Annotated[str, Field(repr=False)]
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class DevicePoll(Shape):
    """A device asks whether it has consent."""

    device_code: Annotated[str, Field(min_length=1, max_length=200, repr=False)]


class DeviceWaiting(Shape):
    """What waits for consent under a code."""

    user_code: str
    client: str
    expires: Time


class SecondFactor(Shape):
    """Whether the caller has an authenticator, and must have one."""

    enrolled: bool
    required: bool
    recovery_codes_left: int


class SecondFactorBegun(Shape):
    """A secret for an authenticator, in base32 and as an address that it can read."""

    secret: Annotated[str, Field(repr=False)]
    address: Annotated[str, Field(repr=False)]


class SecondFactorCode(Shape):
    """A code of the authenticator, or a recovery code."""

    code: Annotated[Code, Field(repr=False)]


class RecoveryCodes(Shape):
    """Codes for when the authenticator is lost: each is good once, and they are shown this once."""

    codes: Annotated[tuple[str, ...], Field(repr=False)]
