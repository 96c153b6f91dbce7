"""Reads the workloads of Sia's simulator and the traces of Gavel, where run time depends on the chip.

Neither format has a run time: how long a job takes is left to a model of each application on each chip. The
caller gives a table instead. Sia's form is checked against 6,400 rows (siasosp23/artifacts), Gavel's is from
the traces in stanford-futuredata/gavel (MIT). Times are rounded to whole seconds, halves up.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hutong.core.kernel.errors import Refused
from hutong.core.placement.arrays import Ints
from hutong.sim.importers.imported import Imported, Sieve, finish
from hutong.sim.importers.table import Floats, Table, read_table, read_text, refuse, rounded, split_table

SIA = ("name", "time", "application", "num_replicas", "batch_size")
# Gavel's form grew: a flag for the data, then a working directory, a priority and a deadline.
_GAVEL = {
    6: ("job_type", "command", "num_steps_arg", "total_steps", "arrival_time", "scale_factor"),
    7: (
        "job_type", "command", "num_steps_arg", "needs_data_dir", "total_steps", "arrival_time",
        "scale_factor",
    ),
    10: (
        "job_type", "command", "working_directory", "num_steps_arg", "needs_data_dir", "total_steps",
        "scale_factor", "priority_weight", "slo", "arrival_time",
    ),
}  # fmt: skip


def read_sia(path: Path, *, name: str = "", seconds: Mapping[str, float] | None = None) -> Imported:
    """Read a workload of Sia; a job's cards are its replicas, its group is its application.

    `seconds` says how long a job of each application runs. The name alone (`bert`) holds for any number of
    replicas; a name with a number (`bert@8`) goes before it for jobs of so many.
    """
    table = read_table(path, SIA)
    applications, cards = table.texts("application"), table.whole("num_replicas", 0)
    keys = [f"{each}@{count}" for each, count in zip(applications, cards.tolist(), strict=True)]
    meaning = "how many seconds a job of each application runs"
    given = _table(path, "seconds", meaning, seconds, applications)
    run = [_look_up(path, given, "seconds", key, each) for key, each in zip(keys, applications, strict=True)]
    sieve = Sieve.of(len(table))
    sieve.drop(cards == 0, "without cards")
    return finish(
        name or path.name.split(".")[0],
        "Sia, SOSP 2023, siasosp23/artifacts; run times given by the caller",
        sieve,
        submit_s=rounded(table.numbers("time", 0)),
        run_s=rounded(np.array(run, np.float64)),
        cards_per_node=cards,
        group=applications,
    )


def read_gavel(path: Path, *, name: str = "", steps_per_s: Mapping[str, float] | None = None) -> Imported:
    """Read a trace of Gavel, tabs between 6, 7 or 10 fields; a job's group is its type, with its batch size.

    `steps_per_s` says how many steps a job of each type does in a second, all its cards together. The type
    alone holds for any number of cards; a type with a number (`LM (batch size 5)@4`) goes before it.
    """
    table = _gavel_table(path)
    kinds, cards = table.texts("job_type"), table.whole("scale_factor", 1)
    keys = [f"{each}@{count}" for each, count in zip(kinds, cards.tolist(), strict=True)]
    given = _table(
        path, "steps_per_s", "how many steps a job of each type does in a second", steps_per_s, kinds
    )
    if not all(each > 0 for each in given.values()):
        raise Refused("trace", "steps_per_s: expected numbers above 0")
    speed = [_look_up(path, given, "steps_per_s", key, each) for key, each in zip(keys, kinds, strict=True)]
    return finish(
        name or path.name.split(".")[0],
        "Gavel, OSDI 2020, stanford-futuredata/gavel, MIT; run times given by the caller",
        Sieve.of(len(table)),
        submit_s=rounded(table.numbers("arrival_time", 0)),
        run_s=_bounded(path, table.numbers("total_steps", 0) / np.array(speed, np.float64)),
        cards_per_node=cards,
        group=kinds,
    )


def _bounded(path: Path, run: Floats) -> Ints:
    if run.max() > 1e12:
        raise refuse(path, 0, "run times below 10^12 s; steps_per_s is too small")
    return rounded(run)


def _gavel_table(path: Path) -> Table:
    text = read_text(path)
    first = text.lstrip("\n").split("\n", 1)[0]
    names = _GAVEL.get(first.count("\t") + 1)
    if names is None:
        raise refuse(path, 1, "6, 7 or 10 fields with tabs between them", f"{first.count(chr(9)) + 1} fields")
    return split_table(path, text, "\t", names)


def _table(
    path: Path, option: str, meaning: str, given: Mapping[str, float] | None, names: Sequence[str]
) -> Mapping[str, float]:
    if not isinstance(given, Mapping) or not given:
        text = f"{path}: this format has no run times; give the option {option}, a table of {meaning}"
        entries = sorted(set(names))
        raise Refused("trace", f"{text} (--read '{option}:{entries[0]}=NUMBER'); it has {', '.join(entries)}")
    for key, value in given.items():
        if not isinstance(value, int | float) or not 0 <= value <= 1e12:  # nor is it NaN
            raise Refused("trace", f"{option}: expected a number of at least 0 for {key!r}, found {value!r}")
    return given


def _look_up(path: Path, given: Mapping[str, float], option: str, key: str, name: str) -> float:
    found = given.get(key, given.get(name))
    if found is None:
        known = ", ".join(sorted(given))
        raise Refused("trace", f"{path}: {option} has no entry for {name!r}; it has {known}")
    return found


def types_in(path: Path | str) -> Sequence[str]:
    """Return the applications of a Sia workload, or the job types of a Gavel trace, for the table to name."""
    path = Path(path)
    text = read_text(path)
    tabbed = "\t" in text.split("\n", 1)[0]
    table = _gavel_table(path) if tabbed else read_table(path, SIA)
    return sorted(set(table.texts("job_type" if tabbed else "application")))
