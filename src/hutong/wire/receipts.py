"""Receipts of placements: JSON shapes."""

from typing import Any

from hutong.wire.base import Shape, Time, Ulid


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


class Replay(Shape):
    """A receipt decided again from its own inputs. `same` means: every bit of the decision."""

    same: bool
    digest: str
    replayed_digest: str
    differences: tuple[str, ...]
