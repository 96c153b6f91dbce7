"""All that a site's day is looked at for, in one place; the same live and under `make frauds`."""

from hutong.core.witnesses.clocks import find_skew
from hutong.core.witnesses.electricity import find_by_past, find_by_physics
from hutong.core.witnesses.records import find_booked, find_overbooked, find_replays
from hutong.core.witnesses.shapes import Bounds, DaySeen, Finding, Kind, Sure


def detect(day: DaySeen, bounds: Bounds) -> tuple[Finding, ...]:
    """Return what the witnesses of a site's day contradict each other in."""
    physics = tuple(find_by_physics(day, bounds))
    broken = tuple(
        Finding(
            Kind.BROKEN_CHAIN,
            str(fault.seq),
            1,
            Sure.CERTAIN,
            fault.text,
            "ask the site for the sealed report; what it does not seal again counts as not reported",
        )
        for fault in day.faults
    )
    return (
        *broken,
        *find_replays(day.starts),
        *find_overbooked(day),
        *find_skew(day.starts, bounds),
        *find_booked(day, bounds),
        *(physics or find_by_past(day, bounds)),
    )
