"""The object store: bytes under a path, in files, in S3 or in memory; a write is whole or not at all."""

import hashlib
import heapq
import os
import re
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, GenericError
from obstore.store import LocalStore, MemoryStore, S3Store

from hutong.adapters.objects.paths import checked_digest, checked_path, content_path
from hutong.core.kernel.errors import Later, NotFound, Refused

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult

CHUNK_BYTES = 1 << 20
_SPOOL_BYTES = 8 << 20
_FULL = re.compile(r"os error (27|28|122)\b")  # file too large, no space left, quota exceeded
_WHOLE = "non-partial response"  # how obstore says that an S3 server answered a range with status 200


@dataclass(frozen=True, slots=True)
class Stored:
    """One object: its path and its size."""

    path: str
    size_bytes: int


class Objects:
    """Bytes under paths. A write is seen whole or not at all; a reader of the old bytes keeps reading them.

    Raises Refused for a path or digest that is none, NotFound for an object that is not there, and Later
    when the store behind it does not answer, refuses us, or is full.
    """

    def __init__(self, store: LocalStore | S3Store | MemoryStore, root: Path | None = None) -> None:
        self._store = store
        self._root = root

    def put(self, path: str, data: bytes | Iterable[bytes]) -> None:
        """Write an object, in place of what was there; an iterable that raises leaves what was there."""
        name = checked_path(path)
        with _mapped(name):
            if isinstance(data, bytes | bytearray | memoryview):
                obstore.put(self._store, name, bytes(data))
            else:
                obstore.put(self._store, name, _solid(data))

    def put_file(self, path: str, local: Path) -> None:
        """Write the content of a local file as an object."""
        name = checked_path(path)
        with local.open("rb") as file, _mapped(name):
            obstore.put(self._store, name, file)

    def get(self, path: str) -> bytes:
        """Return all bytes of an object; for those known to be small."""
        name = checked_path(path)
        with _mapped(name):
            return bytes(obstore.get(self._store, name).bytes())

    def get_range(self, path: str, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`: fewer at the end, none beyond it."""
        name = checked_path(path)
        length = min(length, self.size(name) - _natural(offset))
        if length <= 0:
            return b""
        with _mapped(name):
            try:
                return bytes(obstore.get_range(self._store, name, start=offset, length=length))
            except GenericError as error:
                if _WHOLE not in str(error):
                    raise
        part = bytearray()
        for piece in self._skip(name, offset):
            part += piece
            if len(part) >= length:
                break
        return bytes(part[:length])

    def stream(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """Return an iterator over the bytes from `offset`, in pieces; NotFound comes at once, not later."""
        name = checked_path(path)
        if _natural(offset) and offset >= self.size(name):
            return iter(())
        with _mapped(name):
            try:
                asked: GetOptions = {"range": {"offset": offset}} if offset else {}
                return _pieces(name, obstore.get(self._store, name, options=asked))
            except GenericError as error:
                if _WHOLE not in str(error):
                    raise
        return self._skip(name, offset)

    def _skip(self, name: str, offset: int) -> Iterator[bytes]:
        """Read a whole object and pass on what lies beyond `offset`, for servers that know no ranges."""
        with _mapped(name):
            found = obstore.get(self._store, name)
        return _beyond(_pieces(name, found), offset)

    def size(self, path: str) -> int:
        """Return the size of an object in bytes."""
        name = checked_path(path)
        with _mapped(name):
            return int(obstore.head(self._store, name)["size"])

    def exists(self, path: str) -> bool:
        """Tell whether there is an object of that path."""
        try:
            self.size(path)
        except NotFound:
            return False
        return True

    def delete(self, path: str) -> None:
        """Remove an object; removing what is not there changes nothing."""
        name = checked_path(path)
        try:
            with _mapped(name):
                obstore.delete(self._store, name)
        except NotFound:
            return

    def list(self, prefix: str = "", after: str = "", limit: int = 200) -> tuple[Stored, ...]:
        """Return at most `limit` objects under the folder `prefix` with paths above `after`, in order.

        The store is asked for the whole folder (files come in no order), so keep folders small.
        """
        folder = checked_path(prefix.rstrip("/")) if prefix else None
        with _mapped(prefix):
            found = (
                Stored(each["path"], int(each["size"]))
                for batch in obstore.list(self._store, folder, offset=after or None, chunk_size=1000)
                for each in batch
            )
            return tuple(heapq.nsmallest(limit, found, key=lambda each: each.path))

    # By content
    def has_content(self, digest: str) -> bool:
        """Tell whether the bytes of that digest are here."""
        return self.exists(content_path(digest))

    def put_content(self, data: Iterable[bytes], expect: str = "", limit_bytes: int = 0) -> tuple[str, int]:
        """Store bytes under their own sha256; return `sha256:<hex>` and the size. They are durable then.

        With `expect` they are refused (`wrong_digest`) when they are not those; with `limit_bytes` when
        there are more (`too_large`). What is refused was never visible. What is here already is read and
        checked, and not written again.
        """
        meter = _Meter(data, checked_digest(expect) if expect else "", limit_bytes)
        if not expect:
            return self._put_spooled(meter)
        if self.has_content(expect):
            for _ in meter:
                pass
        else:
            self.put(content_path(expect), meter)
            self._settle(content_path(expect))
        return expect, meter.size_bytes

    def _put_spooled(self, meter: "_Meter") -> tuple[str, int]:
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spool:
            try:
                for piece in meter:
                    spool.write(piece)
                spool.seek(0)
            except OSError as error:
                raise Later(f"no room to take the bytes in: {error.strerror}", 30) from error
            if not self.has_content(meter.digest):
                self.put(content_path(meter.digest), iter(lambda: spool.read(CHUNK_BYTES), b""))
                self._settle(content_path(meter.digest))
        return meter.digest, meter.size_bytes

    def _settle(self, path: str) -> None:
        """Bring a file's bytes and its name to the disk: a fact that names it must not outlive it."""
        if self._root is None:
            return
        target = self._root / path
        for each in (target, target.parent):
            handle = os.open(each, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


class _Meter:
    """An iterable that hashes and counts what goes through it, and refuses at the end what is wrong."""

    def __init__(self, data: Iterable[bytes], expect: str, limit_bytes: int) -> None:
        self._data = data
        self._expect = expect
        self._limit_bytes = limit_bytes
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._data:
            self.size_bytes += len(piece)
            if self._limit_bytes and self.size_bytes > self._limit_bytes:
                raise Refused("too_large", f"more than {self._limit_bytes} bytes")
            self._hash.update(piece)
            if piece:
                yield piece
        if self._expect and self.digest != self._expect:
            raise Refused("wrong_digest", f"the bytes are {self.digest}, not {self._expect}")


def _solid(data: Iterable[bytes]) -> Iterator[bytes]:
    """Pass pieces on, and one empty piece if there are none: an upload has at least one part."""
    empty = True
    for piece in data:
        if piece:
            empty = False
            yield piece
    if empty:
        yield b""


def _pieces(name: str, found: "GetResult") -> Generator[bytes, None, None]:
    with _mapped(name):
        for piece in found.stream(min_chunk_size=CHUNK_BYTES):
            yield bytes(piece)


def _beyond(pieces: Iterable[bytes], offset: int) -> Iterator[bytes]:
    for piece in pieces:
        if offset < len(piece):
            yield piece[offset:]
        offset = max(0, offset - len(piece))


def _natural(number: int) -> int:
    if number < 0:
        raise Refused("bad_range", f"an offset is 0 or more, not {number}")
    return number


@contextmanager
def _mapped(path: str) -> Generator[None, None, None]:
    """Turn the store's errors into ours; what the caller's own iterable raises passes through."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound("no_object", f"there is no object {path}") from error
    except (BaseError, PermissionError) as error:
        text = str(error).split("\n", 1)[0][:300]
        if _FULL.search(str(error)):
            raise Later(f"the object store is full: {text}", 60) from error
        raise Later(f"the object store did not do it: {text}", 5) from error
