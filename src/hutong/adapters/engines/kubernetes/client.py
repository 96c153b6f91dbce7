"""The API server over HTTP: bounded requests, their errors sorted into ours, lists by pages, and watches."""

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2

from hutong.adapters.engines.kubernetes import parse
from hutong.adapters.engines.kubernetes.access import Access
from hutong.core.kernel.errors import HutongError, Later, Problem, Refused

Json = dict[str, Any]
_PAGE = 500
_KEPT = 4
_LISTS = 3
_WATCH_S = 30
_SLACK_S = 15.0
_MERGE = "application/merge-patch+json"
# A quota of the namespace is free again one day: it comes as a 403.
_WAITABLE = ("exceeded quota", "try again", "being terminated", "timed out")


class GoneError(HutongError):
    """The resource version is too old: list again."""


class Client:
    """One cluster; may be used by several threads at once."""

    def __init__(self, access: Access, ask_s: float, *, keep: bool = True) -> None:
        """With `keep` connections wait for further requests, and must be closed."""
        self._access = access
        self._watched: set[socket.socket] = set()
        self._http = httpx2.Client(
            base_url=access.server, verify=access.trust, timeout=ask_s, trust_env=False,
            limits=httpx2.Limits(max_keepalive_connections=_KEPT if keep else 0),
            headers={"Accept": "application/json", "User-Agent": "hutong-agent"},
        )  # fmt: skip

    def hang_up(self) -> None:
        """End all watches: whoever reads them hears that the line is dead."""
        for sock in list(self._watched):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all connections; no watch may be going on."""
        self._http.close()

    def create(self, collection: str, body: Json) -> bool:
        """Create an object; False if there is one of its name. Raises Refused or Later."""
        answer = self._send("POST", collection, body=body)
        if answer.status_code == 409:
            reason, message, _ = parse.refusal(_body(answer))
            if reason == "AlreadyExists":
                return False
            raise Later(f"Kubernetes: {message}", 2)
        self._check(answer)
        return True

    def ask(self, path: str, body: Json) -> Json:
        """Send a question that is made of an object; nothing is kept of it. Raises Refused or Later."""
        answer = self._send("POST", path, body=body)
        self._check(answer)
        return self._table(answer)

    def get(self, path: str) -> Json | None:
        """Return an object, or None if there is none."""
        answer = self._send("GET", path)
        if answer.status_code == 404:
            return None
        self._check(answer)
        return self._table(answer)

    def delete(self, path: str, uid: str = "", grace_s: int | None = None) -> None:
        """Delete an object and what belongs to it; one that is gone, or is another by now, is no error."""
        body: Json = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        answer = self._send("DELETE", path, body=body)
        if answer.status_code not in {404, 409}:
            self._check(answer)

    def patch(self, path: str, change: Json) -> bool:
        """Merge a change into an object; False if it names a version that is past. No object is no error."""
        answer = self._send("PATCH", path, body=change)
        if answer.status_code == 409:
            return False
        if answer.status_code not in {404, 410}:
            self._check(answer)
        return True

    def pages(self, collection: str, query: Mapping[str, str] | None = None) -> Iterator[Json]:
        """Yield a list page by page, each with `items` and `metadata`. Raises GoneError if it is too old."""
        asked = {"limit": str(_PAGE), **(query or {})}
        while True:
            answer = self._send("GET", collection, query=asked)
            if answer.status_code == 410:
                raise GoneError
            self._check(answer)
            page = self._table(answer)
            yield page
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return
            asked["continue"] = more

    def list(self, collection: str, query: Mapping[str, str] | None = None) -> tuple[list[Json], str]:
        """Return all objects of a collection and the version that the list has. Raises Refused, Later."""
        for _ in range(_LISTS):
            found: list[Json] = []
            version = ""
            try:
                for page in self.pages(collection, query):
                    found += page.get("items") or []
                    version = str((page.get("metadata") or {}).get("resourceVersion", ""))
            except GoneError:
                continue
            return found, version
        raise Later(f"Kubernetes: the list of {collection} grows old before it is read", 5)

    @contextmanager
    def watch(self, collection: str, version: str, query: Mapping[str, str]) -> Iterator[Iterator[Json]]:
        """Yield what happens after a version until the server ends it. Raises GoneError, Later, Refused."""
        asked = {
            **query, "watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_S),
        }  # fmt: skip
        timeout = httpx2.Timeout(_SLACK_S, read=_WATCH_S + _SLACK_S)
        try:
            with self._http.stream(
                "GET", collection, params=asked, headers=self._headers(), timeout=timeout
            ) as answer:
                if answer.status_code != 200:
                    answer.read()
                    if answer.status_code == 410:
                        raise GoneError
                    self._check(answer)
                sock = answer.extensions["network_stream"].get_extra_info("socket")
                self._watched.add(sock)
                try:
                    yield _events(answer)
                finally:
                    self._watched.discard(sock)
        except (httpx2.HTTPError, OSError) as error:
            raise Later(f"Kubernetes: {error or type(error).__name__}", 1) from error

    def _headers(self) -> dict[str, str]:
        try:
            token = self._access.token()
        except OSError as error:
            raise Later(f"the token of the cluster cannot be read: {error}", 5) from error
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _send(
        self, method: str, path: str, *, body: Json | None = None, query: dict[str, str] | None = None
    ) -> httpx2.Response:
        headers = self._headers() | ({"Content-Type": _MERGE} if method == "PATCH" else {})
        try:
            return self._http.request(method, path, json=body, params=query, headers=headers)
        except (httpx2.HTTPError, OSError) as error:
            raise Later(f"Kubernetes: {error or type(error).__name__}", 5) from error

    def _table(self, answer: httpx2.Response) -> Json:
        found = _body(answer)
        if not isinstance(found, dict):
            raise Later(f"Kubernetes: {answer.url.path} is no object", 5)
        return found

    def _check(self, answer: httpx2.Response) -> None:
        """Raise what an answer that is no success means: Refused where no waiting helps."""
        status = answer.status_code
        if status < 300:
            return
        reason, message, fields = parse.refusal(_body(answer))
        text = f"Kubernetes answers {status} {reason}: {message}".rstrip(": ")
        if status == 401:
            raise Later(f"{text}; is the token still right?", 30)
        if status in {400, 403, 404, 405, 422} and not any(words in message for words in _WAITABLE):
            problems = tuple(Problem("/resources", each) for each in fields or (message,))
            raise Refused("kubernetes_refused", text, problems)
        raise Later(text, parse.number(answer.headers.get("Retry-After")) or 5)


def _body(answer: httpx2.Response) -> object:
    try:
        return answer.json()
    except ValueError:
        return answer.text


def _events(answer: httpx2.Response) -> Iterator[Json]:
    for line in answer.iter_lines():
        if not line.strip():
            continue
        try:
            told = json.loads(line)
        except ValueError as error:
            raise Later("Kubernetes: a watch was cut off", 1) from error
        if told.get("type") == "ERROR":
            if parse.number((told.get("object") or {}).get("code")) == 410:
                raise GoneError
            raise Later(f"Kubernetes: {parse.refusal(told.get('object'))[1]}", 1)
        yield told
