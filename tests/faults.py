"""How tests kill at random: how often (seldom by `make check`), from which seed, and at which moment."""

import os
import random
import signal
import time
from collections.abc import Callable
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


def seconds(work: Callable[[T], object], *on: T) -> float:
    """Return how long some work takes, at best of a few: kills are spread over that, however slow it is."""
    best = float("inf")
    for each in on:
        begin = time.monotonic()
        work(each)
        best = min(best, time.monotonic() - begin)
    return best
