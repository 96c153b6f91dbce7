"""Embodied carbon of a pool's hardware as somebody states it, and the part of it that use takes.

ISO/IEC 21031 (SCI): M = what was emitted for the hardware x time reserved / its lifetime x share reserved.
A figure is of one card, with its share of the host where it says so. There are no figures of ours.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

EMBODIED = "energy_embodied"
"""The kind of a figure's document in the registry."""


@dataclass(frozen=True, slots=True)
class Embodied:
    """Grams of CO2e for each card of a pool over a lifetime in hours, what they cover, and who says so."""

    site: str
    pool: str
    grams_per_card: int
    lifetime_hours: int
    covers: str
    source: str

    @property
    def id(self) -> str:
        """Its name in the registry."""
        return f"{self.site}/{self.pool}"


def embodied_mg(used: Iterable[tuple[str, int]], figures: Mapping[str, Embodied | None]) -> int | None:
    """Return milligrams of CO2e of card-milliseconds by pool (`site/pool`); None if a pool has no figure."""
    total = 0
    for pool, card_ms in used:
        figure = figures.get(pool)
        if figure is None:
            return None
        # g x 1000 = mg; h x 3,600,000 = ms
        total += max(0, card_ms) * figure.grams_per_card // (figure.lifetime_hours * 3600)
    return total
