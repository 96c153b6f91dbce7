"""Pure: Slurm's answers as records; a state or a reason that is new to us is kept, never an error."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hutong.adapters.engines.attempt.supervise import Verdict
from hutong.adapters.engines.slurm.build import SACCT_FIELDS, SEPARATOR, SQUEUE_FIELDS

WAITING = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
)
ACTIVE = frozenset({"RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "STAGE_OUT", "SIGNALING", "RESIZING"})
_VERDICTS = {
    "COMPLETED": ("FAILED", "infra", "Slurm calls it completed, but it left no end"),
    "FAILED": ("FAILED", "infra", "its supervisor failed"),
    "TIMEOUT": ("FAILED", "user", "walltime: it reached Slurm's time limit"),
    "DEADLINE": ("FAILED", "user", "it reached its deadline at Slurm"),
    "NODE_FAIL": ("FAILED", "infra", "a node of it failed"),
    "BOOT_FAIL": ("FAILED", "infra", "a node of it did not boot"),
    "LAUNCH_FAILED": ("FAILED", "infra", "Slurm could not launch it"),
    "PREEMPTED": ("PREEMPTED", "preempted", "Slurm preempted it"),
    "OUT_OF_MEMORY": ("FAILED", "oom", "it was killed for want of memory"),
    "CANCELLED": ("FAILED", "infra", "it was cancelled at the site, not by the platform"),
    "REVOKED": ("FAILED", "infra", "its federation gave it to another cluster"),
}
ENDED = frozenset(_VERDICTS)


@dataclass(frozen=True, slots=True)
class Record:
    """One job as Slurm tells of it. Times are UTC seconds, 0 where there is none; `state` is the base state.

    `by` is who cancelled it, `code` its exit code as `code:signal`, `energy_j` what accounting measured.
    """

    id: str
    name: str
    state: str
    reason: str
    submitted_s: int
    started_s: int
    ended_s: int
    nodes: int
    partition: str
    origin: str
    by: str = ""
    code: str = ""
    energy_j: int = 0

    @property
    def over(self) -> bool:
        """True if Slurm runs it no more and will not start it again."""
        return self.state in ENDED

    @property
    def waiting(self) -> bool:
        """True if it has no nodes yet."""
        return self.state in WAITING

    def verdict(self) -> Verdict:
        """Return how it ended, by Slurm's word alone."""
        outcome, category, text = _VERDICTS[self.state]
        extra = f" by user {self.by}" if self.by else ""
        if self.reason not in {"", "None"} and not extra:
            extra = f" ({self.reason})"
        if self.code not in {"", "0:0"}:
            extra += f", exit code {self.code}"
        return Verdict(outcome, category, f"{text}{extra}: job {self.id}, {self.state}")


def squeue(text: str) -> list[Record]:
    """Return the jobs of an answer of squeue."""
    return [_record(row) for row in _rows(text, len(SQUEUE_FIELDS))]


def sacct(text: str) -> list[Record]:
    """Return the jobs of an answer of sacct."""
    return [_record(row) for row in _rows(text, len(SACCT_FIELDS))]


def _rows(text: str, width: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        fields = line.split(SEPARATOR)
        if len(fields) >= width:
            yield [field.strip() for field in fields]


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
        origin=_origin(row[9]),
        by=rest.removeprefix("by ").strip() if rest.startswith("by ") else "",
        code=row[10] if len(row) > 10 else "",
        energy_j=number(row[11]) if len(row) > 11 else 0,
    )


def number(text: str) -> int:
    """Return a whole number of Slurm's, 0 for what it leaves open (N/A, Unknown, None, an empty field)."""
    return int(text) if text.isdigit() else 0


def _origin(comment: str) -> str:
    try:
        told = json.loads(comment)
    except ValueError:
        return ""
    return str(told.get("hutong", "")) if isinstance(told, dict) else ""


def newest(records: Iterable[Record]) -> dict[str, Record]:
    """Return for each name the record that counts: a living one before an ended one, then the latest.

    Numbers of jobs are reused and a requeued job keeps its own, so the time of submission decides.
    """
    found: dict[str, Record] = {}
    for each in records:
        known = found.get(each.name)
        if known is None or (known.over, -known.submitted_s) > (each.over, -each.submitted_s):
            found[each.name] = each
    return found


def settings(text: str) -> dict[str, str]:
    """Return the names and values of `scontrol show config`."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
