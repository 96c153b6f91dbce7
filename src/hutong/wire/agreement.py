"""Phases of connected centres beside what their sites declare: JSON shapes."""

from typing import Literal

from hutong.wire.base import Page, Shape
from hutong.wire.capacity import Span

Verdict = Literal["agrees", "more", "less", "unsure", "unlike"]


class AgreedCards(Shape):
    """Cards of one model. `difference` is how many more, or fewer, the sites declare than may be."""

    model: str
    in_service: int
    accepted: int
    declared: int
    difference: int
    verdict: Verdict


class Unlike(Shape):
    """Why figures are not compared: the field, what each says in it, and what that means."""

    field: str
    left: str
    right: str
    why: str


class AgreedPower(Shape):
    """Computing power of one kind, in giga-operations a second.

    `difference` is by how much the intervals miss each other: above 0 the sites declare more.
    """

    precision: str
    sparsity: Literal["dense", "sparse"]
    basis: str
    in_service: Span
    accepted: Span
    declared: Span
    difference: int
    verdict: Verdict
    why: tuple[Unlike, ...]


class Agreement(Shape):
    """A connected centre: its phases beside what its sites declare.

    The sites declare `more` or `less` than is registered; `unsure`: what nobody said may explain it;
    `unlike`: figures that are not compared. `verdict` is the worst of all; `notes` say what hinders.
    """

    centre: str
    as_of: str
    sites: tuple[str, ...]
    verdict: Verdict
    cards: tuple[AgreedCards, ...]
    power: tuple[AgreedPower, ...]
    notes: tuple[str, ...]


class Agreements(Page[Agreement]):
    """Connected centres by id. `unnamed` are the first 200 sites that no centre names."""

    unnamed: tuple[str, ...]
