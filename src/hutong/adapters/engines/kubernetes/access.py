"""How the API server is reached: by a kubeconfig, or by the service account of the agent's own pod."""

import base64
import os
import ssl
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hutong.core.kernel.errors import Problem, Refused

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_REREAD_S = 60.0


@dataclass(frozen=True, slots=True)
class Access:
    """A server, what to trust, and who we are. `token` is asked before each request: it changes."""

    server: str
    trust: ssl.SSLContext
    token: Callable[[], str]
    namespace: str = "default"


def open_access(kubeconfig: Path | None, context: str, account: Path = _ACCOUNT) -> Access:
    """Return how to reach the cluster. Raises Refused where the files do not say it."""
    try:
        return _from_file(kubeconfig, context) if kubeconfig else _in_cluster(account)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, ssl.SSLError) as error:
        what = (
            f"{kubeconfig} cannot be used" if kubeconfig else "no kubeconfig, and this is no pod of a cluster"
        )
        why = f"misses {error}" if isinstance(error, KeyError) else str(error)
        problem = Problem("/kubeconfig", f"{what}: {why}", "set [engine] kubeconfig to a file of kubectl's")
        raise Refused("bad_config", problem.message, (problem,)) from error


def _in_cluster(account: Path) -> Access:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    trust = ssl.create_default_context(cafile=str(account / "ca.crt"))
    return Access(server, trust, TokenFile(account / "token"), (account / "namespace").read_text().strip())


def _from_file(path: Path, wanted: str) -> Access:
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    context = _named(told["contexts"], wanted or told["current-context"])["context"]
    cluster = _named(told["clusters"], context["cluster"])["cluster"]
    user = _named(told["users"], context["user"]).get("user") or {}
    for method in ("exec", "auth-provider", "username"):
        if method in user:
            raise ValueError(
                f"its user logs in by {method!r}: use a service account's token or a certificate"
            )
    trust = _trust(cluster, path.parent)
    if "client-certificate" in user or "client-certificate-data" in user:
        _show_certificate(trust, user, path.parent)
    return Access(
        cluster["server"].rstrip("/"), trust, _token(user, path.parent), context.get("namespace", "default")
    )


def _named(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for row in rows:
        if row["name"] == name:
            return row
    raise ValueError(f"it has no {name!r}")


def _trust(cluster: dict[str, Any], home: Path) -> ssl.SSLContext:
    data = cluster.get("certificate-authority-data")
    if data:
        context = ssl.create_default_context(cadata=base64.b64decode(data).decode())
    elif cluster.get("certificate-authority"):
        context = ssl.create_default_context(cafile=str(home / cluster["certificate-authority"]))
    else:
        context = ssl.create_default_context()
    if cluster.get("insecure-skip-tls-verify"):
        raise ValueError("it turns the check of the server off: give certificate-authority instead")
    return context


def _show_certificate(trust: ssl.SSLContext, user: dict[str, Any], home: Path) -> None:
    """Load the client's certificate; what stands in the kubeconfig itself has to go through a file."""
    with tempfile.TemporaryDirectory() as folder:
        places = []
        for name in ("client-certificate", "client-key"):
            if f"{name}-data" in user:
                place = Path(folder) / name
                place.touch(mode=0o600)
                place.write_bytes(base64.b64decode(user[f"{name}-data"]))
            else:
                place = home / user[name]
            places.append(str(place))
        trust.load_cert_chain(*places)


def _token(user: dict[str, Any], home: Path) -> Callable[[], str]:
    if user.get("tokenFile"):
        return TokenFile(home / user["tokenFile"])
    token = str(user.get("token", ""))
    return lambda: token


class TokenFile:
    """A token that the cluster replaces from time to time: read again every `every_s` seconds."""

    def __init__(self, path: Path, every_s: float = _REREAD_S) -> None:
        self._path = path
        self._every_s = every_s
        self._token = ""
        self._read_s = float("-inf")

    def __call__(self) -> str:
        """Return the token. Raises OSError."""
        now = time.monotonic()
        if now - self._read_s >= self._every_s:
            self._token, self._read_s = self._path.read_text(encoding="utf-8").strip(), now
        return self._token
