"""Bearer tokens: `ht_<kind>_<ulid>_<random>`, stored by digest; and a short memory of who they are."""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256

from hutong.core.accounts.roles import Principal

KINDS = ("person", "session", "site", "key", "service", "scim")
_SECRET = re.compile(rf"^ht_({'|'.join(KINDS)})_([0-9A-HJKMNP-TV-Z]{{26}})_([A-Za-z0-9]{{43}})$")
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def make_secret(kind: str, token_id: str, entropy: bytes) -> str:
    """Return the secret of a token from 32 bytes of entropy; `token_id` is its ULID."""
    value = int.from_bytes(entropy, "big")
    digits = []
    for _ in range(43):  # 62^43 > 2^256
        value, digit = divmod(value, 62)
        digits.append(_BASE62[digit])
    return f"ht_{kind}_{token_id}_{''.join(digits)}"


def digest_secret(secret: str) -> str:
    """Return what is stored of a secret. Its 256 bits of entropy make a slow hash needless."""
    return sha256(secret.encode()).hexdigest()


def looks_like_secret(text: str) -> bool:
    """True if the text has the form of one of our tokens; anything else needs no look-up."""
    return _SECRET.match(text) is not None


class Principals:
    """Remembers for at most `keep_ms` whose a token digest is; bounded, oldest out first.

    A revoked token or a changed membership is seen at once in the process that changed it
    (`forget`), and within `keep_ms` in the others.
    """

    def __init__(
        self,
        resolve: Callable[[str, int], tuple[Principal, int] | None],
        keep_ms: int = 5_000,
        size: int = 10_000,
    ) -> None:
        self._resolve = resolve
        self._keep_ms = keep_ms
        self._size = size
        self._lock = threading.Lock()
        self._epoch = 0
        self._known: OrderedDict[str, tuple[int, int, Principal]] = OrderedDict()

    def recall(self, digest: str, now_ms: int) -> Principal | None:
        """Return the principal if it is remembered and its token has not expired; asks nobody."""
        with self._lock:
            entry = self._known.get(digest)
        if entry is None:
            return None
        until_ms, expires_ms, principal = entry
        return principal if now_ms < min(until_ms, expires_ms) else None

    def find(self, digest: str, now_ms: int) -> Principal | None:
        """Return the principal of a token, asking the store if it is not remembered."""
        known = self.recall(digest, now_ms)
        if known is not None:
            return known
        epoch = self._epoch
        found = self._resolve(digest, now_ms)
        if found is None or found[1] <= now_ms:
            return None
        with self._lock:
            if epoch == self._epoch:  # else something changed while we asked: do not remember the answer
                self._known[digest] = (now_ms + self._keep_ms, found[1], found[0])
                self._known.move_to_end(digest)
                while len(self._known) > self._size:
                    self._known.popitem(last=False)
        return found[0]

    def forget(self) -> None:
        """Forget everybody: a token, a person or a membership changed."""
        with self._lock:
            self._epoch += 1
            self._known.clear()
