"""Pure: Ray's answers as records; a status that is new to us is kept as one that is not over."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hutong.adapters.engines.attempt.supervise import Verdict
from hutong.adapters.engines.ray.config import RayPool
from hutong.core.capacity.sites import PoolState

_STARTER = "_ray_internal_job_actor_"
_OVER = {
    "SUCCEEDED": "Ray calls it succeeded, but it left no end",
    "FAILED": "Ray could not carry it on",
    "STOPPED": "it was stopped at the site, not by the platform",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One job as the Jobs API tells of it; `origin` is what its submitter wrote to mark it, if anything."""

    name: str
    status: str
    origin: str
    why: str = ""
    error: str = ""

    @property
    def over(self) -> bool:
        """True if Ray runs it no more, as far as Ray knows."""
        return self.status in _OVER

    @property
    def pending(self) -> bool:
        """True if Ray has not started its supervisor yet."""
        return self.status == "PENDING"

    @property
    def unstarted(self) -> bool:
        """True if Ray gave it up as it could not start it within its own time limit."""
        return self.over and self.error == "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"

    def verdict(self) -> Verdict:
        """Return how it ended, by Ray's word alone."""
        extra = f" ({self.error})" if self.error else ""
        words = f": {self.why}" if self.why and self.status == "FAILED" else ""
        return Verdict("FAILED", "infra", f"{_OVER[self.status]}{extra}{words}"[:500])


def job(answer: Mapping[str, Any]) -> Record:
    """Return the record of one job."""
    metadata = answer.get("metadata") or {}
    why = str(answer.get("message") or "").strip().splitlines()
    return Record(
        name=str(answer.get("submission_id") or ""),
        status=str(answer.get("status") or ""),
        origin=str(metadata.get("hutong", "")),
        why=why[0] if why else "",
        error=str(answer.get("error_type") or ""),
    )


def jobs(answer: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Return the records of all jobs that were submitted; drivers that somebody runs by hand have no name."""
    return [each for each in map(job, answer) if each.name]


def totals(answer: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return the resources of each node that is alive, by the names that Ray schedules by."""
    rows = answer["data"]["result"]["result"]
    return [dict(row["resources_total"] or {}) for row in rows if row["state"] == "ALIVE"]


def starters(answers: Iterable[Mapping[str, Any]]) -> frozenset[str] | None:
    """Return the jobs that Ray has a supervisor of its own for, to start them; None if it tells not all."""
    names: set[str] = set()
    for answer in answers:
        result = answer["data"]["result"]
        if len(result["result"]) < result["num_filtered"] or result["partial_failure_warning"]:
            return None
        named = (str(row["name"] or "") for row in result["result"] if row["state"] != "DEAD")
        names |= {name.removeprefix(_STARTER) for name in named if name.startswith(_STARTER)}
    return frozenset(names)


def used(answer: Mapping[str, Any]) -> dict[str, float]:
    """Return what is in use of each resource, by plain names; the head learns it every few seconds."""
    status = answer["data"].get("clusterStatus") or {}
    usage = (status.get("loadMetricsReport") or {}).get("usage") or {}
    return {plain(name): float(pair[0]) for name, pair in usage.items()}


def plain(name: str) -> str:
    """Return a resource's name without what the dashboard changes of names."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def pool_states(
    pools: Mapping[str, RayPool],
    nodes: Iterable[Mapping[str, float]],
    in_use: Mapping[str, float],
    ours: Mapping[str, int],
) -> tuple[PoolState, ...]:
    """Return the state of each pool that has cards; `ours` counts the platform's running cards by pool.

    Ray tells nobody how long work has waited, so `wait_s` stays 0.
    """
    everything = list(nodes)
    states = []
    for name, pool in pools.items():
        if pool.per_card:
            resource, share = next(iter(pool.per_card.items()))
            up = int(sum(node.get(resource, 0) for node in everything) / share)
            taken = int(in_use.get(plain(resource), 0) / share)
            states.append(PoolState(name, up, max(0, taken - ours.get(name, 0))))
    return tuple(states)
