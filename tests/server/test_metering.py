"""The platform killed while it takes in accounting: the book is corrected once, and nothing is lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.agent.scene import LAB, SITE, World

from hutong.adapters.engines.base import Use
from hutong.core.book.received import Fate
from hutong.core.ledger.metering import Limits
from hutong.server.metering import take_in

_WRITES = frozenset({"receive", "resolve", "post"})


class Killed(BaseException):
    """The platform dies here."""


class Mortal:
    """Passes everything to a store, and dies before or after its n-th write."""

    def __init__(self, store: Any, left: int, *, after: bool) -> None:
        self._store, self._left, self._after = store, left, after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        return self._dying(real) if name in _WRITES else real

    def _dying(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Killed
            done = real(*args, **named)
            if self._left == 0:
                raise Killed
            return done

        return write


@pytest.fixture
def ran(tmp_path: Path) -> tuple[World, Use]:
    """A world in which a job ran for a minute on 8 cards, and accounting says 40 s, in two starts."""
    world = World(tmp_path)
    job = world.submit("sleep 60")
    world.go(world.agent(), steps=140)
    attempt = world.job(job).attempt
    assert attempt is not None
    assert attempt.settled
    world.now += 10_000
    return world, Use("bj:1:1", world.key(job), 8 * 30_000, attempt.started_ms, attempt.ended_ms)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 6))
def test_killed_at_any_write_the_book_is_corrected_once(ran: tuple[World, Use], at: int, after: bool) -> None:
    world, use = ran
    second = Use("bj:1:2", use.key, 8 * 10_000, use.upto_ms, use.upto_ms + 10_000)

    def tell(store: Any) -> list[Fate]:
        return [kept.fate for kept in take_in(store, SITE, (use, second), Limits(), "site", world.now)]

    try:
        tell(Mortal(world.store, at, after=after))
    except Killed:
        tell(world.store)
    before = world.store.usage(LAB, str(use.key), "", 100)
    assert Fate.SUSPENDED not in tell(world.store)
    assert world.store.billed([str(use.key)])[0].card_ms == 8 * 40_000
    assert sum(each.reverses != "" for each in before) == 1
    assert world.store.suspended(("", "", 0), 10) == ()
    assert world.store.check_ledger().faults == ()
