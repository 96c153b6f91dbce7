"""Reads the Standard Workload Format, version 2.2, as the Parallel Workloads Archive publishes it.

From the published description of the 18 fields, with -1 for "not known", and the opening lines of the
model log lublin_256. Times are rounded to whole seconds, halves up. The archive's logs may be used freely
with a reference to their page.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from hutong.core.kernel.errors import Refused
from hutong.core.placement.arrays import Ints
from hutong.sim.importers.imported import Imported, Sieve, finish
from hutong.sim.importers.table import Floats, Table, read_text, refuse, rounded

_FIELDS = (
    "job", "submit", "wait", "run", "allocated", "cpu_time", "memory", "requested", "requested_time",
    "requested_memory", "status", "user", "unix_group", "executable", "queue", "partition", "preceding",
    "think_time",
)  # fmt: skip
_USED = (
    "submit", "run", "allocated", "requested", "requested_time", "status", "user", "queue", "partition",
)  # fmt: skip
_CANCELLED = 5
# A job that was swapped out has one line for the whole and one of these for each of its parts.
_PARTS = (2, 3, 4)
_SOURCE = "Standard Workload Format; Parallel Workloads Archive, free with a reference"


def read_swf(
    path: Path,
    *,
    name: str = "",
    group: Literal["queue", "partition"] = "queue",
    processors: Literal["requested", "allocated"] = "requested",
) -> Imported:
    """Read a log. Cards are processors: those requested, or else those allocated (or the other way round).

    A job's group is its queue, or its partition where no job of the log has a queue; its limit is the
    requested time. Left out: jobs that never ran (no run time, or cancelled with a run time of 0), jobs
    without processors or without a submission time, and the parts of jobs that were swapped out.
    """
    if group not in {"queue", "partition"}:
        raise Refused("trace", f"group: expected queue or partition, found {group!r}")
    if processors not in {"requested", "allocated"}:
        raise Refused("trace", f"processors: expected requested or allocated, found {processors!r}")
    table, header = _split(path, read_text(path))
    numbers = {each: table.numbers(each) for each in _USED}
    submit, run, status = (numbers[each] for each in ("submit", "run", "status"))
    first, second = processors, "allocated" if processors == "requested" else "requested"
    wanted = np.where(numbers[first] > 0, numbers[first], numbers[second])
    sieve = Sieve.of(len(table))
    sieve.drop(np.isin(status, _PARTS), "parts of a job")
    sieve.drop(submit < 0, "without a submission time")
    sieve.drop((run < 0) | ((status == _CANCELLED) & (run == 0)), "never ran")
    sieve.drop(wanted <= 0, "without processors")
    return finish(
        name or path.name.split(".")[0],
        _SOURCE,
        sieve,
        submit_s=rounded(submit),
        run_s=rounded(run),
        limit_s=rounded(np.maximum(numbers["requested_time"], 0)),
        cards_per_node=np.ceil(wanted).astype(np.int64),
        group=_names(_group(numbers["queue"], numbers["partition"], group)),
        user=_names(numbers["user"].astype(np.int64)),
        header=header,
    )


def _split(path: Path, text: str) -> tuple[Table, dict[str, str]]:
    """Return the fields of every job, and the header's comments; a label that returns gets a line each."""
    rows: list[list[str]] = []
    lines: list[int] = []
    header: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith(";"):
            label, colon, said = line.lstrip("; \t").partition(":")
            if colon and label.strip():
                key = label.strip()
                header[key] = f"{header[key]}\n{said.strip()}" if key in header else said.strip()
            continue
        row = line.split()
        if not row:
            continue
        if len(row) != len(_FIELDS):
            raise refuse(path, number, f"{len(_FIELDS)} fields", f"{len(row)} fields")
        rows.append(row)
        lines.append(number)
    if not rows:
        raise refuse(path, 0, "at least one job")
    return Table(path, dict(zip(_FIELDS, zip(*rows, strict=True), strict=True)), lines), header


def _group(queue: Floats, partition: Floats, chosen: str) -> Ints:
    """Return the chosen column, or the partition where the log knows no queues."""
    return (partition if chosen == "partition" or (queue < 0).all() else queue).astype(np.int64)


def _names(ids: Ints) -> list[str]:
    return [str(each) if each >= 0 else "" for each in ids.tolist()]
