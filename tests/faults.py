"""How tests kill at random: how often (seldom by `make check`), from which seed, and at which moment."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
WATCHERS: list[Callable[[], None]] = []
"""What is called after each kill, such as somebody who shows how far a long test is."""


def trials(few: int) -> int:
    """Return `few`, or what `HUTONG_FAULTS` asks for."""
    return int(os.environ.get("HUTONG_FAULTS", few))


def dice(seed: int) -> random.Random:
    """Return random numbers from the seed of `HUTONG_SEED`, or from the test's own."""
    return random.Random(int(os.environ.get("HUTONG_SEED", seed)))


def kill_midway(after_s: float, work: Callable[[T], object], on: T) -> None:
    """Do some work on something in a child that is killed after so long; it may have ended before."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work(on)
            code = 0
        finally:
            os._exit(code)
    time.sleep(after_s)  # the moment of a kill is the fault itself
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for watcher in WATCHERS:
        watcher()


class Kills:
    """Moments of kills over the time that some work takes: sooner after one that came too late, else later.

    So kills meet the work however much faster or slower the machine has become since that time was taken.
    """

    def __init__(self, count: int, takes_s: float, moments: random.Random) -> None:
        self.count = count
        self.midway = 0
        self._latest_s = self._span_s = 2 * takes_s
        self._moments = moments

    def __iter__(self) -> Iterator[float]:
        """Yield how long after its begin each work is killed; `tell` is due between two of them."""
        for _ in range(self.count):
            yield self._moments.uniform(0, self._span_s)

    def tell(self, *, midway: bool) -> None:
        """Take in whether the last kill came before the work was done."""
        self.midway += midway
        self._span_s = min(2 * self._span_s, self._latest_s) if midway else self._span_s / 2

    def __str__(self) -> str:
        return f"{self.count} kills, {self.midway} of them midway"


def seconds(work: Callable[[T], object], *on: T) -> float:
    """Return how long some work takes, at best of a few: kills are spread over that, however slow it is."""
    best = float("inf")
    for each in on:
        begin = time.monotonic()
        work(each)
        best = min(best, time.monotonic() - begin)
    return best
