"""Whether a site's clock is wrong, from moments that cannot be in another order."""

from collections.abc import Sequence

from hutong.core.witnesses.shapes import Bounds, Finding, Kind, Sure, Timed

_STARTS_LEAST = 3


def skew_of(starts: Sequence[Timed], cleanup_ms: int) -> tuple[int | None, int | None]:
    """Return between what the site's clock is ahead of the platform's (ms); None where nothing bounds it.

    A start lies between the moment the site had the command and the moment the platform knew of it, an end
    before the platform knew of it. The second tightest bound counts: one record may be wrong in itself.
    """
    least = sorted(
        max(
            each.from_ms - each.started_seen_ms
            if each.started_seen_ms
            else each.from_ms - each.ended_seen_ms,
            each.upto_ms - each.ended_seen_ms - cleanup_ms,
        )
        for each in starts
        if each.ended_seen_ms
    )
    most = sorted(each.from_ms - each.dispatched_ms for each in starts if each.dispatched_ms)
    return (
        least[-2] if len(least) >= _STARTS_LEAST else None,
        most[1] if len(most) >= _STARTS_LEAST else None,
    )


def find_skew(starts: Sequence[Timed], bounds: Bounds) -> tuple[Finding, ...]:
    """Return a finding if the site's clock must be wrong by more than is allowed."""
    least, most = skew_of(starts, bounds.cleanup_ms)
    if least is not None and least > bounds.skew_ms:
        size, way = least, "ahead"
    elif most is not None and most < -bounds.skew_ms:
        size, way = -most, "behind"
    else:
        return ()
    return (
        Finding(
            Kind.CLOCK_SKEW,
            way,
            size,
            Sure.CERTAIN,
            f"records of accounting are at least {size // 1000} s {way} of what the platform saw itself",
            "have the site's clock set by NTP; its records of the day are right in length, not in time",
        ),
    )
