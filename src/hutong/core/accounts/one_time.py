"""One-time codes of time (RFC 6238: SHA-1, six digits, 30 s), and each of them good once."""

import hmac
from dataclasses import dataclass

STEP_MS = 30_000
DIGITS = 6
STEPS_OFF = 1  # a clock may be half a minute wrong, either way
RECOVERY_CODES = 10


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """A person's authenticator as stored: its secret sealed, its recovery codes as digests.

    `last_step` is the step of the newest code that was taken; no code of that step or before counts again.
    """

    person: str
    sealed: str
    confirmed_ms: int = 0
    last_step: int = 0
    recovery: tuple[str, ...] = ()


def code_at(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """Return the code of a step, which is the time in 30 s since 1970 (RFC 4226, 5.3).

    >>> code_at(b"12345678901234567890", 1, 8)
    '94287082'
    """
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**digits).zfill(digits)


def step_of(secret: bytes, code: str, now_ms: int, last_step: int) -> int | None:
    """Return the step whose code this is, if it is now and later than `last_step`; None otherwise."""
    now = now_ms // STEP_MS
    found = None
    for step in range(now - STEPS_OFF, now + STEPS_OFF + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()) and step > last_step:
            found = step
    return found
