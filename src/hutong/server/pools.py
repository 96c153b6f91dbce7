"""What could ever run here: every registered pool as if idle, remembered for a moment."""

import threading

from hutong.core.book.store import Store
from hutong.core.capacity.sites import Site
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.placement.decide import NEVER, refuse
from hutong.core.placement.request import PoolView, request_of, view_pool
from hutong.core.work.spec import JobSpec
from hutong.server.registry import every, read

SITES_AT_MOST = 1000
_REASONS_SHOWN = 10


class Pools:
    """The registered pools. A change shows at once in this process (`forget`), within `keep_ms` in others."""

    def __init__(self, store: Store, keep_ms: int = 2_000) -> None:
        self._store = store
        self._keep_ms = keep_ms
        self._lock = threading.Lock()
        self._until_ms = -1
        self._views: tuple[PoolView, ...] = ()

    def recall(self, now_ms: int) -> tuple[PoolView, ...] | None:
        """Return the pools if they are remembered; asks nobody."""
        with self._lock:
            fresh = now_ms < self._until_ms <= now_ms + self._keep_ms
            return self._views if fresh else None

    def load(self, now_ms: int) -> tuple[PoolView, ...]:
        """Return the pools, asking the store if they are not remembered."""
        known = self.recall(now_ms)
        if known is not None:
            return known
        sites = [read(Site, record) for record in every(self._store, "site", "", SITES_AT_MOST)]
        views = tuple(
            view_pool(site, pool, cards_in_use=0, green_ppm=0, reachable=True)
            for site in sites
            for pool in site.pools
        )
        with self._lock:
            self._views, self._until_ms = views, now_ms + self._keep_ms
        return views

    def forget(self) -> None:
        """Ask again next time: a site was registered or changed."""
        with self._lock:
            self._until_ms = -1


def refuse_impossible(spec: JobSpec, pools: tuple[PoolView, ...], root: str = "/spec") -> None:
    """Raise Refused (`never_placeable`) if no registered pool could take the job even when idle."""
    request = request_of(spec)
    reasons = []
    for pool in pools:
        why_not = refuse(request, pool)
        if why_not is None or why_not.code not in NEVER:
            return
        reasons.append((f"{pool.site}/{pool.pool}", why_not))
    if not pools:
        problem = Problem(
            f"{root}/resources", "no site is registered yet", "ask the operator to register one"
        )
        raise Refused("never_placeable", "no site is registered yet", (problem,))
    problems = tuple(
        Problem(f"{root}/resources", f"{name} {why_not.text}", why_not.change)
        for name, why_not in reasons[:_REASONS_SHOWN]
    )
    message = f"none of the {len(reasons)} registered pools could ever run this job"
    raise Refused("never_placeable", message, problems)
