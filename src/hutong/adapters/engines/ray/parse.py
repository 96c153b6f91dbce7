"""Pure: Ray's answers as records; a status that is new to us is kept as one that is not over."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hutong.adapters.engines.attempt.supervise import Verdict
from hutong.adapters.engines.ray.config import RayPool
from hutong.core.capacity.sites import PoolState
from hutong.core.capacity.spread import Shape, Spread, spread_of

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


@dataclass(frozen=True, slots=True)
class Usage:
    """What is in use of each resource, by plain names; `nodes` have that, and beside it what they have.

    The head learns it every few seconds. There are no `nodes` where it does not tell of them.
    """

    used: Mapping[str, float]
    nodes: tuple[tuple[Mapping[str, float], Mapping[str, float]], ...] = ()


def usage(answer: Mapping[str, Any]) -> Usage:
    """Return what is in use, in all and by node."""
    report = (answer["data"].get("clusterStatus") or {}).get("loadMetricsReport") or {}
    nodes = (report.get("usageByNode") or {}).values()
    return Usage(
        _column(report.get("usage"), 0), tuple((_column(each, 0), _column(each, 1)) for each in nodes)
    )


def _column(pairs: Mapping[str, Sequence[float]] | None, at: int) -> dict[str, float]:
    return {plain(name): float(pair[at]) for name, pair in (pairs or {}).items()}


def plain(name: str) -> str:
    """Return a resource's name without what the dashboard changes of names."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def pool_states(
    pools: Mapping[str, RayPool],
    nodes: Iterable[Mapping[str, float]],
    in_use: Usage,
    ours: Mapping[str, int],
    shapes: Mapping[str, Sequence[Shape]] = MappingProxyType({}),
) -> tuple[PoolState, ...]:
    """Return the state of each pool that has cards; `ours` counts the platform's running cards by pool.

    `shapes` are those of its attempts that have begun, by pool. Ray tells nobody how long work has waited, so
    `wait_s` stays 0.
    """
    everything = list(nodes)
    states = []
    for name, pool in pools.items():
        if not pool.per_card:
            continue
        resource, share = next(iter(pool.per_card.items()))
        has = [node[resource] for node in everything if _serves(pool.per_card, node)]
        asked = {plain(each): amount for each, amount in pool.per_card.items()}
        mine = [
            (used[plain(resource)], node[plain(resource)])
            for used, node in in_use.nodes
            if _serves(asked, node)
        ]
        taken = [used for used, _ in mine] if in_use.nodes else [in_use.used.get(plain(resource), 0.0)]
        elsewhere = _cards(sum(taken), share) - ours.get(name, 0)
        spread = _spread(mine, share, shapes.get(name, ()))
        states.append(PoolState(name, _cards(sum(has), share), max(0, elsewhere), 0, spread))
    return tuple(states)


def _serves(per_card: Mapping[str, float], node: Mapping[str, float]) -> bool:
    """True if a node has all that stands for a card: nodes of another model have the same resource."""
    return all(node.get(name, 0.0) >= amount for name, amount in per_card.items())


def _spread(nodes: Sequence[tuple[float, float]], share: float, shapes: Sequence[Shape]) -> Spread | None:
    """Return how free cards are spread over nodes with so much in use of so much.

    None where the head does not tell of nodes, or where it is behind: where fewer cards are in use than
    attempts that have begun hold, it takes some of their nodes for free.
    """
    if sum(_cards(used, share) for used, _ in nodes) < sum(wide * cards for wide, cards in shapes):
        return None
    return spread_of((_cards(total - used, share) for used, total in nodes), shapes)


def _cards(amount: float, share: float) -> int:
    """Return whole cards of an amount that Ray keeps in ten-thousandths."""
    return int(round(amount * 10_000) // round(share * 10_000))
