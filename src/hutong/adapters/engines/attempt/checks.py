"""Checks of what every engine needs of its machine and of the folder of attempts."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.inspection import Check, bad, ok, warn
from hutong.core.kernel.ids import split_key

_LEFT_OVER_S = 2 * 86_400
_SPACE = (1 << 30, 10 << 30)
_INODES = (1_000, 100_000)


def check_box(wanted: str, why: str) -> Check:
    """Return what can be said of the sandbox; `why` is empty where it works."""
    if wanted == "none":
        return warn("sandbox", "isolation is off: jobs see each other's files", 'set isolation = "auto"')
    if not why:
        return ok("sandbox", "bubblewrap works")
    make = bad if wanted == "bwrap" else warn
    return make("sandbox", why, _mend_box(why))


def _mend_box(why: str) -> str:
    if "not installed" in why:
        return "install bubblewrap (apt-get install bubblewrap, dnf install bubblewrap)"
    for name, wrong in (
        ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
        ("/proc/sys/user/max_user_namespaces", "0"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
    ):
        path = Path(name)
        if path.exists() and path.read_text().strip() == wrong:
            setting = name.removeprefix("/proc/sys/").replace("/", ".")
            return f"the kernel refuses user namespaces to ordinary users: see sysctl {setting}"
    return (
        "let ordinary users make user namespaces (sysctl user.max_user_namespaces), or run on a newer kernel"
    )


def check_paths(config: FolderConfig) -> Iterator[Check]:
    """Yield a warning for each folder or device of the file that is not there."""
    named = {"path": config.path, "readable": config.readable, "devices": config.devices}
    missing = [(name, path) for name, paths in named.items() for path in paths if not path.exists()]
    for name, path in missing:
        yield warn("paths", f"[engine] {name} names {path}, which is not there", "correct it, or take it out")
    if not config.payloads.is_dir():
        yield bad("paths", f"payloads: {config.payloads} is no folder", "take `payloads` out of [engine]")
    elif not missing:
        yield ok("paths", "all folders and devices of the file are there")


def check_space(name: str, folder: Path) -> Iterator[Check]:
    """Yield what is left of bytes and inodes where a folder is, or will be."""
    there = next(each for each in (folder, *folder.resolve().parents) if each.exists())
    left = os.statvfs(there)
    free = left.f_bavail * left.f_frsize
    mend = f"make room where {folder} is, or move it: a job that cannot write its log fails"
    yield _graded(f"{name}: space", free, _SPACE, f"{free / 1e9:.1f} GB free at {there}", mend)
    if left.f_files:  # some file systems have no fixed number
        seen = f"{left.f_favail} inodes free at {there}"
        yield _graded(f"{name}: inodes", left.f_favail, _INODES, seen, mend)


def _graded(name: str, value: int, bounds: tuple[int, int], seen: str, mend: str) -> Check:
    if value < bounds[0]:
        return bad(name, seen, mend)
    return warn(name, seen, mend) if value < bounds[1] else ok(name, seen)


def check_leftovers(root: Path) -> Check:
    """Return how many attempts there are, and whether some ended long ago and are still kept."""
    attempts = root / "attempts"
    folders = [each for each in attempts.iterdir() if split_key(each.name)] if attempts.is_dir() else []
    ended = [each for each in folders if (each / files.END).exists()]
    old = [each for each in ended if time.time() - (each / files.END).stat().st_mtime > _LEFT_OVER_S]
    seen = f"{len(folders) - len(ended)} attempts live, {len(ended)} ended ones kept in {attempts}"
    if old:
        mend = "start the agent: it hands over what it holds, and forgets it a day later"
        return warn(
            "attempts", f"{seen}; {len(old)} ended more than two days ago, such as {old[0].name}", mend
        )
    return ok("attempts", seen)
