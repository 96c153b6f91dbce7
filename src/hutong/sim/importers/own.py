"""Reads what `hutong trace` writes: the jobs that a platform of ours ran itself."""

from pathlib import Path

import numpy as np

from hutong.core.work.states import FINAL
from hutong.sim.importers.imported import Imported, Sieve, finish
from hutong.sim.importers.table import read_table, rounded

HUTONG = (
    "submitted", "ran_s", "limit_s", "nodes", "cards_per_node", "accelerator", "project", "person", "state",
)  # fmt: skip


def read_own(path: Path, *, name: str = "") -> Imported:
    """Read a trace of `hutong trace`; a job's group is its project, its run time all that its attempts ran.

    Left out: jobs that were not over, those that never ran, and those without cards. A walltime of 0 is none.
    """
    table = read_table(path, HUTONG)
    submit, run = table.moments("submitted"), table.optional_numbers("ran_s", 0)
    cards = table.whole("cards_per_node", 0)
    sieve = Sieve.of(len(table))
    sieve.drop(np.isnan(submit), "without a submission time")
    sieve.drop(np.array([each not in FINAL for each in table.texts("state")], np.bool_), "not over")
    sieve.drop(np.isnan(run), "never ran")
    sieve.drop(cards == 0, "without cards")
    return finish(
        name or path.name.split(".")[0],
        "jobs of a Hutong platform",
        sieve,
        submit_s=rounded(np.nan_to_num(submit)),
        run_s=rounded(np.nan_to_num(run)),
        limit_s=table.whole("limit_s", 0),
        nodes=table.whole("nodes", 1),
        cards_per_node=cards,
        group=table.texts("project"),
        user=table.texts("person"),
        chip=table.texts("accelerator"),
    )
