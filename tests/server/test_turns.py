"""A refund and the closing of its month at the same moment: whoever is second knows of the first."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.server.test_reckoning import FIRST, YUAN, A, commit, fund, run, sound, use, world, worth

from hutong.core.book.money import Waiver
from hutong.core.kernel.errors import Later
from hutong.core.kernel.ids import AttemptKey
from hutong.core.kernel.rating import CARD_HOUR_MS
from hutong.server.refunds import correct_usage, refund, refundable_micro, waive


class Meanwhile:
    """Passes everything to a store; just before its next posting somebody else does something."""

    def __init__(self, store: Any, what: Callable[[], object], times: int = 1) -> None:
        self._store, self._what, self._left = store, what, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def post(self, *args: Any, **named: Any) -> bool:
        if self._left:
            self._left -= 1
            self._what()
        return bool(self._store.post(*args, **named))


def busy() -> Any:
    """Return a store with a month of 100 hours at 9, of which all are committed to at 5."""
    store = world()
    fund(store, A, 1000)
    use(store, "j1", A, 40, 9)
    use(store, "j2", A, 60, 9)
    commit(store, scope="project", name=A, card_ms=100 * CARD_HOUR_MS)
    return store


def give(store: Any) -> object:
    return refund(store, A, "j1", None, "goodwill", "r1")


def forgive(store: Any) -> object:
    return waive(store, Waiver(AttemptKey("j1"), A, 0, "the site's fault"))


@pytest.mark.parametrize("how", [give, forgive])
def test_a_refund_that_races_the_closing_returns_what_the_month_costs_then(
    how: Callable[[Any], object],
) -> None:
    store = busy()
    how(Meanwhile(store, lambda: run(store)))
    assert worth(store) == (1000 - 60 * 5) * YUAN, "j1 cost 200 when it came back, not 360"
    assert refundable_micro(store, A, "j1") == 0
    sound(store)


@pytest.mark.parametrize("how", [give, forgive])
def test_a_closing_that_races_a_refund_shares_out_what_is_left(how: Callable[[Any], object]) -> None:
    store, other = busy(), busy()
    run(Meanwhile(store, lambda: how(store)))
    how(other)
    run(other)
    assert worth(store) == worth(other), "as if the one had come after the other"
    assert run(store) == 0
    sound(store)


def test_a_correction_that_races_the_closing_is_made_up_for_by_the_next() -> None:
    store = busy()
    run(Meanwhile(store, lambda: correct_usage(store, A, "j1", "j1", 0, "it never ran", FIRST.until_ms)))
    run(store)
    assert run(store) == 0
    assert worth(store) == (1000 - 100 * 5) * YUAN, "40 hours are unused, and owed all the same"
    sound(store)


def test_who_is_overtaken_again_and_again_is_told_to_come_later() -> None:
    store = busy()
    names = iter(range(100))
    hurried = Meanwhile(store, lambda: refund(store, A, "j2", YUAN, "goodwill", f"x{next(names)}"), times=50)
    with pytest.raises(Later):
        give(hurried)
    assert worth(store) == (100 + 20) * YUAN
    sound(store)
