"""JSON pointers (RFC 6901): how a problem names the place in a document that it is about."""


def extend(path: str, key: str | int) -> str:
    """Return the pointer of a member (by key or index) of what `path` points to."""
    return f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"


def parent(path: str) -> str:
    """Return the pointer of what contains the place; the whole document is its own parent."""
    return path.rpartition("/")[0]
