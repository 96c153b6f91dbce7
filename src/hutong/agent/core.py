"""The agent's one step: act on commands, look at the engine once, tell the platform what is news.

All state that matters is at the engine and at the platform. What this object remembers only saves
repeats: it may die at any line, and two of them may work for one site at once.
"""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import replace

import structlog

from hutong.adapters.engines.base import Engine, Seen
from hutong.agent.accounts import Accounts
from hutong.agent.habits import Habits, steady_ms
from hutong.agent.hands import Hands, Stop
from hutong.agent.hours import Hours
from hutong.agent.link import Delivery, Link, SmallLog
from hutong.agent.moves import moves_of
from hutong.agent.shipping import Collector, LogShipper
from hutong.agent.spool import Spool
from hutong.agent.staging import Stager
from hutong.core.book.store import Sighting
from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.errors import Later, Refused
from hutong.core.kernel.ids import AttemptKey, split_key
from hutong.core.work.facts import Accepted, AgentEvent, Collected, Ended, Report, Started, Starting
from hutong.core.work.states import AttemptState, Category
from hutong.wire.agent import REPORTS_AT_ONCE

_log = structlog.get_logger("hutong.agent")
_AGAIN_S = 10
_SEAL_AGAIN_S = 60
_View = tuple[frozenset[tuple[AttemptKey, bool]], str]


class Agent:
    """Drives one engine for one site. `step` is all of it; `hutong.agent.run` repeats it.

    `clock` gives UTC milliseconds, `ticks` milliseconds that never jump.
    """

    def __init__(
        self,
        site: str,
        link: Link,
        engine: Engine,
        spool: Spool,
        clock: Callable[[], int],
        *,
        stager: Stager,
        pool: Executor,
        name: str = "",
        habits: Habits | None = None,
        offers: tuple[str, ...] | None = None,
        without: tuple[str, ...] = (),
        accounts: Accounts | None = None,
        hours: Hours | None = None,
        ticks: Callable[[], int] = steady_ms,
    ) -> None:
        self._site = site
        self._link = link
        self._engine = engine
        self._spool = spool
        self._clock = clock
        self._ticks = ticks
        self._pool = pool
        self._name = name
        self._habits = habits or Habits()
        self._offers = offers
        self._without = without
        self._accounts = accounts
        self._accounting: Future[int] | None = None
        self._accounts_due_ms: float = -math.inf
        self._hours = hours
        self._sealing: Future[int] | None = None
        self._sealing_due_ms: float = -math.inf
        self._stager = stager
        self._hands = Hands(site, engine, stager, self._habits, ticks)
        self._collector = Collector(link, engine)
        self._logs = LogShipper(link, engine)
        self._not_before: dict[AttemptKey, int] = {}
        self._told: dict[AttemptKey, set[type[AgentEvent]]] = {}
        self._quiet: dict[AttemptKey, Seen] = {}
        self._collecting: dict[AttemptKey, Future[Collected]] = {}
        self._collected: dict[AttemptKey, Collected] = {}
        self._small: dict[AttemptKey, tuple[SmallLog, ...]] = {}
        self._takes_logs = False
        self._shipping: Future[int] | None = None
        self._watched: frozenset[AttemptKey] = frozenset()
        self._platform_ahead_ms: int | None = None
        self._sighted_ms: float = -math.inf
        self._sighted: _View = (frozenset(), "")
        self._asked_all_ms: float = -math.inf
        self._pools: tuple[PoolState, ...] = ()
        self._after = 0
        self.live = 0

    def step(self, wait_s: float = 0.0) -> bool:
        """Take, act, observe, report, ship; True if anything moved. Raises Later if the line is down.

        What could not be said is said by a later step, of this agent or of the next one.
        """
        self.receive(self.take(wait_s))
        return self.tick()

    def take(self, wait_s: float) -> Delivery:
        """Ask the platform for commands; may run in a thread of its own."""
        now = self._ticks()
        every_s = self._habits.confirm_every_s if self._hands.waits else self._habits.ask_all_every_s
        if now - self._asked_all_ms >= every_s * 1000:
            delivery = self._link.take(0, 0.0)
            self._asked_all_ms = now
        else:
            delivery = self._link.take(self._after, wait_s)
        self._after = max([self._after, *(each.id for each in delivery.commands)])
        return replace(delivery, came_ms=self._ticks())

    def receive(self, delivery: Delivery) -> None:
        """Note what came; `tick` acts on it."""
        self._platform_ahead_ms = delivery.now_ms - self._ticks()
        self._watched = delivery.watched
        self._takes_logs = delivery.takes_logs
        for command in delivery.commands:
            # That it is still asked for says that the platform does not know what was told of it.
            self._told.pop(command.key, None)
            self._quiet.pop(command.key, None)
            self._spool.drop(command.key)
        self._hands.note(delivery.commands, delivery.came_ms)
        if self._hours is not None:
            self._hours.note(delivery.commands)

    def tick(self) -> bool:
        """Act, observe in one bulk read, report, and move logs and files on; True if anything moved."""
        acted = self._hands.act()
        if self._hands.lapsed:
            self._hands.lapsed = False
            self._asked_all_ms = -math.inf
        at_ms = self._platform_ms()
        seen = self._engine.observe()
        told = self._report(seen, at_ms)
        self._collect(seen)
        shipped = self._ship_logs({each.key for each in seen if each.ended is None})
        self._account()
        self._seal(seen)
        self._tidy(seen)
        self.live = len(self._hands.starting) + sum(each.ended is None for each in seen)
        return acted or told or shipped

    @property
    def hurries(self) -> bool:
        """True while there are starts to make."""
        return self._hands.more

    @property
    def busy(self) -> bool:
        """True while something is on its way that a soon tick would move on."""
        return bool(self._collecting or self._collected)

    @property
    def watched(self) -> bool:
        """True while somebody reads logs as they grow."""
        return bool(self._watched)

    def _all_owed(self, seen: tuple[Seen, ...]) -> list[Report]:
        """Return what is owed of all attempts: of one that was told of nothing, until it changes."""
        reports, quiet = [], {}
        for each in seen:
            if self._quiet.get(each.key) is not each:
                owed = [Report(each.key, event) for event in self._owed(each)]
                reports += owed
                if owed or each.ended is not None:
                    continue
            quiet[each.key] = each
        self._quiet = quiet
        return reports

    def _owed(self, seen: Seen) -> Iterable[AgentEvent]:
        """Return what the platform has not acknowledged about an attempt, in order."""
        told = self._told.get(seen.key, set())
        number = split_key(seen.key)
        if number is None or seen.key in self._spool:
            return ()
        if seen.ended is not None and Ended not in told and seen.key not in self._collected:
            self._bring_along(seen.key, seen.ended)
        collected = self._collected.get(seen.key)
        events: list[AgentEvent] = []
        if seen.ended is None or (seen.ended.started_ms and Ended not in told):
            events.append(Accepted(number[1], seen.external_id, self._hands.adopted(seen.key)))
        if seen.ended is not None:
            events += [seen.ended, *([collected] if collected else [])]
        elif seen.state is AttemptState.STARTING:
            events.append(Starting(number[1]))
        elif seen.state is AttemptState.RUNNING:
            events.append(Started(number[1], seen.started_ms, seen.port))
        return (event for event in events if type(event) not in told)

    def _bring_along(self, key: AttemptKey, ended: Ended) -> None:
        """Have what an attempt leaves go with the report of its end, if it is little: one call for three."""
        try:
            left = self._collector.at_once(key, ended) if self._takes_logs else None
        except OSError as error:
            _log.warning("not collected at once", site=self._site, key=key, why=str(error))
            return
        if left is not None:
            self._collected[key], self._small[key] = left

    def _report(self, seen: tuple[Seen, ...], at_ms: int | None) -> bool:
        reports = self._all_owed(seen)
        batches = [reports[at : at + REPORTS_AT_ONCE] for at in range(0, len(reports), REPORTS_AT_ONCE)]
        sighting = self._sighting(seen, at_ms, bool(reports))
        for batch in batches[:-1]:
            self._send(batch, None)
        if batches or sighting is not None:
            self._send(batches[-1] if batches else [], sighting)
        return bool(reports)

    def _send(self, batch: list[Report], sighting: Sighting | None) -> None:
        try:
            brought = [each.key for each in batch if isinstance(each.event, Collected)]
            logs = [log for key in brought for log in self._small.get(key, ())]
            reply = self._link.report(batch, sighting, logs)
        except Refused as error:
            if not batch:
                _log.error("sighting refused", site=self._site, why=error.message)
                return
            if len(batch) == 1:
                # One report that the platform will never take must not hold up all others.
                _log.error("report refused", site=self._site, key=batch[0].key, why=error.message)
                self._acknowledge(batch)
                if sighting is not None:
                    self._send([], sighting)
                return
            middle = len(batch) // 2
            self._send(batch[:middle], None)
            self._send(batch[middle:], sighting)
            return
        for key in reply.unkept:  # they are sent one by one, as long as it takes
            self._collected.pop(key, None)
            self._small.pop(key, None)
        unkept = frozenset(reply.unkept)
        self._acknowledge(
            each for each in batch if not (isinstance(each.event, Collected) and each.key in unkept)
        )
        if sighting is not None:
            self._sighted_ms = self._ticks()
            self._sighted = _view(sighting.known, sighting.live, sighting.trouble)
        for key in reply.orphans:
            named = split_key(key)
            if named is not None:
                reason = "the platform has no use for this attempt any more"
                self._hands.end(key, Stop(named[1], Category.CANCELLED, reason))
                _log.warning("orphan", site=self._site, key=key)

    def _acknowledge(self, batch: Iterable[Report]) -> None:
        settled = []
        for report in batch:
            self._told.setdefault(report.key, set()).add(type(report.event))
            if isinstance(report.event, Collected):
                settled.append(report.key)
                self._collected.pop(report.key, None)
                self._small.pop(report.key, None)
        self._spool.settle(settled, self._clock())

    def _sighting(self, seen: tuple[Seen, ...], at_ms: int | None, news: bool) -> Sighting | None:
        """Return the observation if it is due. Attempts that may yet be started count: they are in hand."""
        if at_ms is None:
            return None
        in_hand = self._hands.starting
        known = in_hand | {each.key for each in seen}
        live = in_hand | {each.key for each in seen if each.ended is None}
        trouble = self._hands.trouble
        view = _view(known, live, trouble)
        due = self._ticks() - self._sighted_ms >= self._habits.sighting_every_s * 1000
        if not due and not news and view == self._sighted:
            return None
        isolation = self._engine.abilities.isolation
        moves = moves_of(self._hands.moves, self._collector.progress)
        here = (self._offers, self._stager.stock(), self._stager.transfers())
        can = tuple(each for each in self._engine.abilities.can if each not in self._without)
        told = (self._name, isolation, trouble, self._capacity(), moves)
        return Sighting(at_ms, known, live, *told, *here, can=can)

    def _capacity(self) -> tuple[PoolState, ...]:
        """Return what the engine says of its pools, or what it said last, but not of nodes."""
        try:
            self._pools = self._engine.capacity()
        except Later as error:
            _log.warning("capacity not known", site=self._site, why=str(error))
            self._pools = tuple(replace(each, spread=None) for each in self._pools)
        return self._pools

    def _collect(self, seen: tuple[Seen, ...]) -> None:
        """Have logs and files of attempts whose end is acknowledged brought in, in the background."""
        for key, future in list(self._collecting.items()):
            if not future.done():
                continue
            del self._collecting[key]
            error = future.exception()
            if error is None:
                self._collected[key] = future.result()
            elif isinstance(error, Later | OSError):
                after_s = error.after_s if isinstance(error, Later) else _AGAIN_S
                self._not_before[key] = self._ticks() + 1000 * max(after_s, 1)
                _log.warning("not collected yet", site=self._site, key=key, why=str(error))
            else:
                raise error
        now = self._ticks()
        for each in seen:
            key = each.key
            waits = key in self._collecting or key in self._collected or self._not_before.get(key, now) > now
            if each.ended is None or waits or key in self._spool:
                continue
            told = self._told.get(key, set())
            if type(each.ended) in told and Collected not in told:
                self._collecting[key] = self._pool.submit(self._collector.collect, key, each.ended)

    def _ship_logs(self, live: set[AttemptKey]) -> bool:
        """Have new parts of the logs that somebody reads sent in the background; True if some were."""
        sent = False
        if self._shipping is not None:
            if not self._shipping.done():
                return False
            error = self._shipping.exception()
            if isinstance(error, Later | OSError):
                _log.warning("live logs put off", site=self._site, why=str(error))
            elif error is not None:
                raise error
            else:
                sent = self._shipping.result() > 0
            self._shipping = None
        if live & self._watched:
            self._shipping = self._pool.submit(self._logs.send_new, sorted(live & self._watched))
        return sent

    def _account(self) -> None:
        """Have the engine's own accounting read and told in the background, where there is any."""
        done, now = self._accounting, self._ticks()
        if done is not None and done.done():
            error, self._accounting = done.exception(), None
            if isinstance(error, Later | Refused | OSError):
                _log.warning("accounting put off", site=self._site, why=str(error))
            elif error is not None:
                raise error
        wanted = self._accounts is not None and self._engine.abilities.accounting
        if self._accounts is None or not wanted or self._accounting or now < self._accounts_due_ms:
            return
        self._accounts_due_ms = now + self._habits.accounts_every_s * 1000
        self._accounting = self._pool.submit(self._accounts.step)

    def _seal(self, seen: tuple[Seen, ...]) -> None:
        """Count what the cards do, and have whole hours sealed and told in the background."""
        if self._hours is None:
            return
        waits, done, now = self._hours.look(seen, self._pools), self._sealing, self._ticks()
        if done is not None and done.done():
            error, self._sealing = done.exception(), None
            if isinstance(error, Later | Refused | OSError):
                _log.warning("sealing put off", site=self._site, why=str(error))
            elif error is not None:
                raise error
        if waits and self._sealing is None and now >= self._sealing_due_ms:
            self._sealing_due_ms = now + _SEAL_AGAIN_S * 1000
            self._sealing = self._pool.submit(self._hours.step)

    def _tidy(self, seen: tuple[Seen, ...]) -> None:
        """Forget settled attempts that are old, or too many; never one that is not settled."""
        there = {each.key for each in seen if each.ended is not None}
        settled = {key: at_ms for key, at_ms in self._spool.settled().items() if key in there}
        surplus = len(settled) - self._habits.keep_most
        horizon = self._clock() - self._habits.retention_ms
        for index, (key, at_ms) in enumerate(settled.items()):
            if index < surplus or at_ms < horizon:
                self._engine.forget(key)
                self._spool.drop(key)
                self._drop_memory(key)

    def _drop_memory(self, key: AttemptKey) -> None:
        self._hands.forget(key)
        for memory in (self._told, self._not_before, self._collected, self._small):
            memory.pop(key, None)

    def _platform_ms(self) -> int | None:
        """Return the platform's time, or a little earlier: never later, so that no absence is invented."""
        return None if self._platform_ahead_ms is None else self._ticks() + self._platform_ahead_ms


def _view(known: frozenset[AttemptKey], live: frozenset[AttemptKey], trouble: str) -> _View:
    return frozenset((key, key in live) for key in known), trouble
