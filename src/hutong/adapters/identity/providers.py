"""What identity providers publish, fetched within bounds and remembered: endpoints and keys."""

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx2
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from hutong.core.kernel.errors import Later, Problem, Refused

BODY_BYTES_MAX = 256 * 1024
TIMEOUT_S = 5.0
KEEP_MS = 3_600_000
ASK_AGAIN_MS = 30_000
CALLS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Metadata:
    """The part of a provider's discovery document (OpenID Connect Discovery 1.0, 3) that we use."""

    authorization: str
    token: str
    jwks: str
    userinfo: str
    methods: tuple[str, ...]
    says_issuer: bool  # RFC 9207: its answers name it


def check_address(url: str, what: str) -> str:
    """Return an address that may be called: https, or http on this machine. Raises Refused."""
    parts = urlsplit(url)
    near = parts.hostname == "localhost" or _loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and near)):
        problem = Problem("/url", f"{what} {url[:200]!r} is not safe to call", "an https:// address")
        raise Refused("unsafe_address", f"{what} {url[:200]!r} is not https", (problem,))
    return url


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@cache
def _tls() -> ssl.SSLContext:
    """Return the authorities that are trusted; they take 20 ms to read."""
    return httpx2.create_ssl_context(trust_env=False)


class Providers:
    """Calls identity providers. A slow one costs at most `CALLS_AT_ONCE` threads for 5 s each."""

    def __init__(self, transport: httpx2.BaseTransport | None = None) -> None:
        self._http = httpx2.Client(
            timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, transport=transport, verify=_tls()
        )
        self._slots = threading.BoundedSemaphore(CALLS_AT_ONCE)
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, Metadata]] = {}
        self._keys: dict[str, tuple[int, KeySet]] = {}

    def metadata(self, issuer: str, now_ms: int) -> Metadata:
        """Return what a provider says of itself; asked once an hour."""
        with self._lock:
            at_ms, known = self._known.get(issuer, (0, None))
        if known is not None and now_ms - at_ms < KEEP_MS:
            return known
        told = self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if told.get("issuer") != issuer:
            problem = Problem("/url", f"it says that it is {str(told.get('issuer'))[:200]!r}", "exactly that")
            raise Refused("other_issuer", f"{issuer} says that it is another issuer", (problem,))
        methods = told.get("token_endpoint_auth_methods_supported")
        made = Metadata(
            authorization=check_address(str(told.get("authorization_endpoint", "")), "its sign-in page"),
            token=check_address(str(told.get("token_endpoint", "")), "its token endpoint"),
            jwks=check_address(str(told.get("jwks_uri", "")), "its key set"),
            userinfo=check_address(str(told["userinfo_endpoint"]), "its userinfo endpoint")
            if "userinfo_endpoint" in told
            else "",
            methods=tuple(map(str, methods)) if isinstance(methods, list) else (),
            says_issuer=told.get("authorization_response_iss_parameter_supported") is True,
        )
        with self._lock:
            self._known[issuer] = (now_ms, made)
        return made

    def keys(self, issuer: str, now_ms: int, *, fresh: bool = False) -> KeySet:
        """Return a provider's keys; `fresh`: ask again, unless that was done within the last 30 s."""
        with self._lock:
            at_ms, known = self._keys.get(issuer, (0, None))
        if known is not None and now_ms - at_ms < (ASK_AGAIN_MS if fresh else KEEP_MS):
            return known
        told = self._get(self.metadata(issuer, now_ms).jwks)
        listed = told.get("keys")
        usable = [key for key in listed if _signs(key)] if isinstance(listed, list) else []
        try:
            found = KeySet.import_key_set({"keys": usable})
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise Later(f"the keys of {issuer} cannot be read", 30) from error
        with self._lock:
            self._keys[issuer] = (now_ms, found)
        return found

    def post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, dict[str, object]]:
        """Send a form; return the status and the JSON object that came back."""
        request = self._http.build_request("POST", url, data=dict(form), headers=dict(headers))
        return self._send(request)

    def userinfo(self, url: str, access_token: str) -> dict[str, object]:
        """Return what the provider tells of the bearer of an access token; nothing if it does not."""
        request = self._http.build_request("GET", url, headers={"Authorization": f"Bearer {access_token}"})
        status, told = self._send(request)
        return told if status == 200 else {}

    def forget(self, issuer: str) -> None:
        """Forget what is known of a provider: its settings changed."""
        with self._lock:
            self._known.pop(issuer, None)
            self._keys.pop(issuer, None)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _get(self, url: str) -> dict[str, object]:
        status, told = self._send(self._http.build_request("GET", url))
        if status != 200:
            raise Later(f"{url} answered {status}", 30)
        return told

    def _send(self, request: httpx2.Request) -> tuple[int, dict[str, object]]:
        request.headers["Accept"] = "application/json"
        with self._slot():
            try:
                reply = self._http.send(request, stream=True)
                try:
                    body = _bounded(reply)
                finally:
                    reply.close()
            except httpx2.TransportError as error:
                raise Later(f"{request.url.host} cannot be reached: {type(error).__name__}", 10) from error
        if reply.status_code >= 500:
            raise Later(f"{request.url.host} is in trouble ({reply.status_code})", 10)
        try:
            told = json.loads(body)
        except ValueError:
            told = None
        return reply.status_code, told if isinstance(told, dict) else {}

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(blocking=False):
            raise Later("too many sign-ins wait for their provider", 5)
        try:
            yield
        finally:
            self._slots.release()


def _bounded(reply: httpx2.Response) -> bytes:
    body = b""
    for piece in reply.iter_bytes():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            raise Later("the provider's answer is too large", 30)
    return body


def _signs(key: object) -> bool:
    """True for a public key that may sign: a set may hold others, of kinds that are unknown to us."""
    return isinstance(key, dict) and key.get("kty") in {"RSA", "EC", "OKP"} and key.get("use", "sig") == "sig"
