"""What a job's next attempt avoids: the sites that broke one, and what shares a failure domain with those."""

from collections.abc import Sequence

from hutong.core.placement.request import PoolView
from hutong.core.work.fold import Job
from hutong.core.work.states import THEIRS


def broken_by(job: Job) -> tuple[str, ...]:
    """Return the sites that broke an earlier attempt of a job."""
    if not job.attempts:
        return ()
    return tuple(sorted({each.site for each in job.attempts if each.category in THEIRS}))


def domains_that_broke(job: Job, kinds: Sequence[str], views: Sequence[PoolView]) -> tuple[str, ...]:
    """Return the failure domains of these kinds of the pools that broke an earlier attempt of a job."""
    pools = {(each.site, each.pool) for each in job.attempts if each.category in THEIRS} if kinds else set()
    if not pools:
        return ()
    there = {domain for view in views if (view.site, view.pool) in pools for domain in view.domains}
    return tuple(sorted(domain for domain in there if domain.partition("/")[0] in kinds))
