"""What the agent does at its engine: start attempts and stop them, each put off for itself when it fails.

What the site cannot do now (its disk is full, the platform's objects are out of reach) is tried again. A
start that keeps failing is given up: the engine is told to mark the attempt as ended. Where not even that
can be written, nobody may say that the attempt ended, for another agent could still start it. It is left
out of what this agent has in hand; the platform then takes the start command back, waits until every lease
on it is over, and finds the attempt lost (`hutong.core.control.steps`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from hutong.adapters.engines.base import Engine, Fate, Order, Together
from hutong.agent.habits import Habits
from hutong.agent.link import Command
from hutong.agent.moves import Progress
from hutong.agent.staging import Stager
from hutong.core.kernel.errors import Later, Refused
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.spec import Input
from hutong.core.work.states import Category

_log = structlog.get_logger("hutong.agent")
_AGAIN_S = 10
_TROUBLE_CHARS = 200
_NO_BOX_S = 60
_STARTS_AT_ONCE = 20  # then what has happened meanwhile is told, before more are started


@dataclass(frozen=True, slots=True)
class Stop:
    """How an attempt is to be ended at the engine; without `grace_s`, with the grace of its job file."""

    attempt: int
    category: Category
    reason: str
    grace_s: int | None = None


@dataclass(slots=True)
class _Start:
    """A start command in hand: when it came, since when it fails (steady clock), what was fetched."""

    command: Command
    came_ms: int
    failing_ms: int | None = None
    came_bytes: int = 0


class Hands:
    """Starts and stops in hand. An attempt that is to be stopped is never started from here on.

    `trouble` is what went wrong with the last start, `lapsed` whether a command must be asked for again,
    `more` whether starts were left for the next `act` that could have been made in this one.
    """

    def __init__(
        self, site: str, engine: Engine, stager: Stager, habits: Habits, ticks: Callable[[], int]
    ) -> None:
        self.trouble = ""
        self.lapsed = False
        self.more = False
        self._site = site
        self._engine = engine
        self._stager = stager
        self._habits = habits
        self._ticks = ticks
        self._starts: dict[AttemptKey, _Start] = {}
        self._stops: dict[AttemptKey, Stop] = {}
        self._not_before: dict[AttemptKey, int] = {}
        self._adopted: dict[AttemptKey, bool] = {}

    @property
    def starting(self) -> frozenset[AttemptKey]:
        """The attempts that this agent may yet start."""
        return frozenset(self._starts)

    @property
    def waits(self) -> bool:
        """True while there are any; another thread may ask."""
        return bool(self._starts)

    @property
    def moves(self) -> Mapping[AttemptKey, Progress]:
        """The inputs that are on their way."""
        return self._stager.progress

    def adopted(self, key: AttemptKey) -> bool:
        """True unless it was this agent that started the attempt."""
        return self._adopted.get(key, True)

    def forget(self, key: AttemptKey) -> None:
        """Let go of what is remembered of an attempt that is over for good."""
        self._adopted.pop(key, None)

    def note(self, commands: Iterable[Command], came_ms: int) -> None:
        """Take commands in hand; `act` acts on them."""
        for command in commands:
            attempt = command.attempt
            if command.kind == "stop":
                self.end(command.key, Stop(attempt.number, attempt.stop_category, attempt.stop_reason))
            elif command.kind == "start" and command.spec is not None:
                self._hold(command, came_ms)
            else:
                _log.warning("command not understood", site=self._site, id=command.id, kind=command.kind)

    def _hold(self, command: Command, came_ms: int) -> None:
        key = command.key
        if key in self._stops:
            return
        known = self._starts.get(key)
        failing_ms, came_bytes = (known.failing_ms, known.came_bytes) if known else (None, 0)
        self._starts[key] = _Start(command, came_ms, failing_ms, came_bytes)

    def end(self, key: AttemptKey, stop: Stop) -> None:
        """Have an attempt ended, at the next `act`."""
        self._let_go(key)
        self._stops[key] = stop

    def act(self) -> bool:
        """Try every stop, then every start, that is not put off; True if anything was done."""
        acted = False
        for key in list(self._stops):
            if self._may_try(key):
                acted = self._stop(key) or acted
        ready: list[tuple[_Start, Order]] = []
        self.more = False
        for start in list(self._starts.values()):
            key = start.command.key
            if self._ticks() - start.came_ms > self._habits.lease_s * 1000:
                self._let_go(key)
                self.lapsed = True
                _log.warning("start not confirmed in time", site=self._site, key=key)
            elif not self._may_try(key):
                continue
            elif len(ready) == _STARTS_AT_ONCE:
                self.more = True
            else:
                order = self._staged(start)
                if isinstance(order, Order):
                    ready.append((start, order))
                else:
                    acted = order or acted
        for (start, _), fate in zip(ready, self._submit([order for _, order in ready]), strict=True):
            acted = self._started(start, fate) or acted
        return acted

    def _submit(self, orders: Sequence[Order]) -> list[Fate]:
        """Hand attempts to the engine, some at once where it can: mostly it is somebody else who is slow."""
        engine = self._engine
        fates: dict[AttemptKey, Fate] = {}
        if engine.abilities.isolation == "none":
            none = Later("the job insists on isolation, and there is none here now", _NO_BOX_S)
            fates = {order.key: none for order in orders if order.spec.wish.isolation}
        able = [order for order in orders if order.key not in fates]
        parts = engine.alike(able) if isinstance(engine, Together) else [(order,) for order in able]
        threads = min(engine.abilities.submits_at_once, len(parts))
        if threads <= 1:
            told = [self._try(part) for part in parts]
        else:
            with ThreadPoolExecutor(threads, "submitting") as pool:
                told = list(pool.map(self._try, parts))
        for part, some in zip(parts, told, strict=True):
            fates |= {order.key: fate for order, fate in zip(part, some, strict=True)}
        return [fates[order.key] for order in orders]

    def _try(self, orders: Sequence[Order]) -> Sequence[Fate]:
        engine = self._engine
        if len(orders) > 1 and isinstance(engine, Together):
            return engine.submit_together(orders)
        try:
            return [engine.submit(orders[0])]
        except (Refused, Later, OSError) as error:
            return [error]

    def _may_try(self, key: AttemptKey) -> bool:
        now = self._ticks()
        return self._not_before.get(key, now) <= now

    def _stop(self, key: AttemptKey) -> bool:
        stop = self._stops[key]
        try:
            self._engine.stop(key, stop.attempt, stop.category, stop.reason, stop.grace_s)
        except (Later, OSError) as error:
            self._put_off(key, error)
            return False
        del self._stops[key]
        self._not_before.pop(key, None)
        _log.info("stop", site=self._site, key=key, category=stop.category.value)
        return True

    def _staged(self, start: _Start) -> Order | bool:
        """Return what to submit, or, while its inputs are not here, whether anything was done about it."""
        try:
            order = self._order(start.command)
        except (Refused, Later, OSError) as error:
            return self._started(start, error)
        if order is None:
            if self._grew(start):
                start.failing_ms = None
            return False
        return order

    def _started(self, start: _Start, fate: Fate) -> bool:
        """Note what became of a submission."""
        key, number = start.command.key, start.command.attempt.number
        if isinstance(fate, Refused):
            # The mark makes the end durable at the engine and keeps the key from ever starting.
            _log.warning("start refused", site=self._site, key=key, why=fate.message)
            self.end(key, Stop(number, Category.USER, f"the site cannot run it: {fate.message}"))
            return self._stop(key)
        if isinstance(fate, Later | OSError):
            self._put_off(key, fate)
            now = self._ticks()
            start.failing_ms = now if start.failing_ms is None or self._grew(start) else start.failing_ms
            if now - start.failing_ms < self._habits.start_within_s * 1000:
                return False
            _log.error("start given up", site=self._site, key=key, why=self.trouble)
            self.end(key, Stop(number, Category.INFRA, f"the site could not start it: {self.trouble}"))
            return self._stop(key)
        self._adopted[key] = fate.adopted
        self._let_go(key)
        self.trouble = ""
        _log.info("start", site=self._site, key=key, adopted=fate.adopted)
        return True

    def _grew(self, start: _Start) -> bool:
        """Return whether more of its inputs has come since it was last asked: then it does not fail."""
        before, start.came_bytes = start.came_bytes, self._stager.so_far(start.command.key)
        return start.came_bytes > before

    def _order(self, command: Command) -> Order | None:
        """Return what to submit; None while its inputs are on their way."""
        spec, carried = command.spec, command.checkpoint
        last = (Input("", carried, "manifest"),) if carried else ()
        if spec is None:
            return None
        wanted = (*spec.inputs, *last)
        staged = self._stager.stage(command.key, wanted, command.project, command.secrets)
        if staged is None:
            return None
        checkpoint = staged[-1][2] if carried else None
        inputs = staged[: len(spec.inputs)]
        return Order(
            command.key, command.job, command.project, command.attempt, spec, inputs, command.secrets,
            checkpoint,
        )  # fmt: skip

    def _put_off(self, key: AttemptKey, error: Later | OSError) -> None:
        after_s = error.after_s if isinstance(error, Later) else _AGAIN_S
        self._not_before[key] = self._ticks() + 1000 * max(after_s, 1)
        text = error.message if isinstance(error, Later) else error.strerror or str(error)
        # The trouble is shown to everybody who sees the site: without the name of whose attempt it was.
        self.trouble = text.replace(key, "the attempt").strip().partition("\n")[0][:_TROUBLE_CHARS]
        _log.warning("put off", site=self._site, key=key, why=str(error))

    def _let_go(self, key: AttemptKey) -> None:
        self._starts.pop(key, None)
        self._not_before.pop(key, None)
        self._stager.drop(key)
