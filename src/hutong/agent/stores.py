"""Data sets in S3 stores that a site offers: listed, bounded, and fetched by ranges as the job itself.

Nothing of the agent's own environment is used, and nothing that the store says is repeated: it may quote
the key.
"""

import hashlib
import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import obstore
from obstore.exceptions import (
    BaseError,
    GenericError,
    InvalidPathError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from hutong.adapters.objects.paths import checked_path
from hutong.agent.moves import Progress
from hutong.agent.offers import Offers, StoreOffer
from hutong.core.kernel.errors import Later, Refused
from hutong.core.work.spec import Input

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult
    from obstore.store import S3Config, S3Credential

KEY, SECRET, TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
_CHUNK_BYTES = 1 << 20
_CONNECT_WITHIN = timedelta(seconds=5)
_SILENT_AT_MOST = timedelta(seconds=60)
_ANSWER_WITHIN = timedelta(hours=24)  # one object; what takes longer goes on from there
_TRY_FOR = timedelta(seconds=30)
_TRIES = 3
_WHOLE = "non-partial response"  # how obstore says that a server answered a range with status 200
_STATUS = re.compile(r"status code: (\d{3})\b")
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Remote:
    """One object of a listing: where it goes below the input's folder, and what tells it from others."""

    path: str
    key: str
    etag: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket, opened for one job. `whose` keeps apart what is fetched with credentials: a project's."""

    name: str
    offer: StoreOffer
    whose: str
    store: S3Store = field(repr=False)

    def listing(self, url: str, offers: Offers) -> tuple[Remote, ...]:
        """Return the object of that URL, or those below it. Raises Refused if there are none, or too many."""
        key = url.removeprefix(f"s3://{self.name}").strip("/")
        if key and not url.endswith("/"):
            try:
                with _mapped(url):
                    found = obstore.head(self.store, key)
            except _Missing:
                pass
            else:
                one = Remote(key.rpartition("/")[2], key, _etag(found["e_tag"]), int(found["size"]))
                return _bounded((one,), url, offers)
        found_all: list[Remote] = []
        with _mapped(url):
            for batch in obstore.list(self.store, key or None, chunk_size=1000):
                for each in batch:
                    path = each["path"].removeprefix(f"{key}/" if key else "")
                    found_all.append(Remote(path, each["path"], _etag(each["e_tag"]), int(each["size"])))
                _bounded(found_all, url, offers)
        remotes = _files(found_all)
        if not remotes:
            raise Refused("bad_input", f"there is nothing at {url}")
        return remotes

    def name_of(self, remote: Remote) -> str:
        """Return the name under which the site keeps an object."""
        told = [self.offer.endpoint, self.name, self.whose, remote.key, remote.etag, remote.size_bytes]
        return f"s3-{hashlib.sha256(json.dumps(told).encode()).hexdigest()}"

    def fetch(self, remote: Remote, into: Path, progress: Progress) -> None:
        """Fetch what the file lacks of an object, by ranges. A try that brought bytes costs none.

        Raises Later if it cannot be had now, or is another one by now.
        """
        left, resumed = _TRIES, False
        while True:
            before = into.stat().st_size
            resumed = resumed or before > 0
            try:
                self._go_on(remote, into, progress)
            except Later:
                left = _TRIES if into.stat().st_size > before else left - 1
                if not left:
                    raise
                progress.pause(0.5 * (_TRIES - left))
            else:
                # What lay there may be damaged. An ETag is not always a hash of the content: so only once.
                if not resumed or _matches(into, remote.etag):
                    return
                into.write_bytes(b"")
                self._go_on(remote, into, progress)
                return

    def _go_on(self, remote: Remote, into: Path, progress: Progress) -> None:
        with into.open("a+b") as file:
            held = file.seek(0, 2)
            if held > remote.size_bytes:
                held = file.truncate(0)
            if held == remote.size_bytes:
                return
            with _mapped(remote.key):
                got, extra = self._from(remote.key, held)
                told = got.meta
                if (_etag(told["e_tag"]), int(told["size"])) != (remote.etag, remote.size_bytes):
                    file.truncate(0)
                    raise Later("an object of an input was changed while it was fetched")
                for chunk in got.stream(min_chunk_size=_CHUNK_BYTES):
                    progress.go_on()
                    fresh = memoryview(chunk)[extra:]
                    extra = max(0, extra - len(chunk))
                    file.write(fresh)
                    file.flush()
            if file.seek(0, 2) != remote.size_bytes:
                raise Later("an object of an input came with another size than announced")

    def _from(self, key: str, held: int) -> "tuple[GetResult, int]":
        """Return an object from `held` on, and how much comes before that from a server without ranges."""
        try:
            asked: GetOptions = {"range": {"offset": held}} if held else {}
            return obstore.get(self.store, key, options=asked), 0
        except GenericError as error:
            if _WHOLE not in str(error):
                raise
        return obstore.get(self.store, key), held


def open_bucket(wanted: Input, offers: Offers, secrets: Mapping[str, str], project: str) -> Bucket:
    """Return the bucket of an input. Raises Refused for a store that the site does not offer."""
    offer = offers.store(wanted.store)
    name = wanted.url.removeprefix("s3://").partition("/")[0]
    signed = bool(secrets.get(KEY) and secrets.get(SECRET))
    config = {
        "endpoint": offer.endpoint,
        "region": offer.region,
        "virtual_hosted_style_request": False,
        "skip_signature": not signed,
    }

    # Without a provider of ours obstore would look into the agent's environment.
    def credential() -> "S3Credential":
        token = secrets.get(TOKEN) or None
        keys = {"access_key_id": secrets[KEY], "secret_access_key": secrets[SECRET]}
        return cast("S3Credential", {**keys, "token": token, "expires_at": None})

    store = S3Store(
        name,
        config=cast("S3Config", config),
        client_options={
            "allow_http": offer.endpoint.startswith("http://"),
            "timeout": _ANSWER_WITHIN,
            "read_timeout": _SILENT_AT_MOST,
            "connect_timeout": _CONNECT_WITHIN,
        },
        retry_config={"max_retries": 3, "retry_timeout": _TRY_FOR},
        credential_provider=credential if signed else None,
    )
    return Bucket(name, offer, project if signed else "", store)


def listing_document(bucket: Bucket, remotes: tuple[Remote, ...]) -> bytes:
    """Return what an input by URL consists of, as the site keeps it: its hash names the folder."""
    files = [[each.path, bucket.name_of(each)] for each in remotes]
    return json.dumps({"files": files}).encode()


def _etag(told: str | None) -> str:
    return (told or "").strip('"')


def _files(found: list[Remote]) -> tuple[Remote, ...]:
    """Return objects that can be files: empty ones that stand for a folder are left out.

    Raises Refused where an object and a folder have one name, or a name would leave the folder.
    """
    folders = {"/".join(parts[:depth]) for each in found for parts in (each.path.split("/"),)
               for depth in range(1, len(parts))}  # fmt: skip
    remotes = []
    for each in sorted(found, key=lambda each: each.path):
        if each.path in folders or not each.path:
            if each.size_bytes:
                raise Refused("bad_input", f"{each.key} is an object and a folder: it cannot be both here")
            continue
        checked_path(each.path)
        remotes.append(each)
    return tuple(remotes)


def _bounded(remotes: "tuple[Remote, ...] | list[Remote]", url: str, offers: Offers) -> tuple[Remote, ...]:
    """Return the objects; raises Refused if they are more than the site takes for one input."""
    if len(remotes) > offers.most_files:
        raise Refused(
            "too_large", f"{url} has more than {offers.most_files} files, the most for one input here"
        )
    total_bytes = sum(each.size_bytes for each in remotes)
    if total_bytes > offers.most_bytes:
        text = f"{url} has more than {offers.most_bytes} bytes, the most for one input here"
        raise Refused("too_large", text)
    return tuple(remotes)


def _matches(path: Path, etag: str) -> bool:
    """Return whether a file may be what an ETag says: one that is no plain MD5 says nothing."""
    if not _MD5.fullmatch(etag):
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == etag


class _Missing(Refused):
    """There is no such object, or no such bucket."""


def _denied(what: str) -> Refused:
    text = f"the store refuses {what} with the job's secrets {KEY} and {SECRET}, or without them"
    return Refused("denied_by_store", text)


@contextmanager
def _mapped(what: str) -> Generator[None, None, None]:
    """Turn the store's errors into ours, without its words."""
    try:
        yield
    except FileNotFoundError:
        raise _Missing("bad_input", f"there is nothing at {what}") from None
    except (PermissionError, PermissionDeniedError, UnauthenticatedError):
        raise _denied(what) from None
    except InvalidPathError:
        raise Refused("bad_input", f"a name at {what} cannot be a file's") from None
    except BaseError as error:
        status = _STATUS.search(str(error))
        if status and status[1] == "404":
            raise _Missing("bad_input", f"there is nothing at {what}") from None
        if status and status[1] in {"400", "401", "403"}:
            raise _denied(what) from None
        # Everybody who sees the site sees this: so not what was asked for.
        raise Later(f"a store of inputs did not answer well: {type(error).__name__}", 10) from None
