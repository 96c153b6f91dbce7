"""The benchmark of frauds is repeatable, finds what is large, and leaves honest days alone."""

import random

from bench.fraud_days import DAYS, PAST_DAYS, make_centre
from bench.frauds import run, wilson

from hutong.core.witnesses.detect import detect
from hutong.core.witnesses.shapes import Bounds


def test_of_a_few_centres_large_frauds_are_found_and_honest_days_are_quiet() -> None:
    rows, alarms, honest = run(7, 60, 2, Bounds())
    assert sum(row.found + row.missed for row in rows.values()) == 60
    assert not any(row.missed for (kind, _, _), row in rows.items() if kind in {"replayed", "broken_chain"})
    assert not any(row.missed for (_, way, _), row in rows.items() if way == "booked alone")
    assert sum(row.found for row in rows.values()) >= 30
    assert alarms["any"] * 20 <= honest
    assert run(7, 60, 2, Bounds())[1] == alarms


def test_an_honest_centre_is_within_its_own_cards() -> None:
    centre = make_centre(random.Random(3), 0)
    assert all(0 <= each <= centre.cards * 3_600_000 for each in centre.held)
    found = [each for day in range(PAST_DAYS, DAYS) for each in detect(centre.seen(day), Bounds())]
    assert not [each for each in found if each.about == "cards" or each.kind == "clock_skew"]


def test_an_interval_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert abs(wilson(0, 10)[0]) < 1e-9
