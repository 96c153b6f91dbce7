"""What a tenant pays for the cards of pools, as a placement is told it."""

from collections.abc import Sequence

from hutong.core.capacity.sites import Site
from hutong.core.ledger.prices import Tariff, Tenant, skus_of_pool
from hutong.core.placement.request import Paid


def paid_in(tariff: Tariff, tenant: Tenant, sites: Sequence[Site]) -> tuple[Paid, ...]:
    """Return what a tenant pays in each pool where that is not the pool's own price."""
    found = []
    for site in sites:
        for pool in site.pools:
            price = tariff.price(tenant, skus_of_pool(pool.accelerator, site.id, pool.id))
            if price is not None and price.micro != pool.price_micro_per_card_hour:
                found.append(Paid(site.id, pool.id, price.micro))
    return tuple(found)
