"""Slurm by slurmrestd: the same questions as by its programs, over HTTP with a token."""

import json
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx2

from hutong.adapters.engines.slurm import accounting, parse_json
from hutong.adapters.engines.slurm.accounting import Row
from hutong.adapters.engines.slurm.build import Submission
from hutong.adapters.engines.slurm.commands import find_programs, job_environment, user_name
from hutong.adapters.engines.slurm.config import SlurmConfig
from hutong.adapters.engines.slurm.nodes import Node, median_waits
from hutong.adapters.engines.slurm.parse import Record
from hutong.adapters.engines.slurm.token import Token
from hutong.adapters.engines.slurm.transport import Settings, sort_refusal
from hutong.core.kernel.errors import Later, Problem, Refused

_NAMES_AT_ONCE = 50
_UNSPECIFIED = (-1, 0)
_NOTHING_FOUND = 9003
_ARRAY_MOST = 1_001  # what Slurm's MaxArraySize is unless it is set, for it is not told here
_DAY_MS = 86_400_000
_DATA_PARSER = 39  # from v0.0.39 on, what is sent has another shape


class NoSuchPath(Later):
    """The daemon that answers serves no such path; another version of it might."""


class Rest:
    """One cluster's slurmrestd. Each question is one connection, bounded in time."""

    rests = 10  # it tells hundreds of fields of every job of the cluster: a look may take a second

    def __init__(self, config: SlurmConfig, clock: Callable[[], int]) -> None:
        if config.rest is None or not (config.rest.token_file or config.rest.token_command):
            problem = Problem("/rest_token_file", "is missing", "rest_token_file or rest_token_command")
            raise Refused("bad_config", "slurmrestd wants a token", (problem,))
        self._rest = config.rest
        # Made once: with its certificates it costs 24 ms of CPU. Over plain HTTP there is nobody to trust.
        self._trust = ssl.create_default_context() if config.rest.url.startswith("https:") else False
        self._ask_s = config.ask_s
        self._user = config.rest.user or user_name()
        self._token = Token(config.rest, clock)
        self._clock = clock
        self._waiting: list[tuple[str, int, str]] | None = None
        self._environment = job_environment(config)
        self._version = int(config.rest.api_version.rpartition(".")[2])
        self.programs: Mapping[str, str] = find_programs(config)

    def submit(self, job: Submission) -> str:
        """Submit and return the job's number. Raises Refused if Slurm never will, Later if it cannot now."""
        body = submission_body(job, self._environment, self._version)
        answer = self._ask("POST", self._slurm("job/submit"), body=body)
        found = parse_json.problems(answer)
        job_id = parse_json.whole(answer.get("job_id"))
        if found:
            if all(code in _UNSPECIFIED for code, _ in found):
                # A bad token, a controller that is away and a plugin's veto all look like this.
                raise Later(f"slurmrestd: {found[0][1]}", 10)
            raise sort_refusal("\n".join(text for _, text in found))
        if not job_id:
            raise Later("slurmrestd names no job", 5)
        return str(job_id)

    def queue(self) -> list[Record]:
        """Return every job that the controller knows of our user."""
        answer = self._answer("GET", self._slurm("jobs"))
        everybody = [each for each in answer.get("jobs") or [] if isinstance(each, dict)]
        self._waiting = parse_json.waiting(everybody)
        return parse_json.jobs({"jobs": [each for each in everybody if each.get("user_name") == self._user]})

    def history(self, names: Sequence[str], since_days: int) -> list[Record]:
        """Return what accounting knows of jobs by name."""
        since = datetime.fromtimestamp((self._clock() - since_days * _DAY_MS) / 1000, UTC).strftime(
            "%Y-%m-%d"
        )
        found = []
        for at in range(0, len(names), _NAMES_AT_ONCE):
            wanted = {"job_name": ",".join(names[at : at + _NAMES_AT_ONCE]), "start_time": since}
            found += parse_json.past_jobs(self._answer("GET", self._slurmdb("jobs"), params=wanted))
        return found

    def ended(self, from_s: int, upto_s: int, *, steps: bool) -> list[Row]:
        """Return what accounting knows of every start of our user's jobs in a time (UTC seconds).

        Never their steps: which plugin measures energy is not told here, so they would say nothing.
        """
        del steps
        # A bare number would be read as a date, and a date in the daemon's own zone.
        wanted = {"start_time": f"uts{from_s}", "end_time": f"uts{upto_s}", "skip_steps": "true"}
        return accounting.read_json(self._answer("GET", self._slurmdb("jobs"), params=wanted), self._user)

    def cancel(self, job_ids: Iterable[str]) -> None:
        """Have jobs ended; one that is over already is no error."""
        for job_id in sorted(set(job_ids)):
            self._ask("DELETE", self._slurm(f"job/{job_id}"))

    def nodes(self) -> list[Node]:
        """Return every node with its devices."""
        return parse_json.nodes(self._answer("GET", self._slurm("nodes")))

    def own_cpus(self) -> dict[str, int]:
        """Return nothing: no energy is counted here that would ask for it."""
        return {}

    def waits(self, now_s: int) -> dict[str, int]:
        """Return the median wait of everybody's jobs in each partition's queue, in seconds.

        The answer to a `queue` is used once: jobs are told with all their fields, so asking twice is dear.
        """
        if self._waiting is None:
            self.queue()
        waiting, self._waiting = self._waiting or [], None
        return median_waits(waiting, now_s)

    def default_partition(self) -> str:
        """Return the partition of jobs that name none."""
        return parse_json.default_partition(self._answer("GET", self._slurm("partitions")))

    def settings(self) -> Settings:
        """Return what the cluster is; whether it measures energy is not told here."""
        ping = self._answer("GET", self._slurm("ping"))
        accounting, cluster = self._accounts()
        meta = ping.get("meta") or {}
        slurm = meta.get("slurm") or meta.get("Slurm") or {}
        hosts = [each.get("hostname", "") for each in ping.get("pings") or [] if isinstance(each, dict)]
        name = slurm.get("cluster") or cluster or next(iter(hosts), "") or "slurm"
        return Settings(str(name), accounting=accounting, energy="", array_most=_ARRAY_MOST)

    def _accounts(self) -> tuple[bool, str]:
        """Return whether slurmrestd has accounting, and the cluster's name if it is the only one there."""
        try:
            answer = self._answer("GET", self._slurmdb("clusters"))
        except NoSuchPath:  # it was started without accounting
            return False, ""
        except Later:  # there is one, and it is away
            return True, ""
        names = [each.get("name", "") for each in answer.get("clusters") or [] if isinstance(each, dict)]
        return True, names[0] if len(names) == 1 else ""

    def _slurm(self, path: str) -> str:
        return f"/slurm/{self._rest.api_version}/{path}"

    def _slurmdb(self, path: str) -> str:
        return f"/slurmdb/{self._rest.api_version}/{path}"

    def _answer(self, method: str, path: str, *, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return an answer without errors, else raise Later."""
        answer = self._ask(method, path, params=params)
        found = [each for each in parse_json.problems(answer) if each[0] != _NOTHING_FOUND]
        if found:
            self._token.doubt()
            raise Later(f"slurmrestd, {path}: {found[0][1]}", 5)
        return answer

    def _ask(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: object = None
    ) -> dict[str, Any]:
        headers = {"X-SLURM-USER-NAME": self._user, "X-SLURM-USER-TOKEN": self._token.value()}
        try:
            with httpx2.Client(
                base_url=self._rest.url, timeout=self._ask_s, trust_env=False, verify=self._trust
            ) as client:
                reply = client.request(method, path, params=params, json=body, headers=headers)
            answer = (
                reply.json() if reply.headers.get("content-type", "").startswith("application/json") else {}
            )
        except (httpx2.HTTPError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise Later(f"slurmrestd, {path}: {error or type(error).__name__}", 5) from error
        if reply.status_code == httpx2.codes.NOT_FOUND and not answer:
            raise NoSuchPath(f"slurmrestd does not know {path}: is its API of another version?", 30)
        if not isinstance(answer, dict) or (reply.is_error and not parse_json.problems(answer)):
            self._token.doubt()
            raise Later(f"slurmrestd, {path}: HTTP {reply.status_code} {reply.text[:200]}", 5)
        return answer


def submission_body(job: Submission, environment: Mapping[str, str], version: int) -> dict[str, Any]:
    """Return what is posted to `job/submit` of API version v0.0.`version`."""
    common = {
        "name": job.name,
        "comment": job.comment,
        "current_working_directory": str(job.folder),
        "standard_output": job.log,
        "array": job.indices,
        "tasks_per_node": 1,
        "partition": job.partition,
        "account": job.account,
        "qos": job.qos,
        "constraints": job.constraint,
        "reservation": job.reservation,
        "licenses": job.licenses,
        "cpus_per_task": job.cpus,
    }
    if version < _DATA_PARSER:
        # 22.05 takes `"nodes": [2, 2]`, as its own description has it, for one node; a number is right.
        # It ignores `requeue` and knows sbatch's word for it.
        shaped = common | {
            "no_requeue": True,
            "nodes": job.nodes,
            "gres": job.gres,
            "memory_per_node": job.memory_mb,
            "time_limit": job.minutes,
            "open_mode": "append",
            "environment": dict(environment),
        }
    else:
        shaped = common | {
            "minimum_nodes": job.nodes,
            "maximum_nodes": job.nodes,
            "tres_per_node": f"gres/{job.gres}" if job.gres else "",
            "memory_per_node": _set(job.memory_mb),
            "time_limit": _set(job.minutes),
            "open_mode": ["APPEND"],
            "requeue": False,
            "environment": [f"{name}={value}" for name, value in environment.items()],
        }
    given = {name: value for name, value in shaped.items() if value or value is False}
    return {"script": job.script, "job": given}


def _set(value: int) -> dict[str, Any]:
    return {"set": True, "infinite": False, "number": value} if value else {}
