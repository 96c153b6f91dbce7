"""Ed25519: a key that only its owner can read, signatures over digests, and the name of a public key.

The library, 7 MB of an agent that signs once an hour, is loaded by the first signature.
"""

import os
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hutong.core.kernel.errors import Refused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KEY_BYTES = 32


class SigningKey:
    """A private key: 32 bytes by chance (RFC 8032, 5.1.5)."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the key file, or make it (mode 0600). Raises Refused if others may read it."""
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = path.with_name(f"{path.name}.{os.getpid()}")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(os.urandom(_KEY_BYTES).hex())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        if path.stat().st_mode & 0o077:
            raise Refused("bad_key_file", f"{path} can be read by others: chmod 600, and make a new key")
        try:
            raw = bytes.fromhex(path.read_text(encoding="ascii").strip())
        except ValueError:
            raw = b""
        if len(raw) != _KEY_BYTES:
            raise Refused("bad_key_file", f"{path} holds no Ed25519 key in hex")
        return cls(raw)

    @cached_property
    def _key(self) -> "Ed25519PrivateKey":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self._raw)

    @cached_property
    def public(self) -> str:
        """The public key, in hex."""
        return self._key.public_key().public_bytes_raw().hex()

    @property
    def id(self) -> str:
        """The name of the public key."""
        return key_id(self.public)

    def sign(self, digest: str) -> str:
        """Return the signature, in hex, of the bytes of a digest in hex."""
        return self._key.sign(bytes.fromhex(digest)).hex()


def key_id(public: str) -> str:
    """Return the short name of a public key (hex): the first 16 hex digits of its SHA-256."""
    return sha256(bytes.fromhex(public)).hexdigest()[:16]


def is_signed(public: str, digest: str, signature: str) -> bool:
    """True if a signature over a digest answers to a public key; all in hex."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), bytes.fromhex(digest))
    except (InvalidSignature, ValueError):
        return False
    return True
