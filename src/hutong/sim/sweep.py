"""Many simulated runs of one trace, rules x policies x seeds, spread over processes or a cluster.

What comes out does not depend on where or in which order the runs were made: each is a function of the plan
and its place in it. A spreader is any function that takes a plan and places and yields each with its answer;
`sim.on_ray` and `sim.on_slurm` are two more.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from multiprocessing import get_context
from threading import Timer

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from hutong.clients.cli.terminal import console
from hutong.core.kernel.errors import HutongError, Refused
from hutong.core.placement.columns import Backfill
from hutong.core.placement.request import Policy
from hutong.sim.compare import CALM, Ground, Result, simulate
from hutong.sim.conditions import Conditions
from hutong.sim.rules import Queueing, Rules
from hutong.sim.settled import Agreed
from hutong.sim.trace import COLUMNS, Trace

SHOW_AFTER_S = 2.0
# Processes cost seconds to start, and are worth it only for so much work.
_ALONE_S = 5.0


@dataclass(frozen=True, slots=True)
class Case:
    """What one run of a plan has for itself."""

    queueing: Queueing
    policy: Policy | None
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Runs of one trace on one ground; `keep_run`: runs of the first seed say what became of each job."""

    trace: Trace
    ground: Ground
    rules: Rules
    cases: tuple[Case, ...]
    isolated: bool = False
    warm_up_s: int = 0
    conditions: Conditions = CALM
    keep_run: bool = False
    agreed: Agreed | None = None

    @property
    def digest(self) -> str:
        """A hash of everything that decides what comes out, Hutong's version included."""
        columns = b"".join(getattr(self.trace, each).tobytes() for each in COLUMNS)
        names = (self.trace.name, self.trace.groups, self.ground, self.rules, self.cases)
        rest = (
            version("hutong"),
            *names,
            self.isolated,
            self.warm_up_s,
            self.conditions,
            self.keep_run,
            self.agreed,
        )
        return sha256(columns + repr(rest).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run came to nothing; a value, since an error does not travel well between processes."""

    code: str
    message: str


Answer = Result | Failure
Spreader = Callable[[Plan, Sequence[int]], Iterator[tuple[int, Answer]]]


def cases_of(rules: Rules, policies: Sequence[Policy], seeds: int) -> tuple[Case, ...]:
    """Return a case for each order, policy and seed (1 and up), in that order."""
    return tuple(
        Case(Queueing(order), policy, seed)
        for order in rules.orders
        for policy in policies or (None,)
        for seed in range(1, seeds + 1)
    )


def answer(plan: Plan, place: int) -> Answer:
    """Make the run at that place of a plan."""
    case, rules = plan.cases[place], plan.rules
    try:
        found = simulate(
            plan.trace,
            plan.ground,
            case.queueing,
            Backfill[rules.backfill.upper()],
            rules.lengths,
            isolated=plan.isolated,
            policy=case.policy,
            warm_up_s=plan.warm_up_s,
            conditions=plan.conditions,
            seed=case.seed,
            agreed=plan.agreed,
        )
    except HutongError as error:
        return Failure(getattr(error, "code", "broken"), str(error))
    return found if plan.keep_run and case.seed == 1 else replace(found, run=None)


def sweep(plan: Plan, spreader: Spreader, *, quiet: bool = False) -> list[Result]:
    """Make all runs of a plan, and return them in its order; a bar on stderr shows how far, unless `quiet`.

    Raises Refused with the failure of the first run that came to nothing.
    """
    found: dict[int, Answer] = {}
    with _progress(len(plan.cases), quiet=quiet) as advance:
        for place, each in spreader(plan, range(len(plan.cases))):
            found[place] = each
            advance()
    results = []
    for place in range(len(plan.cases)):
        match found[place]:
            case Failure(code, message):
                raise Refused(code, message)
            case Result() as made:
                results.append(made)
    return results


def on_processes(processes: int) -> Spreader:
    """Return a spreader over so many processes, 0 for one a core; what is soon done is done in this one."""
    many = processes or len(os.sched_getaffinity(0))

    def spread(plan: Plan, places: Sequence[int]) -> Iterator[tuple[int, Answer]]:
        left = list(places)
        while left:
            place = left.pop(0)
            began = time.monotonic()
            yield place, answer(plan, place)
            rest_s = (time.monotonic() - began) * len(left)
            # The first run loads machine code, and tells little of how long the others take.
            if many > 1 and len(left) > 1 and rest_s > _ALONE_S and place != places[0]:
                break
        if left:
            yield from _in_pool(plan, left, min(many, len(left)))

    return spread


def _in_pool(plan: Plan, places: Sequence[int], processes: int) -> Iterator[tuple[int, Answer]]:
    # Not by fork: a child would share locks with threads that it does not have.
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_hold, initargs=(plan,)
    )
    try:
        waiting = {pool.submit(_held_answer, place): place for place in places}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    finally:
        pool.shutdown(cancel_futures=True)


_held: list[Plan] = []


def _hold(plan: Plan) -> None:
    """Keep the plan of this process: it is large, and sent once."""
    _held[:] = [plan]


def _held_answer(place: int) -> Answer:
    return answer(_held[0], place)


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    bar = Progress(
        BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=console(stderr=True), transient=True, disable=quiet,
    )  # fmt: skip
    task = bar.add_task("runs", total=total)
    timer = Timer(SHOW_AFTER_S, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda: bar.advance(task)
    finally:
        timer.cancel()
        timer.join()
        bar.stop()
