"""Passwords: argon2id hashes, one cost for known and unknown people, and a pause after many failures."""

import base64
import secrets
import threading
from collections import OrderedDict

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION
from argon2.profiles import RFC_9106_LOW_MEMORY

from hutong.core.kernel.errors import Later

FAILURES = 10
PAUSE_MS = 300_000

_HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def _unfitting() -> str:
    """Return a hash that no password is known to fit, without the cost of making one."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).rstrip(b"=").decode()
        for length in (_HASHER.salt_len, _HASHER.hash_len)
    )
    costs = f"m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${salt}${digest}"


_NOBODY = _unfitting()  # it makes an unknown person cost what a known one costs


def make_password() -> str:
    """Return a fresh password that is easy to type: 20 letters and digits, about 99 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


def hash_password(password: str) -> str:
    """Return the argon2id hash (RFC 9106, low-memory profile) to be stored."""
    return _HASHER.hash(password)


def verify_password(hashed: str, password: str) -> bool:
    """True if the password fits; takes as long for an empty hash, which nothing fits."""
    try:
        return _HASHER.verify(hashed or _NOBODY, password) and bool(hashed)
    except (VerificationError, InvalidHashError):
        return False


class Lockout:
    """Refuses further tries for a name after `failures` wrong ones in a row, for `pause_ms`.

    Kept in this process's memory and bounded to `names`; the oldest is forgotten when the table is full.
    (`server/lockouts.py` counts in the store for people that there are.)
    """

    def __init__(self, failures: int = FAILURES, pause_ms: int = PAUSE_MS, names: int = 10_000) -> None:
        self._failures = failures
        self._pause_ms = pause_ms
        self._names = names
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def check(self, name: str, now_ms: int) -> None:
        """Raise Later if the name is paused."""
        with self._lock:
            count, last_ms = self._wrong.get(name, (0, 0))
            left_ms = last_ms + self._pause_ms - now_ms
            if left_ms <= 0:
                self._wrong.pop(name, None)
            elif count >= self._failures:
                raise Later("too many wrong passwords; wait before the next try", -(-left_ms // 1000))

    def failed(self, name: str, now_ms: int) -> None:
        """Note a wrong password."""
        with self._lock:
            count, _ = self._wrong.pop(name, (0, 0))
            self._wrong[name] = (count + 1, now_ms)
            while len(self._wrong) > self._names:
                self._wrong.popitem(last=False)

    def passed(self, name: str) -> None:
        """Forget the name's failures."""
        with self._lock:
            self._wrong.pop(name, None)
