"""What every store decides alike about sums, and about what pools were."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hutong.core.book.rollups import GROUPS_MOST, PoolNote
from hutong.core.capacity.sites import Admission, Site
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.ids import JobId
from hutong.core.work.facts import Fact
from hutong.core.work.fold import Job


def check_groups(count: int) -> None:
    """Raise Refused if a question has more groups than anybody can read."""
    if count > GROUPS_MOST:
        problem = Problem("?by", f"that is more than {GROUPS_MOST:,} groups", "ask for less at once")
        raise Refused("too_many_groups", problem.message, (problem,))


def pools_now(sites: Iterable[Site], now_ms: int) -> list[PoolNote]:
    """Return what pools are now. Planned work takes cards away, and so does a site that takes no work."""
    found = []
    for site in sites:
        worked_on = any(each.from_ms <= now_ms < each.until_ms for each in site.maintenance)
        closed = worked_on or site.declared_only or site.admission is not Admission.ACTIVE
        for pool in site.pools:
            available = 0 if closed else pool.cards
            found.append(PoolNote(site.id, pool.id, now_ms, pool.accelerator, pool.cards, available))
    return found


def pool_news(known: Sequence[PoolNote], now: Sequence[PoolNote], now_ms: int) -> list[PoolNote]:
    """Return the notes to write: of pools that are another than before, are new, or are gone.

    A clock that was set back writes nothing until it is beyond the last note.
    """
    before = {(each.site, each.pool): each for each in known}
    there = {(each.site, each.pool): each for each in now}
    gone = [
        PoolNote(each.site, each.pool, now_ms, each.accelerator, 0, 0)
        for name, each in before.items()
        if name not in there and each.installed
    ]
    news = []
    for each in (*now, *gone):
        last = before.get((each.site, each.pool))
        if last is None or (last.from_ms < now_ms and _of(last) != _of(each)):
            news.append(each)
    return news


def _of(note: PoolNote) -> tuple[str, int, int]:
    return note.accelerator, note.installed, note.available


def by_job(after: Mapping[JobId, Job], facts: Sequence[Fact]) -> Iterator[tuple[Job, list[Fact]]]:
    """Yield each job with its facts among these."""
    for name, job in after.items():
        yield job, [fact for fact in facts if fact.job == name]
