"""Ray's Jobs API over HTTP: one request a question, bounded in time, its errors sorted into ours."""

from typing import Any

import httpx2

from hutong.adapters.engines.ray import parse
from hutong.adapters.engines.ray.config import RayConfig
from hutong.adapters.engines.ray.parse import Record, Usage
from hutong.core.kernel.errors import Later, Problem, Refused

_NODES = "/api/v0/nodes"
_ACTORS = "/api/v0/actors"
_LIVING = ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "ALIVE", "RESTARTING")
_MOST = 10_000  # what the head lists at most


class JobsClient:
    """The dashboard of one cluster."""

    def __init__(self, config: RayConfig) -> None:
        headers = {}
        if config.token_file:
            headers["Authorization"] = f"Bearer {config.token_file.read_text(encoding='utf-8').strip()}"
        self._http = httpx2.Client(
            base_url=config.url.rstrip("/"),
            headers=headers,
            timeout=config.ask_s,
            trust_env=False,
            limits=httpx2.Limits(max_keepalive_connections=0),
        )

    def submit(self, body: dict[str, Any]) -> bool:
        """Submit a job; False if there is one of its name. Raises Refused where Ray never will."""
        answer = self._send("POST", "/api/jobs/", json=body)
        if answer.status_code == 500 and "already exists" in answer.text:
            return False
        if answer.status_code == 400:
            text = _last_words(answer.text)
            raise Refused("ray_refused", f"Ray refuses it: {text}", (Problem("/resources", text),))
        _check(answer)
        return True

    def job(self, name: str) -> Record | None:
        """Return one job, or None if Ray knows none of this name."""
        answer = self._send("GET", f"/api/jobs/{name}")
        if answer.status_code == 404:
            return None
        _check(answer)
        return parse.job(answer.json())

    def jobs(self) -> list[Record]:
        """Return every job that was submitted, by whomever."""
        return parse.jobs(self._ask("/api/jobs/"))

    def stop(self, name: str) -> None:
        """Have a job's driver ended; one that is over or unknown is no error."""
        self._leave(self._send("POST", f"/api/jobs/{name}/stop"))

    def delete(self, name: str) -> None:
        """Have Ray forget a job that is over."""
        self._leave(self._send("DELETE", f"/api/jobs/{name}"))

    def version(self) -> str:
        """Return the version of Ray."""
        return str(self._ask("/api/version").get("ray_version", ""))

    def open(self) -> bool:
        """Return whether the head takes requests without a token."""
        return self._send("GET", "/api/version", headers={"Authorization": ""}).status_code == 200

    def nodes(self) -> list[dict[str, float]]:
        """Return the resources of each node that is alive."""
        return parse.totals(self._ask(f"{_NODES}?limit={_MOST}"))

    def starters(self) -> frozenset[str] | None:
        """Return the jobs that Ray has a supervisor for; None if there are too many to tell."""
        # One question a state: the head itself sorts by equality only, and keeps dead ones in thousands.
        by_state = "filter_keys=state&filter_predicates=%3D&filter_values="
        return parse.starters(self._ask(f"{_ACTORS}?limit={_MOST}&{by_state}{state}") for state in _LIVING)

    def usage(self) -> Usage:
        """Return what is in use of each resource, in all and by node."""
        return parse.usage(self._ask("/api/cluster_status"))

    def _leave(self, answer: httpx2.Response) -> None:
        if answer.status_code not in {400, 404}:
            _check(answer)

    def _ask(self, path: str) -> Any:  # noqa: ANN401  (what an answer holds is for parse to say)
        answer = self._send("GET", path)
        _check(answer)
        try:
            return answer.json()
        except ValueError as error:
            raise Later(f"{path} of Ray's head is no JSON: {error}", 5) from error

    def _send(self, method: str, path: str, **more: Any) -> httpx2.Response:  # noqa: ANN401  (httpx2's own)
        try:
            return self._http.request(method, path, **more)
        except httpx2.HTTPError as error:
            raise Later(f"Ray's head: {error or type(error).__name__}", 5) from error


def _check(answer: httpx2.Response) -> None:
    if answer.status_code in {401, 403}:
        raise Later("Ray's head wants another token: see token_file", 30)
    if answer.status_code != 200:
        raise Later(f"Ray's head answers {answer.status_code}: {_last_words(answer.text)}", 5)


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "no word why"
