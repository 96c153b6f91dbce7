"""The random name of a site's folder, which its jobs bear: an empty folder in its place has another."""

import secrets
from pathlib import Path

from hutong.adapters.engines.attempt import files
from hutong.core.kernel.errors import Later, Problem, Refused

_FILE = "origin.json"


def own_origin(root: Path) -> str:
    """Return the folder's name, which is given to it once. Raises Refused where that cannot be kept."""
    try:
        files.create_json(root / _FILE, {"origin": secrets.token_hex(8)})
    except OSError as error:
        text = f"{root} cannot be used: it must be writable and know hard links ({error})"
        raise Refused("bad_config", text, (Problem("/root", text),)) from error
    return read_origin(root)


def read_origin(root: Path) -> str:
    """Return the folder's name; nothing if it has none yet."""
    return str((files.read_json(root / _FILE) or {}).get("origin", ""))


def check_origin(root: Path, origin: str) -> None:
    """Raise Later if the folder is not the one of this name: what is missing in it says nothing then."""
    if read_origin(root) != origin:
        raise Later(f"{root} is not the folder it was: is its file system mounted?", 30)
