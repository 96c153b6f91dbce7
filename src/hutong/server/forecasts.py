"""Forecasts of the queue as they are kept in the book; `forecaster` makes them."""

from dataclasses import dataclass

from hutong.core.book.store import Store
from hutong.core.kernel.ids import JobId

KIND, ID = "forecast", "queue"
STALE_MS = 300_000


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of a waiting job: its place in line and its start, UTC ms (0: unknown).

    `samples` is on how many earlier waits the two times rest; with 0 both go by walltimes alone.
    """

    as_of_ms: int
    place: int
    likely_ms: int
    late_ms: int
    samples: int


def forecast_of(store: Store, job: JobId, now_ms: int) -> Forecast | None:
    """Return what was last expected of a waiting job, None if nothing is known or it is too old."""
    kept = store.get(KIND, ID)
    if kept is None:
        return None
    as_of_ms, jobs = kept.doc.get("as_of_ms"), kept.doc.get("jobs")
    row = jobs.get(job) if isinstance(jobs, dict) else None
    if not isinstance(as_of_ms, int) or not row or now_ms - as_of_ms > STALE_MS:
        return None
    return Forecast(as_of_ms, *row)
