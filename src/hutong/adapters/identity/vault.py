"""The vault: secrets at rest under AES-256-GCM, with a key file that only its owner can read."""

import base64
import binascii
import contextlib
import hmac
import os
import stat
from hashlib import sha256
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hutong.core.kernel.errors import Broken, Problem, Refused

_NONCE_BYTES = 12
_KEY_BYTES = 32


class Vault:
    """Seals and opens texts. A sealed text is `v1.<key id>.<base64 of nonce and ciphertext>`.

    The context (`<project>/<name>`) is authenticated: a sealed text moved to another place does not open.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._derive_key = hmac.digest(key, b"hutong derive v1", "sha256")
        self._key_id = sha256(b"hutong vault key" + key).hexdigest()[:16]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the key file, or make it (mode 0600, folder 0700). Raises Refused if others may read it."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_key(path)
        return cls(_read_key(path))

    def seal(self, text: str, context: str) -> str:
        """Return the sealed form of a text."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), context.encode())
        return f"v1.{self._key_id}.{base64.b64encode(sealed).decode()}"

    def unseal(self, sealed: str, context: str) -> str:
        """Return the text; raises Broken if the key or the context is another, or a bit changed."""
        version, _, rest = sealed.partition(".")
        key_id, _, body = rest.partition(".")
        if version != "v1" or key_id != self._key_id:
            raise Broken(f"the secret {context} was sealed with another key: {version}.{key_id}")
        try:
            raw = base64.b64decode(body, validate=True)
            opened = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode())
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise Broken(f"the secret {context} does not open: it was changed or moved") from error
        return opened.decode()

    def derive(self, context: str) -> bytes:
        """Return 32 bytes that only the holder of the key can make, the same for the same context."""
        return hmac.digest(self._derive_key, context.encode(), "sha256")


def _write_key(path: Path) -> None:
    # Written aside and linked whole: of two processes that start at once, one key wins, never half of one.
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(AESGCM.generate_key(256)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()


def _read_key(path: Path) -> bytes:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        problem = Problem("", f"{path} can be read by others", f"chmod 600 {path}")
        raise Refused("unsafe_key_file", f"the key file {path} is not private", (problem,))
    try:
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        problem = Problem(
            "", f"{path} is not a key", "restore it from your backup; a new key opens nothing old"
        )
        raise Refused("bad_key_file", f"the key file {path} is damaged", (problem,))
    return key
