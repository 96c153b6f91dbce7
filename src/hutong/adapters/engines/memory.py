"""A pretend engine whose jobs take time on a given clock and no processes: the twin of the real ones.

It passes the same conformance suite where it can; the loop's tests and the simulator run on it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template

from hutong.adapters.engines.base import Abilities, Order, Receipt, Seen
from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.facts import Ended, RankExit
from hutong.core.work.states import AttemptState, Category

_STOPPED = {
    Category.PREEMPTED: AttemptState.PREEMPTED,
    Category.USER: AttemptState.FAILED,
    Category.OOM: AttemptState.FAILED,
    Category.INFRA: AttemptState.FAILED,
}


@dataclass(frozen=True, slots=True)
class Play:
    """What one rank would do if left alone: lines with the moment of each, how long, and the exit code."""

    duration_ms: int
    code: int = 0
    lines: tuple[tuple[int, str], ...] = ()
    ignores_term: bool = False


def read_script(script: str, env: Mapping[str, str], rank: int) -> Play:
    """Read the few shell words that the twin understands; any other command takes no time and ends well.

    `echo`, `sleep`, `exit`, `true`, `false`, `trap '' TERM`, and `[ $HUTONG_NODE_RANK = N ] && ...`.
    """
    at_ms, code, ignores = 0, 0, False
    lines: list[tuple[int, str]] = []
    for part in script.replace("\n", ";").split(";"):
        words = part.split()
        if words[:1] == ["["] and "&&" in words:
            cut = words.index("&&")
            if words[cut - 2] != str(rank):
                continue
            words = words[cut + 1 :]
        match words:
            case ["exit", number]:
                return Play(at_ms, int(number) & 255, tuple(lines), ignores)
            case ["sleep", seconds]:
                at_ms, code = at_ms + int(float(seconds) * 1000), 0
            case ["echo", *rest]:
                text = Template(" ".join(rest).replace('"', "")).safe_substitute(env)
                lines.append((at_ms, text))
                code = 0
            case ["trap", _, "TERM"]:
                ignores = True
            case ["false"]:
                code = 1
            case [_, *_]:
                code = 0
    return Play(at_ms, code, tuple(lines), ignores)


@dataclass(slots=True)
class _Run:
    order: Order
    submitted_ms: int
    setup: Play
    plays: tuple[Play, ...]
    port: int
    stopped: "_Stop | None" = None
    crashed_ms: int = -1
    ends: list[Ended] = field(default_factory=list)  # what could end it, once asked; empty: ask again

    @property
    def started_ms(self) -> int:
        return self.submitted_ms + self.setup.duration_ms


@dataclass(frozen=True, slots=True)
class _Stop:
    attempt: int
    category: Category
    reason: str
    grace_ms: int
    at_ms: int


@dataclass(slots=True)
class MemoryEngine:
    """Pretends to run attempts. `clock` gives UTC milliseconds; nothing happens but by its passing.

    `play` says what a rank does; by default it is read from the spec's script.
    """

    clock: Callable[[], int]
    play: Callable[[str, Mapping[str, str], int], Play] = read_script
    abilities: Abilities = field(default_factory=lambda: Abilities(gangs=True, services=True))
    _runs: dict[AttemptKey, _Run] = field(default_factory=dict)
    _marks: dict[AttemptKey, _Stop] = field(default_factory=dict)
    _tombs: dict[AttemptKey, Ended] = field(default_factory=dict)
    _asked_again: set[AttemptKey] = field(default_factory=set)
    starts: int = 0
    pools: tuple[PoolState, ...] = ()

    def submit(self, order: Order) -> Receipt:
        """Start the attempt on the clock, or adopt it."""
        key = order.key
        if key in self._tombs:
            self._asked_again.add(key)
        if key in self._tombs or key in self._runs or key in self._marks:
            return Receipt(key, adopted=True)
        spec = order.spec
        env = {**dict(spec.envs), "HUTONG_KEY": key, **dict.fromkeys(order.secrets, "***")}
        plays = tuple(
            self.play(spec.run, {**env, "HUTONG_NODE_RANK": str(rank)}, rank)
            for rank in range(spec.num_nodes)
        )
        port = 20_000 + self.starts % 10_000 if spec.type.listens or spec.ports else 0
        self._runs[key] = _Run(order, self.clock(), self.play(spec.setup, env, -1), plays, port)
        self.starts += 1
        return Receipt(key, adopted=False)

    def stop(
        self, key: AttemptKey, attempt: int, category: Category, reason: str, grace_s: int | None = None
    ) -> None:
        """Mark the attempt to be ended; the first mark counts."""
        run = self._runs.get(key)
        if grace_s is None:
            grace_s = run.order.spec.grace_s if run else 0
        mark = _Stop(attempt, category, reason, max(grace_s, 0) * 1000, self.clock())
        if run is None:
            if key not in self._tombs:
                self._marks.setdefault(key, mark)
        elif run.stopped is None and self._ended(run) is None:
            run.stopped = mark
            run.ends = []

    def observe(self) -> tuple[Seen, ...]:
        """Return every attempt as the clock has it now."""
        seen = [self._seen(key, run) for key, run in self._runs.items()]
        for key, mark in self._marks.items():
            ended = _never_ran(mark)
            seen.append(Seen(key, ended.outcome, key, ended=ended))
        for key in self._asked_again:
            ended = self._tombs[key]
            seen.append(Seen(key, ended.outcome, key, ended.started_ms, ended=ended))
        return tuple(sorted(seen, key=lambda each: each.key))

    def read_log(self, key: AttemptKey, rank: int, offset: int, limit: int) -> bytes:
        """Return a part of what a rank would have said by now."""
        run = self._runs.get(key)
        if run is None or rank not in self.ranks(key):
            return b""
        play, since = (run.setup, run.submitted_ms) if rank < 0 else (run.plays[rank], run.started_ms)
        ended = self._ended(run)
        upto = min(self.clock(), ended.ended_ms if ended else self.clock()) - since
        text = "".join(f"{line}\n" for at_ms, line in play.lines if at_ms <= upto)
        return text.encode()[offset : offset + limit]

    def ranks(self, key: AttemptKey) -> tuple[int, ...]:
        """Return the ranks that have a log."""
        run = self._runs.get(key)
        if run is None:
            return ()
        first = -1 if run.order.spec.setup else 0
        started = self.clock() >= run.started_ms and not run.setup.code
        return tuple(range(first, len(run.plays) if started else 0))

    def outputs(self, key: AttemptKey) -> Path | None:  # noqa: ARG002
        """Return nothing: a pretend job leaves no files."""
        return None

    def checkpoint(self, key: AttemptKey) -> Path | None:  # noqa: ARG002
        """Return nothing: a pretend job leaves no files."""
        return None

    def capacity(self) -> tuple[PoolState, ...]:
        """Return what a test has set; nothing by default."""
        return self.pools

    def forget(self, key: AttemptKey) -> None:
        """Keep of an ended attempt nothing but its end."""
        if key in self._runs:
            ended = self._ended(self._runs[key])
        elif key in self._marks:
            ended = _never_ran(self._marks[key])
        else:
            ended = None
        if ended is not None:
            self._tombs[key] = ended
            self._runs.pop(key, None)
            self._marks.pop(key, None)
        self._asked_again.discard(key)

    def crash(self, key: AttemptKey) -> None:
        """Have the attempt end now as if its node had died."""
        run = self._runs[key]
        if self._ended(run) is None:
            run.crashed_ms = self.clock()
            run.ends = []

    def lose(self, key: AttemptKey) -> None:
        """Have the engine know nothing of an attempt, as after the loss of its disk."""
        self._runs.pop(key, None)
        self._marks.pop(key, None)

    def _seen(self, key: AttemptKey, run: _Run) -> Seen:
        ended = self._ended(run)
        if ended is not None:
            return Seen(key, ended.outcome, key, ended.started_ms, run.port, ended)
        if self.clock() < run.started_ms:
            return Seen(key, AttemptState.STARTING, key)
        return Seen(key, AttemptState.RUNNING, key, run.started_ms, run.port)

    def _ended(self, run: _Run) -> Ended | None:
        """Return the earliest of all that could have ended the attempt by now, once it is past."""
        now = self.clock()
        run.ends = run.ends or self._ends(run)
        ends = [each for each in run.ends if each.ended_ms <= now]
        return min(ends, key=lambda each: each.ended_ms) if ends else None

    def _ends(self, run: _Run) -> list[Ended]:
        spec, number = run.order.spec, run.order.attempt.number
        base = Ended(number, AttemptState.FAILED, Category.USER, "", run.started_ms, 0, 0)
        if run.setup.code:
            reason = f"setup failed with exit code {run.setup.code}"
            return [replace(base, started_ms=0, ended_ms=run.started_ms, reason=reason)]
        stubborn = any(play.ignores_term for play in run.plays)
        found = [self._natural(run, base, spec.grace_s * 1000 if stubborn else 0)]
        if spec.max_duration_s:
            at_ms = run.started_ms + spec.max_duration_s * 1000
            reason = f"walltime: it ran longer than max_duration, {spec.max_duration_s} s"
            found.append(_killed(run, replace(base, reason=reason), at_ms, spec.grace_s * 1000))
        if run.stopped is not None:
            mark = run.stopped
            outcome = _STOPPED.get(mark.category, AttemptState.CANCELLED)
            told = replace(base, outcome=outcome, category=mark.category, reason=mark.reason)
            found.append(_killed(run, told, mark.at_ms, mark.grace_ms))
        if run.crashed_ms >= 0:
            dead = replace(base, category=Category.INFRA, reason="the node of this attempt died")
            found.append(_killed(run, dead, run.crashed_ms, 0))
        return found

    def _natural(self, run: _Run, base: Ended, grace_ms: int) -> Ended:
        failing = [(play.duration_ms, rank) for rank, play in enumerate(run.plays) if play.code]
        if not failing:
            span = max(play.duration_ms for play in run.plays)
            exits = tuple(RankExit(rank, 0) for rank in range(len(run.plays)))
            done = replace(base, outcome=AttemptState.SUCCEEDED, category=Category.NONE, exits=exits)
            return replace(done, ended_ms=run.started_ms + span, ran_ms=span)
        at_ms, rank = min(failing)
        reason = f"rank {rank} exited with code {run.plays[rank].code}"
        others = len(run.plays) > 1
        return _killed(run, replace(base, reason=reason), run.started_ms + at_ms, grace_ms if others else 0)


def _never_ran(mark: _Stop) -> Ended:
    """Return the end of an attempt that was stopped before it came."""
    outcome = _STOPPED.get(mark.category, AttemptState.CANCELLED)
    return Ended(mark.attempt, outcome, mark.category, mark.reason, 0, mark.at_ms, 0)


def _killed(run: _Run, base: Ended, at_ms: int, grace_ms: int) -> Ended:
    """Return the end of an attempt whose living ranks get TERM at `at_ms` and KILL after the grace."""
    ended_ms = at_ms
    exits = []
    for rank, play in enumerate(run.plays):
        own_ms = run.started_ms + play.duration_ms
        if own_ms <= at_ms:
            exits.append(RankExit(rank, play.code))
            continue
        stays = grace_ms if play.ignores_term else 0
        ended_ms = max(ended_ms, min(own_ms, at_ms + stays))
        number = 9 if play.ignores_term else 15
        exits.append(RankExit(rank, 128 + number, number))
    began = at_ms >= run.started_ms
    return replace(
        base,
        started_ms=run.started_ms if began else 0,
        ended_ms=ended_ms,
        ran_ms=max(0, ended_ms - run.started_ms) if began else 0,
        exits=tuple(exits) if began else (),
    )
