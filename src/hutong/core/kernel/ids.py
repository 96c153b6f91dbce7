"""Names of things: typed identifiers, ULIDs made by the caller, and the key an engine sees."""

import re
from typing import NewType

from hutong.core.kernel.errors import Broken

JobId = NewType("JobId", str)
SiteId = NewType("SiteId", str)
PoolId = NewType("PoolId", str)
ProjectId = NewType("ProjectId", str)
LotId = NewType("LotId", str)
AttemptKey = NewType("AttemptKey", str)

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in CROCKFORD for low in CROCKFORD)
_SHIFTS = range(120, -1, -10)
_KEY = re.compile(r"^ht-([0-9a-hjkmnp-tv-z]{26})-a([1-9][0-9]{0,5})\Z")
SLUG = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


def ulid(at_ms: int, entropy: bytes) -> str:
    """Return the 26-character ULID of a UTC millisecond and 10 bytes of entropy.

    Source: the ULID specification (github.com/ulid/spec), Crockford base 32, upper case.
    """
    if len(entropy) != 10 or not 0 <= at_ms < 1 << 48:
        raise Broken("a ULID needs 10 bytes of entropy and a time of 48 bits")
    value = (at_ms << 80) | int.from_bytes(entropy, "big")
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in _SHIFTS])


def attempt_key(job: JobId, attempt: int) -> AttemptKey:
    """Return the deterministic name under which an attempt is known outside, on every engine."""
    return AttemptKey(f"ht-{job.lower()}-a{attempt}")


def split_key(key: str) -> tuple[JobId, int] | None:
    """Return the job and the attempt number that a key names, or None if it is not ours."""
    match = _KEY.match(key)
    return (JobId(match[1].upper()), int(match[2])) if match else None
