"""Reads Microsoft's Philly trace: the raw job log, and the CSV forms of Lucid's and Sia's simulators.

Lucid's form is checked against 57,820 rows; Sia's and the raw log are from their published descriptions.
Times are rounded to whole seconds, halves up. The trace is CC-BY-4.0 (msr-fiddle/philly-traces).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson

from hutong.sim.importers.imported import Imported, Sieve, finish, shaped
from hutong.sim.importers.table import (
    Table,
    read_table,
    read_text,
    refuse,
    rounded,
    seconds_of,
)

LUCID = ("job_id", "user", "vc", "gpu_num", "state", "submit_time", "duration")
SIA = ("timestamp", "duration", "num_gpus", "gpu_time", "cluster")
_SOURCE = "Microsoft Philly, ATC 2019, msr-fiddle/philly-traces, CC-BY-4.0"


def read_lucid(path: Path, *, name: str = "") -> Imported:
    """Read the CSV form of Lucid; a job's group is its virtual cluster, its cards are a total.

    Left out: jobs without GPUs, and jobs without a submission time or a duration, which never ran.
    """
    table = read_table(path, LUCID)
    return _from_columns(table, name, "submit_time", "gpu_num", table.texts("vc"), table.texts("user"))


def read_sia(path: Path, *, name: str = "") -> Imported:
    """Read the CSV form of Sia (and Pollux); a job's group is its cluster; there are no users."""
    table = read_table(path, SIA)
    return _from_columns(table, name, "timestamp", "num_gpus", table.texts("cluster"), ())


def _from_columns(
    table: Table, name: str, submitted: str, counted: str, group: Sequence[str], user: Sequence[str]
) -> Imported:
    submit, run = table.moments(submitted), table.optional_numbers("duration", 0)
    cards = table.whole(counted, 0)
    sieve = Sieve.of(len(table))
    sieve.drop(np.isnan(submit), "without a submission time")
    sieve.drop(np.isnan(run), "never ran")
    sieve.drop(cards == 0, "without cards")
    return finish(
        name or table.path.name.split(".")[0],
        _SOURCE,
        sieve,
        submit_s=rounded(np.nan_to_num(submit)),
        run_s=rounded(np.nan_to_num(run)),
        cards_per_node=cards,
        group=group,
        user=user,
    )


def read_raw(path: Path, *, name: str = "") -> Imported:
    """Read the raw `cluster_job_log`, a JSON list of jobs with their attempts.

    A job's run time is the sum of its attempts, which is how long it held cards; an attempt without a start
    or that ends before it starts (an error of the log) does not count. Its cards are those of the first
    attempt that names any: on so many nodes where all nodes have the same number, else as a total. Left
    out: jobs that never ran, those still running when the log was taken, and those without cards.
    """
    jobs = _jobs(path)
    count = len(jobs)
    submit, run, nodes, cards = (np.zeros(count, np.int64) for _ in range(4))
    never, running = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    group, user = [], []
    for row, job in enumerate(jobs):
        where = f"job {row + 1} ({job.get('jobid', 'no jobid')})"
        try:
            submit[row] = int(seconds_of(str(job["submitted_time"])))
            seconds, running[row] = _held(job["attempts"])
            nodes[row], cards[row] = _shape(job["attempts"])
            group.append(str(job["vc"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            expected = f"in {where} submitted_time, vc and attempts with start_time, end_time and detail"
            raise refuse(path, 0, expected, f"{type(error).__name__}: {error}") from None
        never[row], run[row] = seconds is None, seconds or 0
        user.append(str(job.get("user") or ""))
    sieve = Sieve.of(count)
    sieve.drop(running, "still running")
    sieve.drop(never, "never ran")
    sieve.drop(cards == 0, "without cards")
    nodes, cards = shaped(nodes, cards)
    return finish(
        name or path.name.split(".")[0],
        _SOURCE,
        sieve,
        submit_s=submit,
        run_s=run,
        nodes=nodes,
        cards_per_node=cards,
        group=group,
        user=user,
    )


def _jobs(path: Path) -> list[dict[str, object]]:
    text = read_text(path)
    try:
        jobs = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise refuse(path, error.lineno, "JSON", str(error)) from None
    if not isinstance(jobs, list) or not jobs or not all(isinstance(each, dict) for each in jobs):
        raise refuse(path, 1, "a JSON list of jobs")
    return jobs


def _attempts(attempts: object) -> list[Mapping[str, object]]:
    if not isinstance(attempts, list):
        raise TypeError("attempts is no list")
    return attempts


def _time(said: object) -> float | None:
    return None if said in {None, "", "None"} else seconds_of(str(said))


def _held(attempts: object) -> tuple[int | None, bool]:
    """Return how long a job held cards (None: it never ran), and whether it still did."""
    total: int | None = None
    end: float | None = 0.0
    for attempt in _attempts(attempts):
        start, end = _time(attempt["start_time"]), _time(attempt["end_time"])
        if start is not None and end is not None and end >= start:
            total = (total or 0) + int(end - start)
    return total, end is None


def _shape(attempts: object) -> tuple[int, int]:
    """Return nodes and all cards of the first attempt that names any; nodes is 0 where it is uneven."""
    for attempt in _attempts(attempts):
        detail = attempt["detail"]
        if not isinstance(detail, list):
            raise TypeError("detail is no list")
        each = [len(node["gpus"]) for node in detail if node["gpus"]]
        if each:
            even = all(left == right for left, right in pairwise(each))
            return (len(each) if even else 0), sum(each)
    return 0, 0


def read_vc_config(path: Path | str) -> dict[str, int]:
    """Return the number of nodes (of 8 GPUs each) of every virtual cluster, from a file `,num`."""
    path = Path(path)
    table = read_table(path, ("", "num"))
    clusters, nodes = table.texts(""), table.whole("num", 1)
    for row, cluster in enumerate(clusters):
        if not cluster or clusters.index(cluster) < row:
            raise refuse(path, table.lines[row], "each virtual cluster once", cluster)
    return dict(zip(clusters, nodes.tolist(), strict=True))
