"""The line between a supervisor and a follower: who is who, and frames that nobody else can send.

Standard library only: both ends run without any installed package. Both know the attempt's token and prove it
to each other without sending it; each frame is authenticated and numbered. Nothing is hidden from who can
listen on the site's network, as with what frameworks send between ranks.
"""

import contextlib
import hmac
import os
import socket
import struct
import time
from collections.abc import Iterator

REQUEST, TERM, KILL = b"r", b"t", b"k"
OUTPUT, EXIT = b"o", b"x"
_HEAD = struct.Struct("!cI")
_MAC = 32
_MOST_BYTES = 64 << 20
_SILENT_S = 120


class Lost(OSError):
    """The other end is gone, or is not who it says."""


class Line:
    """One end of an authenticated connection."""

    def __init__(self, sock: socket.socket, sends: bytes, receives: bytes) -> None:
        """`sends` and `receives` are the keys of the two directions."""
        self.sock = sock
        self._sends, self._receives = sends, receives
        self._sent = self._received = 0

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Send one frame whole; raises Lost if the other end is gone."""
        head = _HEAD.pack(kind, len(payload))
        mac = _sign(self._sends, struct.pack("!Q", self._sent), head, payload)
        self._sent += 1
        with _lost():
            self.sock.sendall(head + mac + payload)

    def receive(self) -> tuple[bytes, bytes]:
        """Wait for a frame and return its kind and payload; raises Lost where there will be none."""
        head = _read(self.sock, _HEAD.size)
        kind, size = _HEAD.unpack(head)
        if size > _MOST_BYTES:
            raise Lost(f"a frame of {size} bytes")
        mac = _read(self.sock, _MAC)
        payload = _read(self.sock, size)
        known = _sign(self._receives, struct.pack("!Q", self._received), head, payload)
        if not hmac.compare_digest(mac, known):
            raise Lost("a frame that the other end did not send")
        self._received += 1
        return kind, payload


def answer(sock: socket.socket, token: bytes, rank: int, within_s: float) -> Line:
    """Meet a caller; raises Lost if it does not prove in time that it knows the token."""
    deadline = time.monotonic() + within_s
    mine = os.urandom(_MAC)
    with _lost():
        sock.sendall(mine)
        theirs = _read(sock, _MAC, deadline)
        both = mine + theirs + struct.pack("!q", rank)
        if not hmac.compare_digest(_read(sock, _MAC, deadline), _sign(token, b"caller", both)):
            raise Lost("the caller does not know the token")
        sock.sendall(_sign(token, b"follower", both))
        keep_watch(sock)
    return Line(sock, _sign(token, b"down", both), _sign(token, b"up", both))


def call(sock: socket.socket, token: bytes, rank: int, within_s: float) -> Line:
    """Meet the follower of a rank; raises Lost if it is none."""
    deadline = time.monotonic() + within_s
    mine = os.urandom(_MAC)
    theirs = _read(sock, _MAC, deadline)
    both = theirs + mine + struct.pack("!q", rank)
    with _lost():
        sock.sendall(mine + _sign(token, b"caller", both))
        if not hmac.compare_digest(_read(sock, _MAC, deadline), _sign(token, b"follower", both)):
            raise Lost("what answers is not the rank's follower")
        keep_watch(sock)
    return Line(sock, _sign(token, b"up", both), _sign(token, b"down", both))


def keep_watch(sock: socket.socket) -> None:
    """Have the kernel find out within two minutes that the other machine is gone, also if nothing is sent."""
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, (_SILENT_S - 30) // 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENT_S * 1000)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _sign(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, b"".join(parts), "sha256")


def _read(sock: socket.socket, size: int, deadline: float | None = None) -> bytes:
    found = bytearray()
    while len(found) < size:
        if deadline is not None:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
        with _lost():
            chunk = sock.recv(min(size - len(found), 1 << 20))
        if not chunk:
            raise Lost("the connection was closed")
        found += chunk
    return bytes(found)


@contextlib.contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except Lost:
        raise
    except OSError as error:
        raise Lost(str(error) or type(error).__name__) from error
