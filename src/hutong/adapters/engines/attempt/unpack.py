"""Puts the inputs of an attempt into its folder, as a process of its own so that it can be stopped.

Standard library only: the supervisor starts this without any installed package. It prints what it
does; a problem of the user's making ends it with code 2 and the reason in `staged.json`.
"""

import contextlib
import os
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[4]))

from hutong.adapters.engines.attempt import files

_MEMBERS = 1_000_000


def unpack(bundle: Path, target: Path, most_bytes: int) -> None:
    """Unpack a tar into a folder; raises ValueError where a member would leave it, or it is too big."""
    target.mkdir(parents=True, exist_ok=True)
    base = target.resolve()
    # Python before 3.11.4 has no filters, so ours is always applied and theirs where there is one.
    theirs: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    count = size = 0
    try:
        with tarfile.open(bundle) as archive:
            for member in archive:
                count, size = count + 1, size + member.size
                if count > _MEMBERS or size > most_bytes:
                    raise ValueError(f"more than {_MEMBERS} members or {most_bytes} bytes")
                _check(member, base)
                member.mode = member.mode & 0o755 | 0o600
                archive.extract(member, base, **theirs)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ValueError(f"the bundle cannot be unpacked: {error}") from error


def _check(member: tarfile.TarInfo, base: Path) -> None:
    path = base / member.name
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise ValueError(f"{member.name!r} is neither a file, a folder nor a link")
    if not path.resolve().is_relative_to(base) or ".." in Path(member.name).parts:
        raise ValueError(f"{member.name!r} leaves the folder")
    start = path.parent if member.issym() else base
    if (member.issym() or member.islnk()) and not (start / member.linkname).resolve().is_relative_to(base):
        raise ValueError(f"{member.name!r} links to {member.linkname!r}, outside the folder")


def keep(source: Path, folder: Path) -> Path:
    """Link a staged folder's files into the attempt's own folder, so that a cleaned cache takes none away."""
    shutil.copytree(source, folder, copy_function=_link, symlinks=True)
    return folder


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def stage(folder: Path, order: dict[str, Any]) -> list[tuple[str, str]]:
    """Place every input; return what a box must mount, as (from, at)."""
    work = folder / files.WORK
    most = order["config"]["limits"].get("input_bytes") or 1 << 62
    mounts: list[tuple[str, str]] = []
    places = sorted(Path(mount.removeprefix("~/")).parts for mount, kind, _ in order["staged"])
    for index, (mount, kind, path) in enumerate(
        sorted(order["staged"], key=lambda each: each[1] != "bundle")
    ):
        target = files.inside(work, mount)
        if kind == "bundle":
            unpack(Path(path), target, most)
            continue
        if kind == "shared":
            mounts += share(Path(path), target, boxed=order["config"]["boxed"])
            continue
        parts = target.relative_to(work).parts
        nested = any(each != parts and _overlap(each, parts) for each in places if each)
        if order["config"]["boxed"] and parts and not nested and not target.exists():
            target.mkdir(parents=True)
            mounts.append((str(keep(Path(path), folder / files.INPUTS / str(index))), str(target)))
        else:
            shutil.copytree(path, target, dirs_exist_ok=True, symlinks=True)
    return mounts


def share(source: Path, target: Path, *, boxed: bool) -> list[tuple[str, str]]:
    """Have a folder of the site seen at `target`: mounted in a box, linked where there is none; never copied.

    Raises ValueError where the work folder has something there already.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"the site's shared folder {source} cannot be seen from this machine")
    with contextlib.suppress(OSError):  # an empty folder may wait there
        target.rmdir()
    if os.path.lexists(target):
        raise ValueError(f"{target.name}: the work folder has something where a shared folder belongs")
    if boxed:
        target.mkdir(parents=True)
        return [(str(source), str(target))]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)
    return []


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def main() -> int:
    """Stage the inputs of the attempt whose folder is the first argument."""
    folder = Path(sys.argv[1])
    order = files.read_json(folder / files.ORDER)
    if order is None:
        return 1
    try:
        mounts = stage(folder, order)
    except ValueError as error:
        files.write_json(folder / files.STAGED, {"problem": str(error)})
        return 2
    files.write_json(folder / files.STAGED, {"mounts": mounts})
    return 0


if __name__ == "__main__":
    sys.exit(main())
