"""The supervisor's programs as nodes run them: a copy by content, so that an upgrade changes no job."""

import hashlib
import os
import shutil
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSIDE = Path("hutong", "adapters", "engines", "attempt")
_NAMES = (
    "__init__", "batch", "box", "environment", "files", "gang", "launch", "subreaper", "supervise", "tap",
    "tree", "unpack",
)  # fmt: skip


def install_programs(root: Path) -> Path:
    """Put the programs below `root` unless this version is there; returns their folder."""
    sources = {name: (_PACKAGE / f"{name}.py").read_bytes() for name in _NAMES}
    digest = hashlib.sha256(b"".join(sources[name] for name in _NAMES)).hexdigest()[:16]
    home = root / digest
    if not home.exists():
        fresh = root / f".{digest}.{os.getpid()}"
        (fresh / _INSIDE).mkdir(parents=True)
        for parent in _INSIDE.parents[:-1]:
            (fresh / parent / "__init__.py").write_text("")
        for name, text in sources.items():
            (fresh / _INSIDE / f"{name}.py").write_bytes(text)
        try:
            fresh.rename(home)
        except OSError:
            shutil.rmtree(fresh)
            if not home.exists():
                raise
    return home / _INSIDE
