"""Pure: what Slurm's accounting says was used, one record for each start of a job."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hutong.adapters.engines.base import Use
from hutong.adapters.engines.slurm import parse_json
from hutong.adapters.engines.slurm.build import SEPARATOR
from hutong.adapters.engines.slurm.energy import Counted, Step, count
from hutong.adapters.engines.slurm.parse import number, origin
from hutong.core.kernel.ids import AttemptKey, split_key

FIELDS = (
    "JobIDRaw", "JobName", "Submit", "Start", "End", "ElapsedRaw", "AllocTRES", "Comment", "Cluster",
    "JobID",
)  # fmt: skip
STEP_FIELDS = ("NNodes", "NodeList", "ConsumedEnergyRaw")
_GRES = "gres/"
_BARE = ("", "", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One start of a job in accounting. Times are UTC seconds, 0 where there is none yet.

    `elapsed_s` leaves out what it was suspended for. `tres` are the totals over all of its nodes, by name
    (`gres/gpu`, `gres/gpu:h800`), as far as the cluster counts them. `shown` is its number as programs show
    it: of an element of an array ARRAY_INDEX. `steps` and `nodes` are there if asked for.
    """

    id: str
    name: str
    submitted_s: int
    started_s: int
    ended_s: int
    elapsed_s: int
    tres: Mapping[str, int]
    origin: str = ""
    cluster: str = ""
    shown: str = ""
    nodes: int = 0
    steps: tuple[Step, ...] = ()


def arguments(user: str, from_s: int, upto_s: int, *, steps: bool = False) -> list[str]:
    """Return sacct's arguments for every start of our user's jobs in a time: also those requeued later."""
    fields = (*FIELDS, *STEP_FIELDS) if steps else FIELDS
    return [
        *([] if steps else ["--allocations"]),
        "--noheader", "--duplicates", "--parsable2", f"--delimiter={SEPARATOR}",
        f"--user={user}", f"--starttime={moment(from_s)}", f"--endtime={moment(upto_s)}",
        f"--format={','.join(fields)}",
    ]  # fmt: skip


def moment(at_s: int) -> str:
    """Return a moment as Slurm reads it, in UTC."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def read_text(text: str) -> list[Row]:
    """Return the rows of an answer of sacct; the steps of a start stand below it."""
    found: list[Row] = []
    for line in text.split("\n"):
        told = [field.strip() for field in line.split(SEPARATOR)]
        nodes, names, energy = told[len(FIELDS) : len(FIELDS) + 3] if len(told) > len(FIELDS) + 2 else _BARE
        if len(told) >= len(FIELDS) and "." in told[0]:
            step = Step(told[0], names, number(nodes), number(energy))
            if found and told[0].startswith(f"{found[-1].id}."):
                found[-1] = replace(found[-1], steps=(*found[-1].steps, step))
        elif len(told) >= len(FIELDS):
            submitted, started, ended, elapsed = (number(each) for each in told[2:6])
            times = (submitted, started, ended, elapsed)
            tres = _tres(told[6])
            whose = (origin(told[7]), told[8], told[9])
            found.append(Row(told[0], told[1], *times, tres, *whose, number(nodes)))
    return found


def read_json(document: object, user: str) -> list[Row]:
    """Return a user's rows of an answer of slurmrestd, which cannot be asked for one user's alone."""
    jobs = document.get("jobs") if isinstance(document, Mapping) else None
    found = (each for each in jobs or () if isinstance(each, Mapping))
    return [_row(each) for each in found if each.get("user") == user]


def _row(job: Mapping[str, Any]) -> Row:
    time, comment = _table(job.get("time")), _table(job.get("comment"))
    return Row(
        id=str(parse_json.whole(job.get("job_id"))),
        name=str(job.get("name") or ""),
        submitted_s=parse_json.whole(time.get("submission")),
        started_s=parse_json.whole(time.get("start")),
        ended_s=parse_json.whole(time.get("end")),
        elapsed_s=parse_json.whole(time.get("elapsed")),
        tres=_allocated(_table(job.get("tres")).get("allocated")),
        origin=origin(str(comment.get("job") or "")),
        cluster=str(job.get("cluster") or ""),
        shown=parse_json.past_id(job),
    )


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _allocated(told: object) -> dict[str, int]:
    counts = {}
    for each in told if isinstance(told, list) else ():
        row = _table(each)
        name = "/".join(str(part) for part in (row.get("type"), row.get("name")) if part)
        counts[name] = parse_json.whole(row.get("count"))
    return counts


def _tres(text: str) -> dict[str, int]:
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {name: number(count) for name, _, count in pairs}


def cards_of(row: Row, devices: Iterable[str]) -> int | None:
    """Return how many cards a start had; None where the cluster does not count such devices.

    What was allocated counts, whatever option asked for it, and as a total: never times the nodes. A device
    is told with and without its type; the count without it holds both.
    """
    total = None
    for device in sorted({each.partition(":")[0] for each in devices if each}):
        typed = [count for name, count in row.tres.items() if name.startswith(f"{_GRES}{device}:")]
        plain = row.tres.get(f"{_GRES}{device}")
        if plain is not None or typed:
            total = (total or 0) + (sum(typed) if plain is None else plain)
    return total


@dataclass(frozen=True, slots=True)
class Counters:
    """The cluster's energy plugin, and how many CPUs jobs may have of each node."""

    plugin: str
    node_cpus: Mapping[str, int]

    def of(self, row: Row) -> Counted:
        """Return what a start's nodes took."""
        had = row.tres.get("cpu", 0)
        return count(row.steps, row.nodes, had, row.ended_s - row.started_s, self.plugin, self.node_cpus)


def uses_of(
    rows: Sequence[Row],
    span_s: tuple[int, int],
    ours: str,
    devices: Iterable[str],
    asked_cards: Callable[[AttemptKey], int],
    counters: Counters | None = None,
) -> tuple[Use, ...]:
    """Return the use of every start that ended in a span `[from, upto)` of UTC seconds.

    Time counts from its own start, never from its submission: a job that waited for another one used nothing
    meanwhile. Where accounting does not count cards, `asked_cards` tells what the agent asked for, or 0.
    """
    kinds = tuple(devices)
    found = {}
    for row in rows:
        if not row.started_s or not span_s[0] <= row.ended_s < span_s[1]:
            continue
        named = split_key(row.name) if row.origin in {ours, ""} else None
        key = AttemptKey(row.name) if named else None
        cards = cards_of(row, kinds)
        if cards is None and key:
            cards = asked_cards(key) or None
        used = None if cards is None else cards * row.elapsed_s * 1000
        name = f"{row.cluster or 'slurm'}:{row.id}:{row.submitted_s}"
        took = counters.of(row) if counters else Counted(None, "")
        found[name] = Use(
            name, key, used, row.started_s * 1000, row.ended_s * 1000, took.energy_j, took.basis
        )
    return tuple(found[name] for name in sorted(found))
