"""Pure: Slurm's answers as records; a state or a reason that is new to us is kept, never an error."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hutong.adapters.engines.slurm.build import SACCT_FIELDS, SEPARATOR, SQUEUE_FIELDS

WAITING = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
)
ENDED = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL",
        "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT",
    }
)  # fmt: skip
# Why a job waits that will not start unless somebody changes it, or the cluster. Words of Slurm's.
_HOPELESS = re.compile(
    r"BadConstraints|PartitionConfig|PartitionTimeLimit|PartitionNodeLimit|ReservationDeleted|InvalidAccount|InvalidQOS"
    r"|AccountNotAllowed|QOSNotAllowed|(?:Assoc|QOS)Max\w*(?:PerJob|PerJobLimit)\b"
    r"|launch.failed.requeued.held|DependencyNeverSatisfied",
    re.IGNORECASE,
)
_MOST = 1 << 62


@dataclass(frozen=True, slots=True)
class Record:
    """One job as Slurm tells of it. Times are UTC seconds, 0 where there is none; `state` is the base state.

    `by` is who cancelled it, `code` its exit code as `code:signal`, `energy_j` what accounting measured.
    """

    id: str
    name: str
    state: str
    reason: str = ""
    submitted_s: int = 0
    started_s: int = 0
    ended_s: int = 0
    nodes: int = 0
    partition: str = ""
    origin: str = ""
    by: str = ""
    code: str = ""
    energy_j: int = 0

    @property
    def over(self) -> bool:
        """True if Slurm runs it no more and will not start it again."""
        return self.state in ENDED

    @property
    def waiting(self) -> bool:
        """True if it has no nodes yet, or none any more and is to start again."""
        return self.state in WAITING

    @property
    def holding(self) -> bool:
        """True if nodes are its own: also while they start up for it, and while they are cleaned after it."""
        return not self.over and (not self.waiting or self.state == "CONFIGURING")

    @property
    def hopeless(self) -> bool:
        """True if it waits for what does not come by itself."""
        return self.waiting and bool(_HOPELESS.search(self.reason))


def squeue(text: str, known: Mapping[str, Record] = MappingProxyType({})) -> dict[str, Record]:
    """Return the jobs of an answer of squeue by its lines; those of `known`, the last one, are kept."""
    lines = text.split("\n")
    fresh = (line for line in lines if line not in known)
    found = {line: known[line] for line in lines if line in known}
    return found | {line: _record(row) for line, row in _rows(fresh, len(SQUEUE_FIELDS))}


def sacct(text: str) -> list[Record]:
    """Return the jobs of an answer of sacct."""
    # Not splitlines: a comment may hold what Python takes for an end of line.
    return [_record(row) for _, row in _rows(text.split("\n"), len(SACCT_FIELDS))]


def _rows(lines: Iterable[str], width: int) -> Iterator[tuple[str, list[str]]]:
    for line in lines:
        fields = line.split(SEPARATOR)
        if len(fields) >= width:
            yield line, [field.strip() for field in fields]


def _record(row: list[str]) -> Record:
    state, _, rest = row[2].partition(" ")
    return Record(
        id=row[0],
        name=row[1],
        state=state.rstrip("+").upper(),
        reason=row[3],
        submitted_s=number(row[4]),
        started_s=number(row[5]),
        ended_s=number(row[6]),
        nodes=number(row[7]),
        partition=row[8],
        origin=origin(row[9]),
        by=rest.removeprefix("by ").strip() if rest.startswith("by ") else "",
        code=row[10] if len(row) > 10 else "",
        energy_j=number(row[11]) if len(row) > 11 else 0,
    )


def number(text: str) -> int:
    """Return a whole number of Slurm's, 0 for what it leaves open (N/A, Unknown, None, an empty field)."""
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    return value if value < _MOST else 0  # the greatest ones stand for "not set" and "no limit"


def origin(comment: str) -> str:
    """Return whose a job is by its comment; nothing if the comment is not ours."""
    try:
        told = json.loads(comment)
    except (ValueError, RecursionError):
        return ""
    return str(told.get("hutong", "")) if isinstance(told, dict) else ""


def choose(records: Iterable[Record], began_id: str = "", submitted_id: str = "") -> Record | None:
    """Return the record that counts of those with one attempt's name.

    Once an attempt has begun, only the job in which it did. Before: what runs, then what waits, then what is
    over; of like ones the one whose submission we noted, then the earliest. The others are copies.
    """
    if began_id:
        mine = [each for each in records if each.id == began_id]
        return max(mine, key=lambda each: each.submitted_s, default=None)

    def rank(each: Record) -> tuple[int, bool, int, str]:
        kind = 2 if each.over else 1 if each.waiting else 0
        return kind, each.id != submitted_id, each.submitted_s, each.id.zfill(20)

    return min(records, key=rank, default=None)


def settings(text: str) -> dict[str, str]:
    """Return the names and values of `scontrol show config`."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
