"""What works beside the loop: each desk has a thread, and works while this process leads."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from hutong.core.accounts.reclaim import ReclaimPolicy
from hutong.core.book.store import Store
from hutong.core.control.rules import Rules
from hutong.core.kernel.errors import HutongError
from hutong.core.ledger.metering import Limits
from hutong.server.budgets import Noticer
from hutong.server.daily import DailyDesk
from hutong.server.energy import AT_ONCE, EnergyDesk
from hutong.server.findings import FindingsDesk
from hutong.server.forecaster import Forecaster
from hutong.server.reconciling import Reconciler
from hutong.server.reports.watching import PoolWatcher
from hutong.server.upkeep import Keeper

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """A bounded piece of work that is done again and again; it is safe to repeat, and to do twice at once.

    `step` says how much it did. After `again` or more of it, it is done again without a pause; None: never.
    """

    name: str
    step: Callable[[], int]
    first_s: float
    every_s: float
    again: int | None = 1

    def run(self, leads: Callable[[], bool], stop: threading.Event) -> None:
        """Work until told to stop; nothing while another process leads."""
        pause_s = self.first_s
        while not stop.wait(pause_s):
            pause_s = self.every_s
            try:
                while leads() and self._more() and not stop.is_set():
                    pass
            except HutongError as error:
                log.warning("delayed", desk=self.name, detail=str(error))
            except Exception:  # its next step begins from what is in the book
                log.exception("delayed", desk=self.name)

    def _more(self) -> bool:
        did = self.step()
        return self.again is not None and did >= self.again


def desks(
    store: Store,
    rules: Rules,
    clock: Callable[[], int],
    limits: Limits,
    reclaim: Callable[[], ReclaimPolicy],
    zone: str,
) -> tuple[Desk, ...]:
    """Return all that works beside the loop, and how often."""
    keeper = Keeper(store, clock, zone, Noticer(store), PoolWatcher(store))
    return (
        Desk("forecasts", Forecaster(store, rules, clock).step, 30, 30, None),
        Desk("upkeep", keeper.step, 2, 2),
        Desk("reconciling", Reconciler(store, limits, clock).step, 60, 3600, None),
        Desk("energy", EnergyDesk(store, clock).step, 5, 5, AT_ONCE),
        Desk("daily", DailyDesk(store, clock, zone, reclaim).step, 5, 5),
        Desk("findings", FindingsDesk(store, limits, clock).step, 90, 600),
    )


def start(
    every: tuple[Desk, ...], leads: Callable[[], bool], stop: threading.Event
) -> list[threading.Thread]:
    """Start the threads of desks, which work until told to stop."""
    threads = [
        threading.Thread(target=each.run, args=(leads, stop), name=each.name, daemon=True) for each in every
    ]
    for thread in threads:
        thread.start()
    return threads
