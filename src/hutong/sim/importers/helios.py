"""Reads SenseTime's Helios trace and Shanghai AI Lab's Acme trace, which share their columns.

From the published descriptions (S-Lab-System-Group/HeliosData and InternLM/AcmeTrace), with the rows shown
there. Times are rounded to whole seconds, halves up; those of Helios name no zone and are taken as UTC,
which changes no difference between two of them.
"""

from pathlib import Path

import numpy as np

from hutong.sim.importers.imported import Imported, Sieve, finish, shaped
from hutong.sim.importers.table import Table, read_table, rounded

HELIOS = (
    "job_id", "user", "vc", "gpu_num", "cpu_num", "node_num", "state", "submit_time", "start_time",
    "end_time", "duration", "queue",
)  # fmt: skip
ACME = (
    "job_id", "user", "node_num", "gpu_num", "cpu_num", "type", "state", "submit_time", "start_time",
    "end_time", "duration", "queue",
)  # fmt: skip


def read_helios(path: Path, *, name: str = "") -> Imported:
    """Read a `cluster_log.csv` of Helios; a job's group is its virtual cluster."""
    table = read_table(path, HELIOS)
    return _read(table, name, "SenseTime Helios, SC 2021, for academic purposes", "vc")


def read_acme(path: Path, *, name: str = "") -> Imported:
    """Read `trace_seren.csv` or `trace_kalos.csv` of Acme; a job's group is its type of work."""
    table = read_table(path, ACME)
    return _read(table, name, "Shanghai AI Lab Acme, NSDI 2024, for academic purposes", "type")


def _read(table: Table, name: str, source: str, group: str) -> Imported:
    """Read the shared columns.

    The GPUs of a job are spread over its nodes where they divide evenly, else they are a total. Left out:
    jobs without GPUs (both clusters run many CPU jobs) and jobs that never ran (no duration or no start).
    """
    submit, start = table.moments("submit_time"), table.moments("start_time")
    run = table.optional_numbers("duration", 0)
    sieve = Sieve.of(len(table))
    total = table.whole("gpu_num", 0)
    asked = np.nan_to_num(table.optional_numbers("node_num", 0)).astype(np.int64)
    sieve.drop(total == 0, "without cards")
    sieve.drop(np.isnan(submit), "without a submission time")
    sieve.drop(np.isnan(run) | np.isnan(start), "never ran")
    nodes, cards = shaped(asked, total)
    return finish(
        name or table.path.name.split(".")[0],
        source,
        sieve,
        submit_s=rounded(np.nan_to_num(submit)),
        run_s=rounded(np.nan_to_num(run)),
        nodes=nodes,
        cards_per_node=cards,
        group=table.texts(group),
        user=table.texts("user"),
    )
