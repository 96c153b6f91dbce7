"""Reads GAIA's year-long job lists, and the jobs of Alibaba's PAI simulator (cluster-trace-gpu-v2020).

GAIA's form is checked against 200,986 rows (MIT, umassos/GAIA); PAI's is from its simulator's reader, for
research and study (alibaba/clusterdata). Times are rounded to whole seconds, halves up.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from hutong.core.kernel.errors import Refused
from hutong.sim.importers.imported import Imported, Sieve, finish, whole_cards
from hutong.sim.importers.table import Floats, read_table, refuse, rounded

GAIA = ("arrival_time", "length", "cpus")
PAI = ("job_id", "user", "num_gpu", "submit_time", "duration")
# Times of a year in hours stay below this, and times of a week in seconds are well above.
_HOURS_OF_A_YEAR = 10_000
_SECONDS = {"h": 3600, "s": 1}


def read_gaia(path: Path, *, name: str = "", unit: Literal["h", "s", ""] = "") -> Imported:
    """Read `arrival_time,length,cpus`; cards are CPUs.

    GAIA's lists of 100,000 jobs count in hours, its `pai_1k` in seconds, and the file does not say which.
    Without `unit`, times are hours where some are not whole and none reaches 10,000 (a year has 8,760), and
    seconds where all are whole and some reach 10,000; anything else is refused until `unit` is given.
    """
    if unit not in {"h", "s", ""}:
        raise Refused("trace", f"unit: expected h or s, found {unit!r}")
    table = read_table(path, GAIA)
    arrival, length = table.numbers("arrival_time", 0), table.numbers("length", 0)
    cards = table.whole("cpus", 0)
    unit = unit or _guessed(path, np.concatenate((arrival, length)))
    sieve = Sieve.of(len(table))
    sieve.drop(cards == 0, "without CPUs")
    return finish(
        name or path.name.split(".")[0],
        f"umassos/GAIA, ASPLOS 2024, MIT; times read as {'hours' if unit == 'h' else 'seconds'}",
        sieve,
        submit_s=rounded(arrival * _SECONDS[unit]),
        run_s=rounded(length * _SECONDS[unit]),
        cards_per_node=cards,
    )


def _guessed(path: Path, times: Floats) -> Literal["h", "s"]:
    whole, large = bool((times == np.floor(times)).all()), bool(times.max() >= _HOURS_OF_A_YEAR)
    if whole == large:
        return "s" if whole else "h"
    raise refuse(path, 0, "the option unit, h or s: the times could be either")


def read_pai(path: Path, *, name: str = "") -> Imported:
    """Read a job list of PAI's simulator: `num_inst` instances of `num_gpu` GPUs each (one where not said).

    A share of a GPU takes the whole card. The group is the column `group`, the chip `gpu_type`, where they
    exist. Left out: jobs without GPUs, and jobs without a duration, which never ran.
    """
    table = read_table(path, PAI)
    known = table.columns
    submit, run = table.numbers("submit_time", 0), table.optional_numbers("duration", 0)
    gpus = np.nan_to_num(table.optional_numbers("num_gpu", 0))
    count = len(table)
    said = table.optional_numbers("num_inst", 0) if "num_inst" in known else np.ones(count)
    instances = rounded(np.nan_to_num(said, nan=1.0))
    sieve = Sieve.of(count)
    sieve.drop((gpus == 0) | (instances == 0), "without cards")
    sieve.drop(np.isnan(run), "never ran")
    return finish(
        name or path.name.split(".")[0],
        "Alibaba cluster-trace-gpu-v2020 (PAI), NSDI 2022, for research and study",
        sieve,
        submit_s=rounded(submit),
        run_s=rounded(np.nan_to_num(run)),
        nodes=instances,
        cards_per_node=whole_cards(gpus),
        group=table.texts("group") if "group" in known else (),
        user=table.texts("user"),
        chip=table.texts("gpu_type") if "gpu_type" in known else (),
    )
