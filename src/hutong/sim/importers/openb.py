"""Reads the pods of Alibaba's cluster-trace-gpu-v2023 (openb) as a queue of jobs.

Checked against 8,152 rows of the default list and its variants. The trace is for research and study
(alibaba/clusterdata). Where a pod fits on which node is another question, and another reader's.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from hutong.core.kernel.errors import Refused
from hutong.sim.importers.imported import Imported, Sieve, finish
from hutong.sim.importers.table import read_table, refuse, rounded

COLUMNS = (
    "name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec", "qos", "pod_phase",
    "creation_time", "deletion_time", "scheduled_time",
)  # fmt: skip
_SOURCE = "Alibaba cluster-trace-gpu-v2023 (openb), ATC 2023, for research and study"


def read_openb(path: Path, *, name: str = "", unit: Literal["card", "milli"] = "card") -> Imported:
    """Read a pod list. A pod runs from its scheduling to its deletion; its group is its class of service.

    A pod may ask for a share of one card (`gpu_milli` below 1000). With `unit="card"` it takes the whole
    card, as a queue without sharing would give it. With `unit="milli"` a card of the trace is a thousandth
    of a GPU: a pod counts num_gpu x gpu_milli of them, and a pool of n GPUs has 1000 n.

    The kinds of card that a pod accepts (`V100M16|V100M32`) are its chip, as written; -1 is any. Left out:
    pods without GPUs and pods that were never scheduled.
    """
    if unit not in {"card", "milli"}:
        raise Refused("trace", f"unit: expected card or milli, found {unit!r}")
    table = read_table(path, COLUMNS)
    gpus, milli = table.whole("num_gpu", 0), table.whole("gpu_milli", 0)
    if milli.max() > 1000:
        row = int(milli.argmax())
        raise refuse(path, table.lines[row], "at most 1000 as gpu_milli", str(milli[row]))
    created = table.numbers("creation_time", 0)
    scheduled = table.optional_numbers("scheduled_time", 0)
    deleted = table.optional_numbers("deletion_time", 0)
    cards = gpus * milli if unit == "milli" else gpus
    ran = rounded(np.nan_to_num(deleted)) - rounded(np.nan_to_num(scheduled))
    sieve = Sieve.of(len(table))
    sieve.drop(cards == 0, "without cards")
    sieve.drop(np.isnan(scheduled) | np.isnan(deleted), "never ran")
    sieve.drop(ran < 0, "deleted before they were scheduled")
    return finish(
        name or path.name.split(".")[0],
        _SOURCE,
        sieve,
        submit_s=rounded(created),
        run_s=ran,
        cards_per_node=cards,
        group=table.texts("qos"),
        chip=table.texts("gpu_spec"),
    )
