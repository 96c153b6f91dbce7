"""What if: the same decision at another hour or by another policy, from what the receipt keeps."""

from dataclasses import replace

import pytest
from tests.core.control.test_queue import NOW, scene, site, waiting

from hutong.core.capacity.sites import Site, Supply
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.errors import Broken, Refused
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.placement.counterfactual import WhatIf, what_if
from hutong.core.placement.request import Policy

GREENEST = Policy("greenest", fit=0, price=0, wait=0, distance=0, green=1)
CHEAPEST = Policy("cheapest", fit=0, price=1, wait=0, distance=0, green=0)
HOUR = NOW // HOUR_MS % 24


def sunny(name: str, *hours: int, price: int = 10) -> Site:
    """Return a site that is green at these hours from now only."""
    green = [0] * 24
    for hour in hours:
        green[(HOUR + hour) % 24] = 1_000_000
    place = replace(site(name, 16), supply=Supply(tuple(green), (500,) * 24, "a test"))
    return replace(place, pools=(replace(place.pools[0], price_micro_per_card_hour=price * 10**6),))


def asked(at_ms: int | None = None, policy: Policy | None = None, minutes: int = 60) -> WhatIf:
    """Place one job by `greenest` where the first site is green now and the second in six hours; ask."""
    shot = scene((sunny("one", 0, price=20), sunny("two", 6)), [waiting(0, 8, minutes)])
    done = turn(shot, Rules(policies={"balanced": GREENEST}))
    (job,) = done.jobs
    return what_if(job.receipts[0][1], dict(done.pages).get, at_ms, policy)


def test_asked_for_nothing_else_it_is_what_was_decided() -> None:
    found = asked()
    assert found.then == found.instead
    assert (found.then.place, found.then.at_ms, found.then.cards) == ("one/p0", NOW, 8)


def test_at_another_hour_another_place_is_greener() -> None:
    found = asked(NOW + 6 * HOUR_MS)
    assert (found.then.place, found.instead.place) == ("one/p0", "two/p0")
    assert found.instead.at_ms == NOW + 6 * HOUR_MS


def test_by_another_policy_it_is_cheaper() -> None:
    found = asked(policy=CHEAPEST)
    assert (found.instead.place, found.instead.policy) == ("two/p0", "cheapest")
    assert found.instead.price_micro_per_card_hour < found.then.price_micro_per_card_hour


def test_what_it_rests_on_must_be_there() -> None:
    shot = scene((sunny("one", 0),), [waiting(0, 8, 60)])
    done = turn(shot, Rules())
    data = done.jobs[0].receipts[0][1]
    with pytest.raises(Broken):
        what_if(data, {}.get, None, None)
    with pytest.raises(Refused):
        what_if(b'{"version":3}', {}.get, None, None)
