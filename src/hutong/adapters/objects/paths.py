"""Paths of objects: what may be one, and where content lives by its digest."""

import re

from hutong.core.kernel.errors import Problem, Refused

_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
_STAGED = re.compile(r"#\d+$")


def checked_path(path: str) -> str:
    """Return `path` if it may name an object; raises Refused (`bad_path`) otherwise.

    A path is relative; its segments are neither empty, `.` nor `..`, and hold no control character,
    backslash or trailing `#<number>` (files being written have such names).
    """
    wrong = _fault(path)
    if wrong:
        problem = Problem("/path", f"{path[:200]!r}: {wrong}", "a relative path such as model/config.json")
        raise Refused("bad_path", f"{path[:200]!r} cannot name an object: {wrong}", (problem,))
    return path


def checked_digest(digest: str) -> str:
    """Return `digest` if it is `sha256:` and 64 lower-case hex digits; raises Refused (`bad_digest`)."""
    if not _DIGEST.match(digest):
        problem = Problem("/digest", f"{digest[:100]!r} is not a digest", "sha256:<64 lower-case hex digits>")
        raise Refused("bad_digest", f"{digest[:100]!r} is not a digest", (problem,))
    return digest


def content_path(digest: str) -> str:
    """Return where the bytes of a digest live: `content/<two hex>/<hex>`."""
    name = checked_digest(digest).removeprefix("sha256:")
    return f"content/{name[:2]}/{name}"


def _fault(path: str) -> str:
    if not path or len(path.encode(errors="surrogatepass")) > 1_024:
        return "it is empty" if not path else "it is longer than 1024 bytes"
    if not path.isprintable() or "\\" in path:
        return "it has a control character or a backslash"
    for part in path.split("/"):
        if part in {"", ".", ".."}:
            return "it leaves its folder, or has an empty part"
        if len(part.encode(errors="surrogatepass")) > 255:
            return "a part of it is longer than 255 bytes"
        if _STAGED.search(part):
            return "a part ends in '#' and a number"
    return ""
