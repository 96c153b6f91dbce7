"""The shell round `core.control.turn`: load, decide, apply; one leader at a time, no I/O in between."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from hutong.core.accounts.reclaim import ReclaimPolicy
from hutong.core.book.money import Posting, Txn
from hutong.core.book.snapshot import Limits, Outcome
from hutong.core.book.store import Applied, Store
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.errors import Conflict, Later
from hutong.core.ledger.metering import Limits as MeteringLimits
from hutong.server.beside import desks, start

log = structlog.get_logger(__name__)

LEASE_MS = 10_000
RENEW_MS = 3_000
IDLE_S = 1.0
_POLL_S = 0.001
_POLL_MOST_S = 0.05


class Clock(Protocol):
    """Tells the time in UTC milliseconds."""

    def __call__(self) -> int:
        """Return now."""
        ...


@dataclass(slots=True)
class Loop:
    """One contender for the lead. `step` may be called by a test; `run` is the process."""

    store: Store
    rules: Rules
    clock: Clock
    holder: str
    limits: Limits = field(default_factory=Limits)
    epoch: int | None = None
    _renew_at_ms: int = 0

    def step(self) -> int:
        """Take one turn if we lead; return how many jobs were written. A stale decision is thrown away."""
        now_ms = self.clock()
        if not self._leads(now_ms):
            return 0
        snapshot = self.store.snapshot(now_ms, replace(self.limits, lengths=self.rules.predicts))
        outcome = turn(snapshot, self.rules)
        for job, why in outcome.broken:
            log.error("broken", job=job, detail=why)
        written = self._apply(outcome, now_ms).written if outcome.jobs else 0
        return written + sum(self._repay(txn) for txn in outcome.repayments)

    def _repay(self, txn: Txn) -> bool:
        """Pay back a debt; if the debt or the money went another way meanwhile, the next turn knows."""
        if self.epoch is None:
            return False
        try:
            repaid = self.store.post(Posting((txn,)))
        except Conflict as conflict:
            log.info("repayment_dropped", project=txn.project, detail=conflict.message)
            return False
        if repaid:
            log.info("repaid", project=txn.project, amount_micro=txn.entries[-1].amount_micro)
        return repaid

    def _leads(self, now_ms: int) -> bool:
        # A clock that jumped back must not keep us from renewing.
        if self.epoch is None or not self._renew_at_ms - RENEW_MS <= now_ms < self._renew_at_ms:
            epoch = self.store.lead(self.holder, now_ms, LEASE_MS)
            if epoch != self.epoch:
                log.info("lead", holder=self.holder, epoch=epoch, before=self.epoch)
            self.epoch = epoch
            self._renew_at_ms = now_ms + RENEW_MS
        return self.epoch is not None

    def _apply(self, outcome: Outcome, now_ms: int) -> Applied:
        assert self.epoch is not None  # noqa: S101 - `step` asks `_leads` first
        try:
            applied = self.store.apply(outcome, self.epoch, now_ms)
        except Later:
            raise
        except Exception as error:  # noqa: BLE001 - told, and narrowed down to the job that caused it
            return self._apply_halves(outcome, now_ms, error)
        bound = log.bind()  # once, not for every fact
        for row in outcome.jobs if logging.getLogger(__name__).isEnabledFor(logging.DEBUG) else ():
            for fact in row.facts:
                bound.debug("fact", job=row.job, seq=fact.seq, kind=fact.event.kind)
        log.info("turn", jobs=applied.written, facts=sum(len(row.facts) for row in outcome.jobs))
        if applied.stale:
            log.info("stale", jobs=len(applied.stale))
        return applied

    def _apply_halves(self, outcome: Outcome, now_ms: int, error: Exception) -> Applied:
        """Nothing was written: write what can be, so that one job's trouble does not hold up the others.

        Mostly it is money that moved since the snapshot; that job is looked at again in the next turn.
        """
        if isinstance(error, Conflict) and error.code == "not_leading":
            log.info("lead_lost", holder=self.holder)
            self.epoch = None
            return Applied(0)
        if len(outcome.jobs) == 1:
            expected = isinstance(error, Conflict)
            tell = log.info if expected else log.error
            tell("job_dropped", job=outcome.jobs[0].job, error=type(error).__name__, detail=str(error))
            return Applied(0)
        middle = len(outcome.jobs) // 2
        parts = (outcome.jobs[:middle], outcome.jobs[middle:])
        done = [
            self._apply(Outcome(part, pages=outcome.pages), now_ms)
            for part in parts
            if self.epoch is not None
        ]
        return Applied(sum(each.written for each in done), tuple(job for each in done for job in each.stale))

    def run(self, stop: threading.Event) -> None:
        """Take turns until told to stop: at once while there is work, on every change, and every second."""
        failures = 0
        while not stop.is_set():
            pulse = self._pulse()
            try:
                written = self.step()
                failures = 0
            except Exception as error:  # noqa: BLE001 - told, and tried again: the loop must outlive any turn
                failures = min(failures + 1, 10)
                tell = log.warning if isinstance(error, Later) else log.exception
                tell("turn_delayed", detail=str(error), failures=failures)
                stop.wait(min(10.0, 0.2 * 2**failures))
                continue
            if not written:
                self._wait(pulse, stop)
        self._give_back()

    def _give_back(self) -> None:
        """Let go of the lead, so that the next loop need not wait for the lease to end."""
        if self.epoch is None:
            return
        try:
            self.store.lead(self.holder, self.clock(), 0)
        except Later as later:
            log.info("lead_not_given_back", detail=later.message)

    def _pulse(self) -> int:
        try:
            return self.store.pulse()
        except Later:
            return -1

    def _wait(self, pulse: int, stop: threading.Event) -> None:
        """Wait for a change: ask often at first, when the next is near, and then ever less often."""
        begin, waited_s = time.monotonic(), 0.0
        while waited_s < IDLE_S and not stop.wait(min(max(waited_s / 4, _POLL_S), _POLL_MOST_S)):
            if self._pulse() != pulse:
                return
            waited_s = time.monotonic() - begin


def run_loop(
    store: Store,
    rules: Rules,
    clock: Clock,
    holder: str,
    stop: threading.Event,
    limits: MeteringLimits,
    reclaim: Callable[[], ReclaimPolicy],
    zone: str = "Asia/Shanghai",
) -> None:
    """Run a contender for the lead, with forecasts and the ledger's upkeep beside it, until `stop` is set."""
    loop = Loop(store, rules, clock, holder)
    every = desks(store, rules, clock, limits, reclaim, zone)
    threads = start(every, lambda: loop.epoch is not None, stop)
    loop.run(stop)
    for thread in threads:
        thread.join(timeout=5)
