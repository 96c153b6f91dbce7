"""Pure: what of a request and its answer passes between a browser and a job, and what does not."""

import re
from collections.abc import Iterable

from hutong.adapters.identity.tokens import looks_like_secret

Headers = list[tuple[bytes, bytes]]
COOKIE = "hutong-visit"
SAFE_COOKIE = f"__Host-{COOKIE}"
_OURS = frozenset({COOKIE, SAFE_COOKIE})
_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection",
        b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
_SOCKET = re.compile(rb"sec-websocket-.*|origin|host|user-agent")
_FORWARDED = re.compile(rb"x-forwarded-.*|forwarded|x-real-ip|x-hutong-.*")
_DOMAIN = re.compile(rb";\s*domain\s*=[^;]*", re.IGNORECASE)


def visits_of(headers: Iterable[tuple[bytes, bytes]], *, secure: bool) -> tuple[str, ...]:
    """Return the secrets of visits among a request's cookies; over TLS only what no other host could set."""
    wanted = SAFE_COOKIE if secure else COOKIE
    found = []
    for name, value in headers:
        if name == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                key, _, secret = pair.strip().partition("=")
                if key == wanted:
                    found.append(secret)
    return tuple(found[:4])


def visit_cookie(secret: str, lives_s: int, *, secure: bool) -> bytes:
    """Return the cookie of a visit: for this host only, unseen by scripts, not sent from other sites."""
    name, more = (SAFE_COOKIE, "; Secure") if secure else (COOKIE, "")
    return f"{name}={secret}; Path=/; Max-Age={lives_s}; HttpOnly; SameSite=Lax{more}".encode()


def onward(headers: Headers, *, client: str, scheme: str, host: bytes) -> Headers:
    """Return what goes to the job: nothing hop-by-hop, nothing of the platform's, and who asks as we see it.

    A body's length is stated once: chunked where the request was, else as it said.
    """
    dropped = _HOP | _named_by_connection(headers)
    chunked = any(name == b"transfer-encoding" for name, _ in headers)
    out: Headers = []
    for name, value in headers:
        if name in dropped or _FORWARDED.fullmatch(name) or (chunked and name == b"content-length"):
            continue
        if name == b"cookie":
            value = _without_ours(value)  # noqa: PLW2901 - the header, less our part of it
            if not value:
                continue
        if name == b"authorization" and looks_like_secret(value.decode("latin-1").partition(" ")[2].strip()):
            continue
        out.append((name, value))
    if chunked:
        out.append((b"transfer-encoding", b"chunked"))
    return [
        *out,
        (b"x-forwarded-for", client.encode("latin-1")),
        (b"x-forwarded-proto", scheme.encode()),
        (b"x-forwarded-host", host),
    ]


def onward_socket(headers: Headers, *, client: str, scheme: str, host: bytes) -> list[tuple[str, str]]:
    """Return what goes to the job beside the headers of a WebSocket's own handshake."""
    passed = onward(headers, client=client, scheme=scheme, host=host)
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in passed
        if not _SOCKET.fullmatch(name) and name not in {b"content-length", b"transfer-encoding"}
    ]


def homeward(headers: Headers) -> Headers:
    """Return what comes back from the job: it sets cookies for its own host only, and none of ours."""
    lower = [(name.lower(), value) for name, value in headers]
    dropped = _HOP | _named_by_connection(lower)
    out: Headers = []
    for name, value in lower:
        if name in dropped:
            continue
        if name == b"set-cookie":
            if value.decode("latin-1").partition("=")[0].strip() in _OURS:
                continue
            value = _DOMAIN.sub(b"", value)  # noqa: PLW2901 - the header, less what reaches beyond this host
        out.append((name, value))
    return out


def is_foreign(headers: Headers, host: bytes, scheme: str) -> bool:
    """True for a request that a page of another origin has made, other than by a link that somebody followed.

    Hosts of other jobs are of the same site to a browser, so its cookie rules do not keep them out.
    """
    found = dict(headers)
    origin = found.get(b"origin")
    if origin is not None and origin != scheme.encode() + b"://" + host:
        return True
    site = found.get(b"sec-fetch-site", b"none")
    if site in {b"none", b"same-origin"}:
        return False
    followed = found.get(b"sec-fetch-mode") == b"navigate" and found.get(b"sec-fetch-dest") == b"document"
    return not followed


def _named_by_connection(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    named = b",".join(value for name, value in headers if name == b"connection")
    # What frames a message, or says whom it is for, is ours to judge, whatever a Connection header says.
    kept = {b"content-length", b"host", b"cookie", b"authorization"}
    return frozenset(part.strip().lower() for part in named.split(b",")) - kept


def _without_ours(value: bytes) -> bytes:
    pairs = [pair.strip() for pair in value.split(b";")]
    kept = [pair for pair in pairs if pair.partition(b"=")[0].decode("latin-1").strip() not in _OURS]
    return b"; ".join(pair for pair in kept if pair)
