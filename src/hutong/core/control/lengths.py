"""What a pass is told of lengths: when running jobs are expected to end, how long waiting ones will run."""

from collections.abc import Mapping, Sequence

import numpy as np

from hutong.core.control.accounts import Accounts
from hutong.core.control.desk import Desk
from hutong.core.control.draft import Draft
from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.work.fold import Job

# That quotas keep a job waiting the pass sees for itself, as of now (`guesses.mark_strict`).
_NOT_FOR_CARDS = frozenset({"no_funds", "debt", "never"})


def held_of(desk: Desk, at: Mapping[tuple[str, str], int], accounts: Accounts) -> Ints:
    """Return the running jobs that the snapshot shows, a column each, with the rows of `kernel.occupy`.

    `at` is the index of each pool by site and name.
    """
    guesses = desk.rules.predicts
    rows = [
        (
            at[each.site, each.pool],
            each.cards,
            each.began_ms,
            each.likely_ms if guesses else 0,
            each.until_ms,
            accounts.of_running(each.project, each.person),
            each.nodes,
        )
        for each in desk.snapshot.running
        if (each.site, each.pool) in at
    ]
    return np.ascontiguousarray(np.array(rows, np.int64).reshape(len(rows), 7).T)


def guess_lengths(arrays: Arrays, drafts: Sequence[Draft], likely_ms: Sequence[int], desk: Desk) -> None:
    """Tell a pass how long its waiting jobs are expected to run; nothing where walltimes are to count."""
    if not desk.rules.predicts or not drafts:
        return
    arrays.state[c.PATIENCE] = desk.rules.patience_ms
    arrays.jobs[: len(drafts), c.LIKELY] = likely_ms
    arrays.jobs[: len(drafts), c.QUEUED] = [_waits_since_ms(draft.job, desk.now_ms) for draft in drafts]


def _waits_since_ms(job: Job, now_ms: int) -> int:
    """Return since when a job waits for cards; now, if it waits for what no other job can give back."""
    return now_ms if job.waiting_code in _NOT_FOR_CARDS else job.queued_ms
