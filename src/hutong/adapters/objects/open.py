"""Open the object store that a URL names: `file:///folder`, `s3://bucket/prefix` or `memory:`."""

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from obstore.store import LocalStore, MemoryStore, S3Store

from hutong.adapters.objects.store import Objects
from hutong.core.kernel.errors import Problem, Refused

if TYPE_CHECKING:
    from obstore.store import S3Config

_ANSWER_WITHIN = timedelta(minutes=10)
_CONNECT_WITHIN = timedelta(seconds=5)
_TRY_FOR = timedelta(seconds=30)
_S3_OPTIONS = frozenset({"endpoint", "region", "access_key_id", "secret_access_key", "session_token"})


def open_objects(url: str) -> Objects:
    """Return the object store of a URL; a folder is created where it is missing.

    `s3://bucket/prefix?endpoint=http://host:port&region=...`; credentials come from the query
    (`access_key_id`, `secret_access_key`, `session_token`) or the usual `AWS_*` environment.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "memory":
            return Objects(MemoryStore())
        case "file":
            return _open_folder(url, parts.netloc, unquote(parts.path))
        case "s3":
            return _open_bucket(url, parts.netloc, unquote(parts.path), parts.query)
    raise _bad_url(url, "its scheme is not known")


def _open_folder(url: str, host: str, path: str) -> Objects:
    if host or not path.startswith("/"):
        raise _bad_url(url, "a folder is written with three slashes and in full")
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _bad_url(url, f"the folder cannot be made: {error.strerror}") from error
    return Objects(LocalStore(str(folder)), folder)


def _open_bucket(url: str, bucket: str, path: str, query: str) -> Objects:
    options = dict(parse_qsl(query))
    unknown = sorted(set(options) - _S3_OPTIONS)
    if not bucket or unknown:
        raise _bad_url(url, f"{unknown[0]!r} is no option of it" if unknown else "it names no bucket")
    endpoint = options.pop("endpoint", "")
    region = options.pop("region", "")
    config = dict(options)
    if "access_key_id" not in config and "AWS_ACCESS_KEY_ID" not in os.environ:
        raise _bad_url(url, "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if endpoint:
        config["endpoint"] = endpoint
    if region or endpoint:
        config["region"] = region or "us-east-1"
    store = S3Store(
        bucket,
        prefix=path.strip("/") or None,
        config=cast("S3Config", config),
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "timeout": _ANSWER_WITHIN,
            "connect_timeout": _CONNECT_WITHIN,
        },
        retry_config={"max_retries": 4, "retry_timeout": _TRY_FOR},
    )
    return Objects(store)


def _bad_url(url: str, why: str) -> Refused:
    shown = url.split("?", 1)[0][:200]
    right = "file:///folder, s3://bucket/prefix?endpoint=http://host:port, or memory:"
    problem = Problem("/objects", f"{shown!r}: {why}", right)
    return Refused("bad_objects_url", f"{shown!r} is no object store: {why}; write {right}", (problem,))
