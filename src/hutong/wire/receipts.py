"""Receipts of placements: JSON shapes."""

from typing import Any

from hutong.wire.base import Money, Shape, Time, Ulid
from hutong.wire.money import EnergyShare


class Part(Shape):
    """One part of a score: the raw value with its unit, the normalised value and its weight."""

    name: str
    raw: str
    value_ppm: int
    weight: int


class WhyNot(Shape):
    """What keeps a pool from running the job, and the smallest change that would help."""

    code: str
    text: str
    change: str


class Alternative(Shape):
    """One pool as it was judged."""

    site: str
    pool: str
    accelerator: str
    eligible: bool
    chosen: bool
    score_ppm: int
    parts: tuple[Part, ...]
    why_not: WhyNot | None
    price_per_card_hour: str
    note: str = ""


class Receipt(Shape):
    """Why a job went where it went. `inputs` is all that the decision knew: it can be replayed."""

    job: Ulid
    attempt: int
    at: Time
    policy: str
    chosen: str
    alternatives: tuple[Alternative, ...]
    digest: str
    inputs: dict[str, Any]


class Course(Shape):
    """Where a run goes and what it takes; `place` is empty where no pool takes it, and `why_not` says why.

    `electricity` is what the centre pays for it, no part of `cost`; null where the centre does not say.
    """

    start: Time
    policy: str
    place: str
    accelerator: str
    cards: int
    cost: Money
    energy: EnergyShare
    electricity: Money | None = None
    why_not: str = ""


class WhatIf(Shape):
    """A run of `ran_s` (`measured`, or else its walltime) as it was decided, and as it would be otherwise."""

    ran_s: str
    measured: bool
    then: Course
    instead: Course


class Replay(Shape):
    """A receipt decided again from its own inputs. `same` means: every bit of the decision."""

    same: bool
    digest: str
    replayed_digest: str
    differences: tuple[str, ...]
