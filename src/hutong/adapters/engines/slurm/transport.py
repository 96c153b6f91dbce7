"""What the engine asks of a Slurm cluster, by whatever way; and which errors no waiting mends."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hutong.adapters.engines.slurm.accounting import Row
from hutong.adapters.engines.slurm.build import Submission
from hutong.adapters.engines.slurm.nodes import Node
from hutong.adapters.engines.slurm.parse import Record
from hutong.core.kernel.errors import Later, Problem, Refused

_REFUSED_S = 30
# Full for now: the same submission is taken once others have ended.
_FULL = re.compile(r"MaxSubmit|MaxJobs|GrpSubmit|job submit limit.*\n.*MaxSubmit|try again", re.IGNORECASE)
# The answer was lost, not the question.
_UNSURE = re.compile(
    r"timed out|timeout|communication|zero bytes|unexpected|broken pipe|reset", re.IGNORECASE
)
# What no amount of waiting changes; anything else is tried again.
_NEVER = re.compile(
    r"invalid (account|partition|qos|feature|generic resource|license|user|node name|wckey|job constraints"
    r"|trackable resource|dependency|time)"
    r"|requested node configuration is not available|node count specification invalid"
    r"|more processors requested than permitted|requested time limit is invalid"
    r"|requested nodes not in this partition|requested reservation is invalid"
    r"|access denied to requested reservation|group not permitted|access/permission denied"
    r"|job violates accounting/qos policy|job size specification needs to be provided"
    r"|unrecognized option|unrecognised option|invalid .* specification|no partition specified"
    r"|memory specification can ?not be satisfied|memory required by task is not available"
    r"|pathname of a file, directory or other parameter too long|unspecified error",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a cluster is: its name, whether it keeps accounts, and what measures energy, if anything does.

    `energy` names the plugins: `ipmi`. `array_most` is how many elements an array may have.
    """

    cluster: str
    accounting: bool
    energy: str
    array_most: int = 0


class Transport(Protocol):
    """A way to one cluster. Each call is bounded in time and raises Later where Slurm does not answer.

    `programs` are the paths of the programs that run on the nodes: srun, scancel and scontrol. After
    a look at the queue Slurm is left alone for `rests` times as long as that took.
    """

    programs: Mapping[str, str]
    rests: int

    def submit(self, job: Submission) -> str:
        """Submit and return the job's number, or the array's.

        Raises Refused if Slurm never will, NotTaken if it has not now, Later if nobody knows.
        """
        ...

    def queue(self) -> list[Record]:
        """Return every job that the controller knows of our user; the same list where all is as it was."""
        ...

    def history(self, names: Sequence[str], since_days: int) -> list[Record]:
        """Return what accounting knows of jobs by name."""
        ...

    def ended(self, from_s: int, upto_s: int, *, steps: bool) -> list[Row]:
        """Return what accounting knows of every start of our user's jobs in a time (UTC seconds).

        With `steps`, also what counters of energy say of each step, where the transport has it.
        """
        ...

    def cancel(self, job_ids: Iterable[str]) -> None:
        """Have jobs ended; one that is over already is no error."""
        ...

    def nodes(self) -> list[Node]:
        """Return every node with its devices."""
        ...

    def own_cpus(self) -> Mapping[str, int]:
        """Return how many CPUs nodes have on which a job with all of them is alone."""
        ...

    def waits(self, now_s: int) -> dict[str, int]:
        """Return the median wait of everybody's jobs in each partition's queue, in seconds."""
        ...

    def default_partition(self) -> str:
        """Return the partition of jobs that name none."""
        ...

    def settings(self) -> Settings:
        """Return what the cluster is."""
        ...


class NotTaken(Later):
    """Slurm has not taken a submission now, for certain; after any other `Later` it may have."""


def sort_refusal(text: str) -> Refused | Later:
    """Return the error of ours for what Slurm says to a submission that it does not take."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    words = "; ".join(lines[-3:])[:500] or "no word why"
    if _NEVER.search(text) and not _FULL.search(text):
        return Refused("slurm_refused", f"Slurm refuses it: {words}", (Problem("/resources", words),))
    kind = Later if _UNSURE.search(text) or not text.strip() else NotTaken
    return kind(f"Slurm does not take it now: {words}", _REFUSED_S if _FULL.search(text) else 5)
