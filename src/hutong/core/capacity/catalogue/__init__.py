"""Every card of which anything is known; data in modules, since the core reads no disk."""

from types import MappingProxyType

from hutong.core.capacity.catalogue import abroad, domestic, huawei, others
from hutong.core.capacity.catalogue.model import Card

CATALOGUE = MappingProxyType(
    {card.model: card for card in (*abroad.CARDS, *huawei.CARDS, *domestic.CARDS, *others.CARDS)}
)
_NAMES = {name.casefold(): card.model for card in CATALOGUE.values() for name in (card.model, *card.aliases)}


def find_card(name: str) -> Card | None:
    """Return the card that a name means, or None if it is unknown."""
    model = _NAMES.get(name.strip().casefold())
    return CATALOGUE[model] if model else None
