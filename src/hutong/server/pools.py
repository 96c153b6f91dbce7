"""What could ever run here: every registered pool as if idle, remembered for a moment."""

import threading
from dataclasses import dataclass, field

from hutong.core.book.store import Store
from hutong.core.capacity.sites import Site
from hutong.core.control.prices import paid_in
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.ledger.prices import Tariff
from hutong.core.placement.judge import LASTING, Refusal, Table, refuse, table_of
from hutong.core.placement.request import Paid, PoolView, Request, paid_for, request_of, view_pool
from hutong.core.placement.words import explain
from hutong.core.work.spec import JobSpec
from hutong.server.prices import tariff_now, tenant_of
from hutong.server.registry import every, read

SITES_AT_MOST = 1000
_REASONS_SHOWN = 10
_ANSWERS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Idle:
    """All pools as if idle, and which requests some of them could take: most jobs ask what others asked."""

    views: tuple[PoolView, ...]
    table: Table
    answers: dict[Request, bool] = field(default_factory=dict)
    sites: tuple[Site, ...] = ()
    tariff: Tariff = field(default_factory=lambda: Tariff((), {}))

    def could_take(self, request: Request) -> bool:
        """True if some pool could ever take a request."""
        known = self.answers.get(request)
        if known is None:
            refusal = refuse(request, self.table)[1]
            known = bool(((refusal == Refusal.NONE) | (refusal > LASTING)).any())
            if len(self.answers) < _ANSWERS_MAX:
                self.answers[request] = known
        return known


def idle(views: tuple[PoolView, ...], sites: tuple[Site, ...] = (), tariff: Tariff | None = None) -> Idle:
    """Return the pools, ready to be asked, with the price books of the moment."""
    return Idle(views, table_of(views), {}, sites, tariff or Tariff((), {}))


class Pools:
    """The registered pools. A change shows at once in this process (`forget`), within `keep_ms` in others."""

    def __init__(self, store: Store, keep_ms: int = 2_000) -> None:
        self._store = store
        self._keep_ms = keep_ms
        self._lock = threading.Lock()
        self._until_ms = -1
        self._idle = idle(())

    def recall(self, now_ms: int) -> Idle | None:
        """Return the pools if they are remembered; asks nobody."""
        with self._lock:
            fresh = now_ms < self._until_ms <= now_ms + self._keep_ms
            return self._idle if fresh else None

    def load(self, now_ms: int) -> Idle:
        """Return the pools, asking the store if they are not remembered."""
        known = self.recall(now_ms)
        if known is not None:
            return known
        sites = tuple(read(Site, record) for record in every(self._store, "site", "", SITES_AT_MOST))
        found = idle(
            tuple(
                view_pool(site, pool, pool.cards, 0, reachable=True) for site in sites for pool in site.pools
            ),
            sites,
            tariff_now(self._store, now_ms),
        )
        with self._lock:
            self._idle, self._until_ms = found, now_ms + self._keep_ms
        return found

    def forget(self) -> None:
        """Ask again next time: a site was registered or changed."""
        with self._lock:
            self._until_ms = -1


def asks_prices(spec: JobSpec, pools: Idle) -> bool:
    """True if whether a job can ever be placed hangs on what its project pays: then say so by `paid`."""
    return spec.wish.max_hourly_cost_micro is not None and bool(pools.tariff.prices)


def paid_by(store: Store, pools: Idle, project: str, now_ms: int) -> tuple[Paid, ...]:
    """Return what a project pays in each pool where that is not the pool's own price."""
    return paid_in(pools.tariff, tenant_of(store, project, now_ms), pools.sites)


def refuse_impossible(spec: JobSpec, pools: Idle, root: str = "/spec", paid: tuple[Paid, ...] = ()) -> None:
    """Raise Refused (`never_placeable`) if no registered pool could take the job even when idle.

    `paid` is what its project pays, where `asks_prices` says that it matters.
    """
    request = request_of(spec, paid=paid)
    if pools.could_take(request):
        return
    if not pools.views:
        problem = Problem(
            f"{root}/resources", "no site is registered yet", "ask the operator to register one"
        )
        raise Refused("never_placeable", "no site is registered yet", (problem,))
    asked, refusals = refuse(request, pools.table)
    problems = []
    for at, view in enumerate(paid_for(request, pools.views[:_REASONS_SHOWN])):
        why_not = explain(request, view, int(asked[at]), Refusal(refusals[at]))
        name = f"{view.site}/{view.pool}"
        problems.append(Problem(f"{root}/resources", f"{name} {why_not.text}", why_not.change))
    message = f"none of the {len(pools.views)} registered pools could ever run this job"
    raise Refused("never_placeable", message, tuple(problems))
