"""The supervisor's programs as nodes run them: a copy by content, so that an upgrade changes no job.

An attempt keeps the copy that it was submitted with until its end; copies that nothing uses any more are
deleted when an agent starts.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from hutong.adapters.engines.attempt import files

_PACKAGE = Path(__file__).resolve().parent
_INSIDE = Path("hutong", "adapters", "engines", "attempt")
_NAMES = (
    "__init__", "batch", "beside", "box", "carry", "clock", "codec", "devices", "enter", "environment",
    "files", "follow", "gang", "greeting", "launch", "line", "member", "plain", "probe", "reach", "relay",
    "subreaper", "summons", "supervise", "tap", "tree", "unpack", "verdict",
)  # fmt: skip


def install_payloads(source: Path, root: Path) -> Path:
    """Put a copy of the payload programs where nodes can read it, again by content; returns its folder."""
    texts = {path.name: path.read_bytes() for path in sorted(source.iterdir()) if path.is_file()}
    digest = hashlib.sha256(b"\0".join(name.encode() + text for name, text in texts.items())).hexdigest()[:16]
    home = root / f"{digest}-payloads"

    def fill(fresh: Path) -> None:
        fresh.mkdir(parents=True)
        for name, text in texts.items():
            (fresh / name).write_bytes(text)

    _place(home, fill)
    return home


def install_programs(root: Path) -> Path:
    """Put the programs below `root` unless this version is there; returns their folder."""
    sources = {name: (_PACKAGE / f"{name}.py").read_bytes() for name in _NAMES}
    digest = hashlib.sha256(b"".join(sources[name] for name in _NAMES)).hexdigest()[:16]
    home = root / digest

    def fill(fresh: Path) -> None:
        (fresh / _INSIDE).mkdir(parents=True)
        for parent in _INSIDE.parents[:-1]:
            (fresh / parent / "__init__.py").write_text("")
        for name, text in sources.items():
            (fresh / _INSIDE / f"{name}.py").write_bytes(text)

    _place(home, fill)
    return home / _INSIDE


def install_file(source: Path, root: Path) -> Path:
    """Put one program where nodes can read it, again by content; returns its path."""
    text = source.read_bytes()
    home = root / f"{hashlib.sha256(text).hexdigest()[:16]}-{source.stem}"

    def fill(fresh: Path) -> None:
        fresh.mkdir(parents=True)
        (fresh / source.name).write_bytes(text)

    _place(home, fill)
    return home / source.name


def collect_programs(root: Path, keep: Iterable[Path], attempts: Path) -> list[str]:
    """Delete the copies below `root` that are neither in `keep` nor named by a living attempt; return which.

    A copy is named where its path stands in the attempt's order or batch script.
    """
    copies = {each.name for each in root.iterdir() if each.is_dir() and not each.name.startswith(".")}
    spare = copies - {name for each in keep for name in each.relative_to(root).parts[:1]}
    for folder in attempts.iterdir() if spare else ():
        if not (folder / files.END).exists():
            told = "".join(_text(folder / name) for name in (files.ORDER, files.SCRIPT))
            spare -= {name for name in spare if f"/{name}" in told}
    for name in spare:
        shutil.rmtree(root / name, ignore_errors=True)
    return sorted(spare)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _place(home: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder whole or not at all, also where another agent makes it too."""
    if home.exists():
        return
    fresh = home.with_name(f".{home.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fill(fresh)
    try:
        fresh.rename(home)
    except OSError:
        shutil.rmtree(fresh)
        if not home.exists():
            raise
