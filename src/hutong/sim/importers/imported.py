"""What an importer gives back: the trace, what was left out of it and what its header said."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from hutong.core.kernel.errors import Refused
from hutong.core.placement.arrays import Ints
from hutong.sim.trace import Trace, make_trace

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Imported:
    """A trace as it was read.

    `left_out` counts rows that are no jobs to replay, by reason; `header` keeps what the file says of itself.
    """

    trace: Trace
    left_out: Mapping[str, int] = field(default_factory=dict)
    header: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Sieve:
    """Which rows to keep; a row is counted under the first reason that leaves it out."""

    keep: Mask
    left_out: dict[str, int]

    @classmethod
    def of(cls, count: int) -> "Sieve":
        """Keep every row to begin with."""
        return cls(np.ones(count, np.bool_), {})

    def drop(self, which: Mask, reason: str) -> None:
        """Leave out the rows of the mask that are still there."""
        count = int((self.keep & which).sum())
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count
        self.keep = self.keep & ~which


def finish(
    name: str,
    source: str,
    sieve: Sieve,
    *,
    submit_s: Ints,
    run_s: Ints,
    cards_per_node: Ints,
    limit_s: Ints | None = None,
    nodes: Ints | None = None,
    group: Sequence[str] = (),
    user: Sequence[str] = (),
    chip: Sequence[str] = (),
    header: Mapping[str, str] | None = None,
) -> Imported:
    """Return the rows that are kept as a trace; an empty name of a group, user or chip becomes -1.

    Raises Refused where no row is kept: such a file is not the one that was meant.
    """
    keep = sieve.keep
    if not keep.any():
        raise Refused("trace", f"{name}: no job to replay in {_said(source, sieve.left_out)}")

    def kept(column: Ints | None) -> Ints | None:
        return None if column is None else column[keep]

    def names(column: Sequence[str]) -> Sequence[str]:
        return np.asarray(column, dtype=str)[keep].tolist() if len(column) else ()

    trace = make_trace(
        name,
        _said(source, sieve.left_out),
        submit_s=submit_s[keep],
        run_s=run_s[keep],
        cards_per_node=cards_per_node[keep],
        limit_s=kept(limit_s),
        nodes=kept(nodes),
        group=names(group),
        user=names(user),
        chip=names(chip),
    )
    # Names are sorted, so the empty one, where there is one, is the first.
    if trace.groups[:1] == ("",):
        trace = replace(trace, group=trace.group - 1, groups=trace.groups[1:])
    if trace.users[:1] == ("",):
        trace = replace(trace, user=trace.user - 1, users=trace.users[1:])
    if trace.chips[:1] == ("",):
        trace = replace(trace, chip=trace.chip - 1, chips=trace.chips[1:])
    return Imported(trace, dict(sieve.left_out), dict(header or {}))


def _said(source: str, left_out: Mapping[str, int]) -> str:
    if not left_out:
        return source
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    return f"{source}; left out: {reasons}"


Reader = Callable[..., Imported]


def shaped(nodes: Ints, cards: Ints) -> tuple[Ints, Ints]:
    """Return nodes and cards a node; one node with all of the cards where they do not divide evenly."""
    safe = np.maximum(nodes, 1)
    even = (nodes > 0) & (cards % safe == 0)
    return np.where(even, safe, 1), np.where(even, cards // safe, cards)


def whole_cards(shares: npt.NDArray[np.float64]) -> Ints:
    """Return shares of a card rounded up to whole cards; a hair above a whole number is that number."""
    return np.ceil(shares - 1e-9).astype(np.int64)
