"""How an agent and the relay of an attempt know each other: both prove the attempt's token, neither sends it.

The relay opens with a nonce. The caller answers with a nonce of its own, what it wants, and a MAC over all of
it; the relay with a MAC over that and its answer. What follows is the stream itself, which is not encrypted.
Standard library only: the relay runs on nodes without any installed package.
"""

import hashlib
import hmac
import struct

NONCE_BYTES = 32
_MAC_BYTES = 32
_ASK = struct.Struct(">32sIH32s")
_ANSWER = struct.Struct(">32sH")
ASK_BYTES = _ASK.size
ANSWER_BYTES = _ANSWER.size


def ask(token: bytes, theirs: bytes, ours: bytes, rank: int, port: int) -> bytes:
    """Return what a caller sends after the relay's nonce `theirs`."""
    return _ASK.pack(ours, rank, port, _mac(token, b"ask", theirs, ours, struct.pack(">IH", rank, port)))


def read_ask(token: bytes, nonce: bytes, message: bytes) -> tuple[bytes, int, int] | None:
    """Return the caller's nonce, rank and port; None if the caller does not know the token."""
    theirs, rank, port, mac = _ASK.unpack(message)
    right = _mac(token, b"ask", nonce, theirs, struct.pack(">IH", rank, port))
    return (theirs, rank, port) if hmac.compare_digest(mac, right) else None


def answer(token: bytes, asked: bytes, error: str) -> bytes:
    """Return the relay's answer to a call: an empty error says that the stream begins."""
    text = error.encode()[:1000]
    return _ANSWER.pack(_mac(token, b"answer", asked, text), len(text)) + text


def answer_length(head: bytes) -> int:
    """Return how many bytes of text follow the head of an answer."""
    length: int = _ANSWER.unpack(head)[1]
    return length


def read_answer(token: bytes, asked: bytes, head: bytes, text: bytes) -> str:
    """Return the error of an answer, empty for none; raises ValueError if it is not from the relay."""
    if not hmac.compare_digest(_ANSWER.unpack(head)[0], _mac(token, b"answer", asked, text)):
        raise ValueError("who answers is not the relay of this attempt")
    return text.decode(errors="replace")


def _mac(token: bytes, *parts: bytes) -> bytes:
    return hmac.new(token, b"|".join((b"%d" % len(parts), *parts)), hashlib.sha256).digest()[:_MAC_BYTES]
