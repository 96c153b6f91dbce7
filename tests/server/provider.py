"""An identity provider on loopback that can be bent: real HTTP, keys, tokens, and the lies of tests."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


def new_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@dataclass
class Bent:
    """The provider. `claims` are put over those of an honest token; `published` is its key set."""

    url: str = ""
    key: RSAKey = field(default_factory=lambda: new_key("one"))
    published: list[RSAKey] = field(default_factory=list)
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    key_calls: int = 0

    def __post_init__(self) -> None:
        self.published = [self.key]

    def visit(self, address: str, subject: str = "s-1", **claims: Any) -> dict[str, str]:
        """Sign in as a subject at the address that the platform gave; return the redirect's query."""
        query = dict(parse_qsl(urlsplit(address).query))
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = {**query, "sub": subject, "more": json.dumps(claims)}
        return {"code": code, "state": query["state"]}

    def token(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid, **self.head}, claims, self.key)

    def logout_token(self, client: str, **claims: Any) -> str:
        told = {"iss": self.url, "aud": client, "iat": int(time.time()), "exp": int(time.time()) + 60}
        return self.token({**told, "jti": "j", "events": {LOGOUT_EVENT: {}}, **claims})

    def redeem(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        asked = self.codes.pop(form.get("code", ""), None)
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge:
            return 400, {"error": "invalid_grant"}
        if asked["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now_s = int(time.time())
        told = {
            "iss": self.url, "aud": asked["client_id"], "sub": asked["sub"], "nonce": asked["nonce"],
            "iat": now_s, "exp": now_s + 300, "name": "李娜", "preferred_username": "li.na@example.edu",
        }  # fmt: skip
        claims = {**told, **json.loads(asked["more"]), **self.claims}
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": self.token(claims)}

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/auth",
                "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys", **self.metadata,
            }  # fmt: skip
        if path == "/keys":
            self.key_calls += 1
            return 200, {"keys": [key.as_dict(private=False) for key in self.published]}
        return 404, {}


@contextmanager
def bent_provider() -> Iterator[Bent]:
    """Run one on a free port."""
    bent = Bent()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(*bent.answer(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._say(*bent.redeem({name: values[0] for name, values in parse_qs(body).items()}))

        def _say(self, status: int, told: dict[str, Any]) -> None:
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    bent.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield bent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
