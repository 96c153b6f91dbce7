"""Prices as the wire shows them: base units become card-hours, millions of tokens and GB-days."""

from hutong.core.accounts.registry import FOREVER_MS
from hutong.core.book.prices import Price, Timeline
from hutong.core.capacity.sites import Pool, Site
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.money import parse_micro
from hutong.core.ledger.prices import (
    PER,
    Tariff,
    Tenant,
    parse_sku,
    skus_of_pool,
)
from hutong.server.api.shapes.money import quotient
from hutong.wire import prices as w
from hutong.wire.base import Money, rfc3339

_UNITS = {
    "card": "card-hour",
    "token_in": "million tokens",
    "token_out": "million tokens",
    "service_request": "request",
    "storage": "GB-day",
}
_MOST = 10**9


def base_units(text: str, family: str, path: str) -> int:
    """Return the base units of a number of GB-days or the like; raises Refused that names the field."""
    found = parse_micro(text, path) * PER[family] // 1_000_000
    if found > _MOST * PER[family]:
        hint = f"at most {_MOST} times a {_UNITS[family]}"
        raise Refused("bad_price", "too much", (Problem(path, "too much", hint),))
    return found


def price_shape(line: Timeline, price: Price, now_ms: int) -> w.Price:
    """Return a price of a timeline."""
    state = "future" if now_ms < price.from_ms else "in-force" if now_ms < price.upto_ms else "ended"
    return w.Price.model_validate(
        {
            "id": price.id,
            "book": line.book,
            "sku": line.sku,
            "unit": _UNITS[parse_sku(line.sku).family],
            "amount": Money.of(price.micro),
            "tiers": tuple(
                w.PriceTier(above=quotient(each.above, price.per), amount=Money.of(each.micro))
                for each in price.tiers
            ),
            "starts": rfc3339(price.from_ms),
            "ends": rfc3339(price.upto_ms) if price.upto_ms < FOREVER_MS else None,
            "state": state,
            "reason": price.reason,
            "by": price.by,
            "set": rfc3339(price.at_ms),
        }
    )


def paid_shape(tariff: Tariff, tenant: Tenant, site: Site, pool: Pool) -> w.PaidPrice:
    """Return what a tenant pays for a card of a pool, and by which book."""
    found = tariff.find(tenant, skus_of_pool(pool.accelerator, site.id, pool.id))
    own = pool.price_micro_per_card_hour
    return w.PaidPrice(
        site=site.id,
        pool=pool.id,
        accelerator=pool.accelerator,
        list_price=Money.of(own),
        price=Money.of(own if found is None else found[1].micro),
        book="" if found is None else found[0],
    )
