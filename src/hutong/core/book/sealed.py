"""Sealed reports of sites, a chain for each, and the hours of their pools: see `hutong.core.book.store`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hutong.core.kernel.chain import Head
from hutong.core.kernel.errors import Conflict

Hours = tuple[int, int]
"""Hours since 1970, UTC, `[from, to)`."""
REPORTS_AT_ONCE = 48


@dataclass(frozen=True, slots=True)
class PoolHour:
    """What a site's agent saw of a pool in an hour (hours since 1970), in card-milliseconds.

    It looked for `seen_ms` of the hour. `up` cards were on nodes that take work, `held` by the platform's
    jobs, `other` by others, `busy` by counters that `method` names; None: nothing counts there. `seq` is the
    sealed report that says so; a later one takes its place. `planned` lay in maintenance that was announced
    to the platform, and nobody's jobs held them. `accelerator` is what the pool had when the report came.
    """

    site: str
    pool: str
    hour: int
    cards: int
    seen_ms: int
    up_card_ms: int
    held_card_ms: int
    other_card_ms: int
    busy_card_ms: int | None
    method: str
    seq: int
    planned_card_ms: int = 0
    accelerator: str = ""


@dataclass(frozen=True, slots=True)
class SealedReport:
    """One report as its agent sealed it. `text` is its canonical JSON with `seq`, `prev` and `hash`.

    `key` names the public key that `signature` (hex, over the 32 bytes of the hash) answers to.
    """

    site: str
    seq: int
    prev: str
    hash: str
    key: str
    signature: str
    text: str
    at_ms: int


def news_of(
    head: Head, known: Mapping[int, str], reports: Sequence[SealedReport]
) -> tuple[SealedReport, ...]:
    """Return those reports that go on after a site's head; what is there already is left out.

    `known` has the hashes of kept reports by their number. Raises Conflict("gap") where one is missing
    before, Conflict("fork") where another report has that place.
    """
    news: list[SealedReport] = []
    for each in sorted(reports, key=lambda report: report.seq):
        if each.seq <= head.seq:
            if (each.seq == head.seq and each.hash == head.hash) or known.get(each.seq) == each.hash:
                continue
            raise Conflict("fork", f"report {each.seq} of {each.site} is another one than was sealed before")
        if each.seq > head.seq + 1:
            raise Conflict("gap", f"report {each.seq} came, {head.seq + 1} is missing before it")
        if each.prev != head.hash:
            raise Conflict("fork", f"report {each.seq} of {each.site} does not follow on {head.text}")
        news.append(each)
        head = Head(each.seq, each.hash)
    return tuple(news)


class Sealing(Protocol):
    """Sealed reports, and hours of pools."""

    def keep_sealed(self, reports: Sequence[SealedReport], hours: Sequence[PoolHour]) -> Head:
        """Keep reports of one site (at most 48) with the hours that they tell of; return the site's head.

        A repeat changes nothing. Raises Conflict where a report is missing before, or another is there.
        """
        ...

    def sealed_head(self, site: str) -> Head:
        """Return how far a site's chain goes."""
        ...

    def sealed(self, site: str, after: int, limit: int) -> tuple[SealedReport, ...]:
        """Return a site's reports in order of their numbers above `after`."""
        ...

    def pool_hours(self, site: str, hours: Hours, after: tuple[int, str], limit: int) -> tuple[PoolHour, ...]:
        """Return what was seen of a site's pools, in order of hour and pool beyond `after`."""
        ...
