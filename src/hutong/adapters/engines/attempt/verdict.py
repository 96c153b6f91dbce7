"""How an attempt ended, by what was asked for and by how its ranks exited.

Standard library only: the supervisor imports this without any installed package.
"""

import signal
from typing import Any, NamedTuple

from hutong.adapters.engines.attempt.gang import Exit


class Verdict(NamedTuple):
    """How the attempt ended: an outcome and a category of the platform's, by their names."""

    outcome: str
    category: str
    reason: str


def stop_verdict(stop: dict[str, Any]) -> Verdict:
    """Return the end that a stop mark asks for."""
    category = stop["category"]
    outcomes = {"preempted": "PREEMPTED", "user": "FAILED", "oom": "FAILED", "infra": "FAILED"}
    return Verdict(outcomes.get(category, "CANCELLED"), category, stop["reason"])


def of_rank(first: Exit, starved: bool, words: str) -> Verdict:
    """Return the end that the first rank to fail brings about.

    Signal 9 is an end for want of memory only if the kernel or the batch system says so (`starved`). Else the
    job did it itself: to call that the centre's fault would make runs free that kill themselves. `words` is
    the last that the rank's launcher has said.
    """
    how, category = f"exited with code {first.code}", "user"
    if first.signal:
        how = f"was ended by signal {first.signal}"
    if first.signal == signal.SIGKILL and starved:
        category, how = "oom", "was killed by the kernel for want of memory"
    elif first.lost and first.signal != signal.SIGKILL:
        last = words.rstrip().rpartition("\n")[2]
        category, how = "infra", f"was lost: {last or 'nobody says why'}"
    return Verdict("FAILED", category, f"rank {first.rank} {how}")
