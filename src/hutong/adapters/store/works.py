"""Which work the lengths of runs belong to, as every implementation of the store decides it alike."""

from collections.abc import Iterable

from hutong.core.book.lengths import work_of
from hutong.core.book.snapshot import JobOutcome, JobRow, Limits


def works(rows: Iterable[JobRow], limits: Limits) -> list[str]:
    """Return the works of some jobs of which lengths may be known; none where they are not wanted."""
    if not limits.lengths:
        return []
    return sorted({work_of(row.project, row.spec) for row in rows} - {""})


def lengths_by_work(outcomes: Iterable[JobOutcome]) -> dict[str, list[int]]:
    """Return the lengths that some outcomes tell, seconds, by work."""
    found: dict[str, list[int]] = {}
    for each in outcomes:
        if each.length is not None:
            found.setdefault(each.length.work, []).append(each.length.ran_s)
    return found
