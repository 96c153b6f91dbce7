"""Utilisation in four levels, each a share of a stated whole, with its definition beside it."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

from hutong.core.book.sealed import PoolHour
from hutong.core.capacity.figures import Figure
from hutong.core.kernel.quantities import HOUR_MS

DEFINITIONS = MappingProxyType(
    {
        "installed": "cards registered in the pool, for the hours of which the agent reported anything",
        "seen": "card-time of installed cards while the agent was looking; the other levels are of this time",
        "available": (
            "seen card-time outside of maintenance that was announced to the platform; cards that are broken,"
            " or drained without an announcement, count as available"
        ),
        "up": "card-time on nodes that take work, as the site's scheduler says; where it says nothing, seen",
        "allocated": "card-time held by jobs of the platform, hour by hour, not at a job's end",
        "other": "card-time held by jobs that are not the platform's",
        "busy": "allocated card-time in which cards worked, by the named counter; null where nothing counts",
        "effective": (
            "busy card-time times the measured throughput of the card over its nominal one"
            " (dense FP16); null where either is not known"
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Levels:
    """Card-milliseconds of a pool over some hours. `busy` is of `counted` of `allocated`; None: unknown.

    `methods` are the counters that counted.
    """

    installed: int = 0
    seen: int = 0
    available: int = 0
    up: int = 0
    allocated: int = 0
    other: int = 0
    counted: int = 0
    busy: int | None = None
    effective: int | None = None
    methods: tuple[str, ...] = ()


def levels_of(hours: Iterable[PoolHour], yield_ppm: int | None = None) -> Levels:
    """Return the sums over hours of one pool; `yield_ppm` is measured over nominal throughput of its card."""
    installed = seen = available = up = allocated = other = counted = busy = 0
    methods: set[str] = set()
    for each in hours:
        installed += each.cards * HOUR_MS
        seen += each.cards * each.seen_ms
        available += each.cards * each.seen_ms - each.planned_card_ms
        up += each.up_card_ms
        allocated += each.held_card_ms
        other += each.other_card_ms
        if each.busy_card_ms is not None:
            counted += each.held_card_ms
            busy += each.busy_card_ms
            methods.add(each.method)
    return Levels(
        installed, seen, available, up, allocated, other, counted,
        busy if methods else None,
        busy * yield_ppm // 10**6 if methods and yield_ppm is not None else None,
        tuple(sorted(methods)),
    )  # fmt: skip


def yield_of(figures: Iterable[Figure]) -> int | None:
    """Return measured over nominal dense FP16 throughput of a card, in millionths; None where one is missing.

    Of several figures the highest nominal and the lowest measured one count: a share that is not too good.
    """
    dense = [
        each for each in figures
        if each.precision == "FP16" and not each.sparse and each.of == "card" and not each.assumed
    ]  # fmt: skip
    nominal = [each.gops for each in dense if each.basis == "nominal"]
    measured = [each.gops for each in dense if each.basis in {"tool", "framework"}]
    return min(measured) * 10**6 // max(nominal) if nominal and measured else None


def share_ppm(part: int | None, whole: int) -> int | None:
    """Return a share in millionths; None where the part is not known or the whole is nothing."""
    return None if part is None or whole <= 0 else part * 10**6 // whole
