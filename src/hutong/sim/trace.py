"""A trace: jobs as they were submitted somewhere, as parallel arrays, whatever file they came from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hutong.core.kernel.errors import Refused
from hutong.core.placement.arrays import Ints

COLUMNS = ("submit_s", "run_s", "limit_s", "nodes", "cards_per_node", "group", "user", "chip")


@dataclass(frozen=True, slots=True)
class Trace:
    """Jobs in the order of their submission; each array has one entry a job, all of them int64.

    `submit_s` counts from the first submission (0). `run_s` is how long the job ran, `limit_s` its requested
    walltime (0 where the trace has none). A job takes `nodes` x `cards_per_node` cards; a trace that only
    knows a total says so with one node. `group` (virtual cluster, project or queue) indexes `groups`, `user`
    indexes `users`, `chip` indexes `chips`; -1 where the trace does not say. Cards of a trace of CPU jobs
    are CPUs. `source` says where the file came from and under which licence.
    """

    name: str
    source: str
    submit_s: Ints
    run_s: Ints
    limit_s: Ints
    nodes: Ints
    cards_per_node: Ints
    group: Ints
    user: Ints
    chip: Ints
    groups: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    chips: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.submit_s)

    @property
    def cards(self) -> Ints:
        """All cards of each job."""
        return self.nodes * self.cards_per_node

    @property
    def span_s(self) -> int:
        """Seconds from the first to the last submission."""
        return int(self.submit_s[-1]) if len(self) else 0

    def take(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "Trace":
        """Return the jobs that a mask or an index names; their clock goes on as it was."""
        return replace(self, **{name: getattr(self, name)[which] for name in COLUMNS})


def make_trace(
    name: str,
    source: str,
    *,
    submit_s: Sequence[int] | Ints,
    run_s: Sequence[int] | Ints,
    cards_per_node: Sequence[int] | Ints,
    limit_s: Sequence[int] | Ints | None = None,
    nodes: Sequence[int] | Ints | None = None,
    group: Sequence[str] = (),
    user: Sequence[str] = (),
    chip: Sequence[str] = (),
) -> Trace:
    """Return a trace, sorted by submission (ties keep the order of the file), its clock starting at 0.

    `group`, `user` and `chip` are names, one a job, or empty. Raises Refused for columns of unequal length,
    for a negative time, and for a job without cards.
    """
    submitted = np.asarray(submit_s, dtype=np.int64)
    count = len(submitted)
    columns = {
        "run_s": np.asarray(run_s, dtype=np.int64),
        "limit_s": np.zeros(count, np.int64) if limit_s is None else np.asarray(limit_s, dtype=np.int64),
        "nodes": np.ones(count, np.int64) if nodes is None else np.asarray(nodes, dtype=np.int64),
        "cards_per_node": np.asarray(cards_per_node, dtype=np.int64),
    }
    named = {
        each: _indexed(values, count) for each, values in (("group", group), ("user", user), ("chip", chip))
    }
    columns |= {each: index for each, (index, _) in named.items()}
    uneven = [each for each, column in columns.items() if len(column) != count]
    if uneven:
        raise Refused("trace", f"{name}: {', '.join(uneven)} and submit_s differ in length")
    if count and (min(columns["run_s"].min(), columns["limit_s"].min()) < 0):
        raise Refused("trace", f"{name}: a job with a negative time")
    if count and min(columns["nodes"].min(), columns["cards_per_node"].min()) < 1:
        raise Refused("trace", f"{name}: a job without nodes or cards")
    order = np.argsort(submitted, kind="stable")
    first = submitted[order[0]] if count else 0
    return Trace(
        name,
        source,
        submitted[order] - first,
        **{each: column[order] for each, column in columns.items()},
        groups=named["group"][1],
        users=named["user"][1],
        chips=named["chip"][1],
    )


def _indexed(values: Sequence[str], count: int) -> tuple[Ints, tuple[str, ...]]:
    """Return indexes into the sorted names, and the names; all -1 where nothing is said."""
    if not len(values):
        return np.full(count, -1, np.int64), ()
    names, index = np.unique(np.asarray(values, dtype=str), return_inverse=True)
    return index.astype(np.int64), tuple(str(each) for each in names)
