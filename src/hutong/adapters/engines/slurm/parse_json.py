"""Pure: Slurm's JSON as records, of squeue and slurmrestd from v0.0.36 to the data_parser's later shapes.

22.05 gives plain values; later versions give a list of a state and its flags, and numbers as objects of
`set`, `infinite` and `number`. Each is read wherever it stands. What cannot be read is left out or 0.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from hutong.adapters.engines.slurm.nodes import Node, read_devices
from hutong.adapters.engines.slurm.parse import Record, number, origin

# Flags that say more than the state beside them: with these a job is not over yet.
_BUSY = ("COMPLETING", "STAGE_OUT")
_FLAGS = frozenset(
    {
        "COMPLETING", "CONFIGURING", "EXPEDITING", "LAUNCH_FAILED", "POWER_UP_NODE", "RECONFIG_FAIL",
        "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "RESV_DEL_HOLD", "REVOKED", "SIGNALING",
        "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "UPDATE_DB",
    }
)  # fmt: skip


def jobs(document: object) -> list[Record]:
    """Return the jobs of `squeue --json` or of `GET /slurm/{version}/jobs`."""
    return [_live(each) for each in _listed(document)]


def waiting(jobs: Iterable[Mapping[str, Any]]) -> list[tuple[str, int, str]]:
    """Return partition, time of submission (s) and reason of the jobs of a queue that wait."""
    told = (_live(each) for each in jobs if state(each.get("job_state")) == "PENDING")
    return [(each.partition, each.submitted_s, each.reason) for each in told]


def past_jobs(document: object) -> list[Record]:
    """Return the jobs of `sacct --json` or of `GET /slurmdb/{version}/jobs`."""
    return [_past(each) for each in _listed(document)]


def nodes(document: object) -> list[Node]:
    """Return the nodes of `GET /slurm/{version}/nodes`."""
    found = []
    for each in _list(_at(document, "nodes")):
        states = [_at(each, "state"), _at(each, "state_flags")]
        words = [word for told in states for word in (told if isinstance(told, list) else [told]) if word]
        found.append(
            Node(
                _text(_at(each, "name")),
                frozenset(part for word in words for part in str(word).upper().split("+")),
                frozenset(str(name) for name in _list(_at(each, "partitions"))),
                read_devices(_text(_at(each, "gres"))),
                read_devices(_text(_at(each, "gres_used"))),
            )
        )
    return found


def default_partition(document: object) -> str:
    """Return the partition of jobs that name none, of `GET /slurm/{version}/partitions`."""
    for each in _list(_at(document, "partitions")):
        # 22.05 has it among the flags, later ones among the states of the partition's own object.
        told = [*_list(_at(each, "flags")), *_list(_at(_at(each, "partition"), "flags"))]
        if any(str(word).lower() == "default" for word in told):
            return _text(_at(each, "name"))
    return ""


def problems(document: object) -> list[tuple[int, str]]:
    """Return the errors of an answer, as code and text; nothing if there are none."""
    found = []
    for each in _list(_at(document, "errors")):
        code = whole(_at(each, "error_number") or _at(each, "error_code"))
        parts = (str(_at(each, name) or "") for name in ("error", "description"))
        found.append((code, ": ".join(filter(None, parts)) or "no word why"))
    return found


def state(value: object) -> str:
    """Return the one state that counts, of a word or of a list of a state and its flags."""
    words = [str(each).upper() for each in (value if isinstance(value, list) else [value]) if each]
    for busy in _BUSY:
        if busy in words:
            return busy
    base = [word for word in words if word not in _FLAGS]
    return (base or words or ["UNKNOWN"])[0]


def whole(value: object) -> int:
    """Return a whole number of Slurm's in whichever shape, 0 for what is not set or has no end."""
    if isinstance(value, Mapping):
        return whole(value.get("number")) if value.get("set") and not value.get("infinite") else 0
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    if isinstance(value, float):
        return int(value) if 0 <= value < 1 << 53 else 0
    return number(str(value))


def job_id(own: object, array: object, index: object, waiting: object) -> str:
    """Return a job's number as Slurm's programs show it, of an element of an array ARRAY_INDEX.

    Elements that wait may be told as one: ARRAY_[INDICES].
    """
    number = whole(array)
    if number and _text(waiting):
        return f"{number}_[{waiting}]"
    if number and (index.get("set") if isinstance(index, Mapping) else index is not None):
        return f"{number}_{whole(index)}"
    return str(whole(own))


def past_id(job: Mapping[str, Any]) -> str:
    """Return the number of a job as accounting tells of it."""
    array = job.get("array")
    return job_id(job.get("job_id"), _at(array, "job_id"), _at(array, "task_id"), _at(array, "task"))


def _live(job: Mapping[str, Any]) -> Record:
    return Record(
        id=job_id(
            job.get("job_id"), job.get("array_job_id"), job.get("array_task_id"), job.get("array_task_string")
        ),
        name=_text(job.get("name")),
        state=state(job.get("job_state")),
        reason=_text(job.get("state_reason")),
        submitted_s=whole(job.get("submit_time")),
        started_s=whole(job.get("start_time")),
        ended_s=whole(job.get("end_time")),
        nodes=whole(job.get("node_count")),
        partition=_text(job.get("partition")),
        origin=origin(_text(job.get("comment"))),
        code=_code(job.get("exit_code")),
    )


def _past(job: Mapping[str, Any]) -> Record:
    told, time = job.get("state"), job.get("time")
    return Record(
        id=past_id(job),
        name=_text(job.get("name")),
        state=state(_at(told, "current")),
        reason=_text(_at(told, "reason")),
        submitted_s=whole(_at(time, "submission")),
        started_s=whole(_at(time, "start")),
        ended_s=whole(_at(time, "end")),
        nodes=whole(job.get("allocation_nodes")),
        partition=_text(job.get("partition")),
        origin=origin(_text(_at(job.get("comment"), "job"))),
        by=_text(job.get("kill_request_user")),
        code=_code(job.get("exit_code")),
        energy_j=sum(map(_energy, _list(job.get("steps")))),
    )


def _energy(step: object) -> int:
    return whole(_at(_at(_at(step, "statistics"), "energy"), "consumed"))


def _code(value: object) -> str:
    """Return `code:signal`, of a wait status or of an object."""
    if isinstance(value, Mapping):
        name = _at(value, "signal")
        return f"{whole(value.get('return_code'))}:{whole(_at(name, 'id') or _at(name, 'signal_id'))}"
    status = whole(value)
    return f"{status >> 8 & 255}:{status & 127}"


def _listed(document: object) -> Iterable[Mapping[str, Any]]:
    return (each for each in _list(_at(document, "jobs")) if isinstance(each, Mapping))


def _at(value: object, name: str) -> Any:  # noqa: ANN401  (what Slurm sends there)
    return value.get(name) if isinstance(value, Mapping) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
