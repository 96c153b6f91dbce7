"""OpenID Connect providers: where their doors are, whom they say somebody is, and whom they signed out."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import quote_plus, urlencode

from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError, MissingKeyError

from hutong.adapters.identity.providers import Metadata, Providers
from hutong.core.kernel.errors import Denied

SKEW_S = 60
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TOKEN_LIVES_S = 300
# Asymmetric ones alone: by HS256 whoever knows our secret could be anybody, and `none` is nobody's word.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519")
_MULTI_FACTOR = frozenset({"mfa", "otp", "hwk", "swk", "fpt", "face", "sc"})
_SUBJECT_AT_MOST = 255


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are at a provider; without a secret we are a public client, and PKCE alone protects the code."""

    issuer: str
    client_id: str
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whom a provider vouched for. `strong`: it says that more than one factor was asked for."""

    subject: str
    sid: str
    strong: bool
    claims: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SignedOut:
    """Whose sessions a provider ended: of a subject, or one session (`sid`), at `at_ms`."""

    subject: str
    sid: str
    at_ms: int


def authorization_url(
    metadata: Metadata, client: Client, *, redirect: str, state: str, nonce: str, verifier: str
) -> str:
    """Return where to send a browser: code flow, S256 challenge (RFC 7636)."""
    challenge = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = urlencode(
        {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": redirect,
            "scope": "openid profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
    )
    return f"{metadata.authorization}{'&' if '?' in metadata.authorization else '?'}{query}"


def redeem(
    providers: Providers, client: Client, *, code: str, verifier: str, redirect: str, nonce: str, now_ms: int
) -> SignedIn:
    """Change a code for whom it stands for. Raises Denied (`unauthenticated`) for whatever is not right."""
    metadata = providers.metadata(client.issuer, now_ms)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect,
        "code_verifier": verifier,
    }
    headers = _authenticate(metadata, client, form)
    status, answer = providers.post(metadata.token, form, headers)
    if status != 200 or not isinstance(answer.get("id_token"), str):
        raise refused(f"the code was not accepted: {str(answer.get('error', status))[:100]}")
    claims = _verify(providers, client, str(answer["id_token"]), now_ms)
    _check_times(claims, now_ms)
    if claims.get("nonce") != nonce:
        raise refused("the answer belongs to another sign-in (nonce)")
    subject = _subject(claims)
    access = answer.get("access_token")
    if metadata.userinfo and isinstance(access, str) and "name" not in claims:
        told = providers.userinfo(metadata.userinfo, access)
        if told.get("sub") == subject:  # else it speaks of somebody else, and is not listened to
            claims = {**told, **claims}
    amr = claims.get("amr")
    strong = isinstance(amr, list) and not _MULTI_FACTOR.isdisjoint(map(str, amr))
    return SignedIn(subject, _text(claims, "sid"), strong, claims)


def read_logout(providers: Providers, client: Client, token: str, now_ms: int) -> SignedOut:
    """Return whom a back-channel logout token signs out (OpenID Connect Back-Channel Logout 1.0, 2.6)."""
    claims = _verify(providers, client, token, now_ms)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise refused("this is not a logout token (events)")
    if "nonce" in claims:
        raise refused("a logout token has no nonce")
    issued_s = _number(claims, "iat")
    if not -SKEW_S <= now_ms / 1000 - issued_s <= LOGOUT_TOKEN_LIVES_S:
        raise refused("this logout token is too old (iat)")
    if "exp" in claims and _number(claims, "exp") + SKEW_S <= now_ms / 1000:
        raise refused("this logout token has expired (exp)")
    subject, sid = _text(claims, "sub"), _text(claims, "sid")
    if not (subject or sid):
        raise refused("a logout token names a subject or a session")
    return SignedOut(subject, sid, int(issued_s * 1000))


def refused(why: str) -> Denied:
    """Return the refusal of a sign-in."""
    return Denied("unauthenticated", f"the sign-in failed: {why}")


def _authenticate(metadata: Metadata, client: Client, form: dict[str, str]) -> dict[str, str]:
    if not client.secret:
        form["client_id"] = client.client_id
        return {}
    if "client_secret_basic" in metadata.methods or not metadata.methods:
        pair = f"{quote_plus(client.client_id)}:{quote_plus(client.secret)}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    form |= {"client_id": client.client_id, "client_secret": client.secret}
    return {}


def _verify(providers: Providers, client: Client, token: str, now_ms: int) -> dict[str, Any]:
    """Return a token's claims once its signature, issuer and audience are right."""
    kid = _kid(token)
    try:
        try:
            claims = jwt.decode(token, providers.keys(client.issuer, now_ms), algorithms=ALGORITHMS).claims
        except (InvalidKeyIdError, MissingKeyError, BadSignatureError):
            # The provider may have changed its keys since (some give them no id, so that only the signature
            # tells); it is asked again, but not by every guess.
            keys = providers.keys(client.issuer, now_ms, fresh=True)
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
    except (JoseError, ValueError, TypeError) as error:
        raise refused(f"the provider's token (key {kid!r}) is not good") from error
    if claims.get("iss") != client.issuer:
        raise refused("the token is of another issuer (iss)")
    audience = claims.get("aud")
    meant = audience if isinstance(audience, list) else [audience]
    if client.client_id not in meant or claims.get("azp", client.client_id) != client.client_id:
        raise refused("the token is for another client (aud, azp)")
    return dict(claims)


def _kid(token: str) -> str:
    try:
        head = token.partition(".")[0]
        told = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
        return str(told.get("kid", ""))[:60] if isinstance(told, dict) else ""
    except ValueError:
        return ""


def _check_times(claims: Mapping[str, object], now_ms: int) -> None:
    now_s = now_ms / 1000
    if _number(claims, "exp") + SKEW_S <= now_s:
        raise refused("the token has expired (exp)")
    if _number(claims, "iat") - SKEW_S > now_s:
        raise refused("the token is from the future (iat): compare the clocks")
    if "nbf" in claims and _number(claims, "nbf") - SKEW_S > now_s:
        raise refused("the token is not valid yet (nbf): compare the clocks")


def _subject(claims: Mapping[str, object]) -> str:
    subject = _text(claims, "sub")
    if not subject or len(subject) > _SUBJECT_AT_MOST:
        raise refused("the token has no usable subject (sub)")
    return subject


def _text(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _number(claims: Mapping[str, object], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused(f"the token has no time {name}")
    return float(value)
