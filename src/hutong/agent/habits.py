"""How an agent goes about its work: how often, how long, and by which clock."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Habits:
    """How often and how long. `retention_ms` and `keep_most` say when a settled attempt is forgotten.

    A start command is good for `lease_s` after the platform has (again) handed it out. An agent that was
    frozen for longer must ask first: the attempt may have been given up and be running elsewhere. A start
    that fails for the site's own reasons is tried again for `start_within_s`, then ended. The engine's own
    accounting is read every `accounts_every_s`.
    """

    sighting_every_s: float = 5.0
    ask_all_every_s: float = 300.0
    confirm_every_s: float = 20.0
    lease_s: float = 60.0
    start_within_s: float = 600.0
    accounts_every_s: float = 900.0
    retention_ms: int = 86_400_000
    keep_most: int = 500


def steady_ms() -> int:
    """Return milliseconds of a clock that never jumps and that goes on while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
