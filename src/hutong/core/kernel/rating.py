"""Rating: what a running total of use costs. Rate totals, never slices, and slicing cannot change a sum.

For a price p in micro-yuan per unit of `per` base units, R(t) = floor((t * p + per / 2) / per). The charge of
a slice is R(total after) - R(total before), so slices telescope (invariant L10).
"""

from hutong.core.kernel.errors import Broken

CARD_HOUR_MS = 3_600_000
MILLION_TOKENS = 1_000_000


def rate(total: int, price_micro: int, per: int) -> int:
    """Return the charge in micro-yuan of a running total of base units, rounded half up once."""
    if total < 0 or price_micro < 0:
        raise Broken(f"cannot rate {total} at {price_micro}")
    return (total * price_micro + per // 2) // per


def rate_moved(total: int, price_micro: int, per: int) -> int:
    """Return the charge of a running total that may be below zero, as where use left a price (negative)."""
    return -rate(-total, price_micro, per) if total < 0 else rate(total, price_micro, per)


def rate_cards(card_ms: int, price_micro_per_card_hour: int) -> int:
    """Return the charge of a running total of card-milliseconds."""
    return rate(card_ms, price_micro_per_card_hour, CARD_HOUR_MS)


def rate_tokens(tokens: int, price_micro_per_million: int) -> int:
    """Return the charge of a request's tokens."""
    return rate(tokens, price_micro_per_million, MILLION_TOKENS)
