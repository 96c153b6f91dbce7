"""Brings the files and repositories that a dstack file names: a folder, or a clone."""

import posixpath
import re
import shlex
from collections.abc import Mapping

from hutong.clients.sdk.importers.dstack_places import Places

_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*://|[\w.-]+@[\w.-]+:)\S+")
_REPOSITORY = "repository"


def put_files(places: Places, folder: str) -> None:
    """Put `workdir` for local files; they keep their places in the folder of the file."""
    value = places.document.get("files")
    if value is None:
        return
    if not isinstance(value, list):
        places.refuse("/files", "is no list", "files: [train.py]")
        return
    sent: list[str] = []
    for index, item in enumerate(value):
        path = f"/files/{index}"
        local, there = _split(item)
        if not local:
            places.refuse(path, "names no file", "like train.py, or train.py:/app/train.py")
        elif posixpath.isabs(local) or local.startswith(("~", "..")):
            message = "put it in the folder of the job file: only that is sent"
            places.note_left_out(path, f"files {local}", message)
        else:
            sent.append(local)
            moved = f", and stays {local}: there is no {there}" if there and there != local else ""
            places.changed(path, f"workdir: the folder is packed and sent whole{moved}")
    if sent:
        # One folder alone is sent as dstack would; of several, the folder that holds them all.
        base = "." if len(sent) > 1 or not sent[0].endswith("/") else sent[0]
        places.draft.put("workdir", posixpath.normpath(posixpath.join(folder, base)), places.line("/files"))


def _split(item: object) -> tuple[str, str]:
    """Return the local path and the path in the container of an entry, empty where there is none."""
    if isinstance(item, str):
        local, _, there = item.partition(":")
        return local, there
    if isinstance(item, Mapping):
        pair = [item.get(key) for key in ("local_path", "path")]
        return (str(pair[0] or ""), str(pair[1] or ""))
    return "", ""


def put_repos(places: Places, folder: str) -> list[str]:
    """Put what a repository needs; return the lines with which `run` begins."""
    value = places.document.get("repos")
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > 1:
        places.refuse("/repos", "is no list of one repository", "repos: [.]")
        return []
    return _put_repo(places, value[0], folder) if value else []


def _put_repo(places: Places, item: object, folder: str) -> list[str]:
    told: Mapping[str, object] = item if isinstance(item, Mapping) else _parse(item)
    given = {key: str(member) for key, member in told.items() if isinstance(member, str | int)}
    url, local = given.get("url", ""), given.get("local_path", "")
    if not url and not local:
        places.refuse("/repos/0", "names no repository", "an address, or a local path like .")
        return []
    if local:
        if posixpath.isabs(local) or local.startswith("~"):
            places.note_left_out("/repos/0", f"repos {local}", "workdir: FOLDER sends a folder")
            return []
        path = posixpath.normpath(posixpath.join(folder, local))
        places.draft.put("workdir", path, places.line("/repos"))
        places.changed("/repos/0", f"workdir: {path} is packed and sent as it is, with what is not committed")
        return []
    there = given.get("path", ".")
    into = _REPOSITORY if there in {".", "./"} or posixpath.isabs(there) or there.startswith("~") else there
    branch = ["--branch", given["branch"]] if "branch" in given else []
    lines = [shlex.join(["git", "clone", *branch, "--", url, into])]
    if "hash" in given:
        lines.append(shlex.join(["git", "-C", into, "checkout", given["hash"]]))
    places.draft.put("setup", "set -e\n" + "\n".join(lines) + "\n", places.line("/repos"))
    places.draft.put("network", value=True, line=places.line("/repos"))
    places.changed("/repos/0", f"setup clones it into {into}; network: true lets it; it must be public")
    return [f"cd {into}"] if into == _REPOSITORY else []


def _parse(item: object) -> Mapping[str, object]:
    """Return the parts of `URL[:PATH]` or `LOCAL[:PATH]`."""
    text = item if isinstance(item, str) else ""
    if _URL.fullmatch(text):
        head, colon, tail = text.rpartition(":")
        if colon and not tail.startswith("//") and _URL.fullmatch(head) and not tail.isdecimal():
            return {"url": head, "path": tail}
        return {"url": text}
    local, _, path = text.partition(":")
    return {"local_path": local, "path": path} if path else {"local_path": local}
