"""The check of what is placed before a start: the work folder, and inputs by content, by URL or shared."""

import re
from collections.abc import Mapping

from hutong.core.work import check_words as w
from hutong.core.work.check_fields import Table, open_table, show
from hutong.core.work.spec import Input

WORK_FOLDER = "."  # where the bundle of `workdir` is unpacked: the job's work folder itself
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")  # secrets with which a store is asked
_MOST_INPUTS = 64
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_OFFER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_FOLDER = "a folder below the work folder, like data/train"
_SOURCES = ("digest", "url", "shared")


def read_inputs(top: Table, secrets: tuple[str, ...]) -> tuple[Input, ...]:
    """Return what is staged: the bundle of the work folder first, then the inputs as listed."""
    found = list(_read_workdir(top))
    value, faults = top.get("inputs"), top.faults
    if isinstance(value, Mapping) and value:
        hint = "a list: inputs: [{mount: data, digest: 'sha256:..'}]"
        faults.add(top.at("inputs"), "SkyPilot's mapping of sizes is not supported", hint)
        return ()
    for path, item in () if isinstance(value, Mapping) else top.items("inputs", _MOST_INPUTS, "inputs"):
        table = open_table(item, path, w.INPUT, faults)
        mount = read_path(table, "mount", required=True)
        rivals = [other.mount for other in found if _overlap(mount, other.mount)]
        if mount and rivals:
            faults.add(
                table.at("mount"), f"{mount} and {rivals[0]} are inside each other", "separate folders"
            )
        found.append(_read_source(table, mount, secrets))
    return tuple(found)


def _read_workdir(top: Table) -> tuple[Input, ...]:
    value = top.get("workdir")
    if value is None:
        return ()
    if isinstance(value, str):
        hint = "hutong run does this; over the API, upload a bundle and write workdir: {digest: 'sha256:..'}"
        top.faults.add(top.at("workdir"), "a local folder must be packed before it is sent", hint)
        return ()
    return (Input(WORK_FOLDER, _read_digest(top.table("workdir", w.WORKDIR)), "bundle"),)


def _read_digest(table: Table) -> str:
    value = table.get("digest")
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return value
    said = "is missing" if value is None else f"{show(value)} is no digest"
    table.faults.add(table.at("digest"), said, "sha256: and 64 digits of 0-9, a-f")
    return ""


def _read_source(table: Table, mount: str, secrets: tuple[str, ...]) -> Input:
    """Return an input with where it comes from: exactly one of digest, url and shared."""
    named = [key for key in _SOURCES if table.get(key) is not None]
    if len(named) > 1:
        table.faults.add(table.at(named[1]), f"{named[0]} is given too", "one of digest, url and shared")
        return Input(mount, "", "manifest")
    source = named[0] if named else "digest"
    for key, of in (("kind", "digest"), ("store", "url")):
        if table.get(key) is not None and source != of:
            table.faults.add(table.at(key), f"goes with {of} only", "leave it out")
    match source:
        case "url":
            return Input(mount, "", "url", url=_read_url(table, secrets), store=_read_store(table))
        case "shared":
            return Input(mount, "", "shared", shared=_read_shared(table))
    kind = table.choice("kind", ("manifest", "bundle"))
    return Input(mount, _read_digest(table), kind)


def _read_url(table: Table, secrets: tuple[str, ...]) -> str:
    """Return `s3://bucket/key`, without a doubled `/`; one at the end says that a prefix is meant."""
    text = table.text("url", 1024)
    bucket, _, key = text.removeprefix("s3://").partition("/")
    parts = key.removesuffix("/").split("/") if key else []
    hint = "s3://bucket/key for one object, s3://bucket/prefix/ for all below it; the store goes in store"
    if text and not (text.startswith("s3://") and _BUCKET.fullmatch(bucket) and ".." not in bucket):
        shown = text.partition("?")[0].rpartition("@")[
            2
        ]  # a password may stand before an @, a key behind a ?
        table.faults.add(table.at("url"), f"{show(shown)} is no URL of S3", hint)
        return ""
    if not text or {"", ".", ".."} & set(parts) or not text.isprintable() or set(key) & set("\\?#*"):
        table.faults.add(table.at("url"), "is no plain name of an object or prefix", hint)
        return ""
    there = [name for name in KEYS if name in secrets]
    if len(there) == 1:
        other = KEYS[1 - KEYS.index(there[0])]
        table.faults.add(
            table.at("url"), f"{there[0]} is in secrets and {other} is not", f"secrets: {list(KEYS)}"
        )
    return text


def _read_store(table: Table) -> str:
    text = table.text("store", 63)
    if not _OFFER.fullmatch(text):
        said = f"{show(text)} is no name of a store" if text else "is missing"
        table.faults.add(table.at("store"), said, "the name that the center has given to the store")
        return ""
    return text


def _read_shared(table: Table) -> str:
    text = read_path(table, "shared", required=True, hint="NAME/sub/folder: NAME is what the center shares")
    if text and not _OFFER.fullmatch(text.partition("/")[0]):
        hint = "the name that the center has given to a shared folder, then a path in it"
        table.faults.add(table.at("shared"), f"{show(text)} does not begin with a name", hint)
        return ""
    return text


def read_path(table: Table, key: str, *, required: bool, hint: str = _FOLDER) -> str:
    """Return a relative path in normal form that stays below where it begins."""
    text = table.text(key, 1024)
    if not text:
        if required and (table.get(key) is None or table.get(key) == ""):
            table.faults.add(table.at(key), "is missing or empty", hint)
        return ""
    parts = text.removesuffix("/").split("/")
    if {"", ".", ".."} & set(parts) or text.startswith("~") or not text.isprintable() or "\\" in text:
        hint = f"{hint}, without '..', '~' or a leading '/'"
        table.faults.add(table.at(key), f"{show(text)} is no plain relative path", hint)
        return ""
    return "/".join(parts)


def _overlap(one: str, other: str) -> bool:
    return other != WORK_FOLDER and (f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/"))
