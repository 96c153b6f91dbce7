"""Packs a work folder as one archive, byte for byte the same for the same files, and within bounds."""

import gzip
import hashlib
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hutong.clients.sdk.ignore import Ignore, read_ignore
from hutong.core.kernel.errors import Problem, Refused

MOST_FILES = 20_000
MOST_BYTES = 100_000_000
_PATH = "/workdir"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A packed folder: `path` is a temporary file that the caller deletes, `digest` is of its bytes."""

    digest: str
    path: Path
    size_bytes: int
    files: int


def find_workdir(document: Mapping[str, object], job_file: Path) -> Path | None:
    """Return the local folder that a job file's `workdir` names, or None if it names none.

    A relative path starts at the job file's folder. Raises Refused `bad_workdir` if it is no folder.
    """
    value = document.get("workdir")
    if not isinstance(value, str):
        return None
    try:
        folder = (job_file.parent / Path(value).expanduser()).resolve()
        found = bool(value) and folder.is_dir()
    except (OSError, ValueError, RuntimeError):
        found = False
    if not found:
        raise _refuse(f"{value[:200]!r} is no folder", f"a folder, from {job_file.parent} on")
    return folder


def with_bundle(document: Mapping[str, object], bundle: Bundle) -> dict[str, object]:
    """Return the document with the packed folder in place of the local one."""
    return {**document, "workdir": {"digest": bundle.digest}}


def pack(folder: Path, *, most_files: int = MOST_FILES, most_bytes: int = MOST_BYTES) -> Bundle:
    """Pack a folder as tar.gz: sorted, without times and owners; raises Refused `bad_workdir`.

    What `.hutongignore`, else `.skyignore`, else `.gitignore` in the folder names is left out; so is `.git`.
    Links stay links; one that points out of the folder is refused.
    """
    base = folder.resolve()
    try:
        entries = _list(base, read_ignore(base), most_files, most_bytes)
        return _write(base, entries, most_bytes)
    except OSError as error:
        said = error.strerror or str(error)
        if not isinstance(error.filename, str):
            raise _refuse(f"{folder} cannot be packed ({said})", "make room for a temporary file") from error
        name = os.path.relpath(error.filename, base)
        raise _refuse(f"{name} cannot be read ({said})", "ignore it or make it readable") from error


def _refuse(message: str, hint: str) -> Refused:
    return Refused("bad_workdir", f"workdir: {message}: {hint}", (Problem(_PATH, message, hint),))


def _list(base: Path, ignore: Ignore, most_files: int, most_bytes: int) -> list[str]:
    """Return the relative names of all that is packed, sorted; refuses too much before a byte is read."""
    names: list[str] = []
    size = 0
    for name, entry in _walk(base, "", ignore):
        names.append(name)
        size += entry.st_size if stat.S_ISREG(entry.st_mode) else 0
        hint = "name what the job does not need in .hutongignore"
        if len(names) > most_files:
            raise _refuse(f"{base} has more than {most_files} files", hint)
        if size > most_bytes:
            raise _refuse(f"{base} has more than {most_bytes // 10**6} MB of files", hint)
    return sorted(names, key=str.encode)


def _walk(base: Path, folder: str, ignore: Ignore) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(base / folder) as found:
        entries = list(found)
    for entry in entries:
        name = f"{folder}/{entry.name}" if folder else entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        if ignore.skips(name, is_folder=is_folder):
            continue
        _check_name(name)
        found_stat = entry.stat(follow_symlinks=False)
        if entry.is_symlink():
            _check_link(base, name)
        elif not is_folder and not stat.S_ISREG(found_stat.st_mode):
            raise _refuse(f"{name} is a socket, a pipe or a device", "name it in .hutongignore")
        yield name, found_stat
        if is_folder:
            yield from _walk(base, name, ignore)


def _check_name(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise _refuse(f"the name {name!a} is not UTF-8", "rename the file or ignore it") from None
    if name.count("/") > 100:
        raise _refuse(f"{name[:60]}... is more than 100 folders deep", "name it in .hutongignore")


def _check_link(base: Path, name: str) -> None:
    path = base / name
    target = path.readlink()
    try:
        inside = not target.is_absolute() and path.resolve().is_relative_to(base)
    except (OSError, RuntimeError):
        raise _refuse(f"{name} is a link that leads back to itself", "remove it") from None
    if not inside:
        hint = "copy the file into the folder, link it by a relative path, or ignore it"
        raise _refuse(f"{name} is a link to {target}, outside the folder", hint)


def _write(base: Path, names: list[str], most_bytes: int) -> Bundle:
    handle, temporary = tempfile.mkstemp(prefix="hutong-workdir-", suffix=".tar.gz")
    path = Path(temporary)
    try:
        with (
            os.fdopen(handle, "wb") as raw,
            gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            left = most_bytes
            for name in names:
                left -= _add(archive, base, name)
                if left < 0:
                    raise _refuse(
                        f"{base} has more than {most_bytes // 10**6} MB of files", "it grew while it was read"
                    )
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Bundle(f"sha256:{digest}", path, path.stat().st_size, len(names))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _add(archive: tarfile.TarFile, base: Path, name: str) -> int:
    """Add one entry and return its size; times and owners stay zero, so that only content counts."""
    member = tarfile.TarInfo(name)
    path = base / name
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0o777, str(path.readlink())
        archive.addfile(member)
        return 0
    if stat.S_ISDIR(mode):
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(member)
        return 0
    # A file that becomes a link or a pipe after it was listed must neither be followed nor waited for.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise _refuse(f"{name} changed while it was read", "try again")
        member.size, member.mode = found.st_size, 0o755 if found.st_mode & 0o100 else 0o644
        archive.addfile(member, file)
    return member.size
