"""What-if answers as the wire shows them: where a run would go, its cost, its energy by the hour."""

from hutong.core.capacity.sites import Site
from hutong.core.energy.account import Energy, electricity_micro, energy_of
from hutong.core.kernel.rating import rate_cards
from hutong.core.placement.counterfactual import Instead, WhatIf
from hutong.core.work.fold import Attempt
from hutong.core.work.spec import JobSpec
from hutong.server.api.shapes.money import quotient
from hutong.server.api.shapes.times import percent, thousandths
from hutong.wire import receipts as w
from hutong.wire.base import Money, rfc3339
from hutong.wire.money import EnergyShare

_DAY_S = 86_400
_JOULES_PER_KWH = 3_600_000
_PPM = 1_000_000


def what_if_shape(found: WhatIf, attempt: Attempt, spec: JobSpec) -> w.WhatIf:
    """Return both courses of an attempt: as long as it ran, or else until its walltime (a service: a day)."""
    measured = attempt.over and attempt.ran_ms > 0
    run_ms = attempt.ran_ms if measured else 1000 * (spec.max_duration_s or _DAY_S)
    sites = {str(site.id): site for site in found.grounds.sites}
    return w.WhatIf(
        ran_s=thousandths(run_ms),
        measured=measured,
        then=_course(found.then, sites, run_ms),
        instead=_course(found.instead, sites, run_ms),
    )


def _course(instead: Instead, sites: dict[str, Site], run_ms: int) -> w.Course:
    site = sites.get(instead.place.partition("/")[0])
    energy, paid = Energy(0, 0, 0), None
    if site is not None:
        drawn = (instead.cards, instead.tdp_w, instead.pue_milli, instead.at_ms, run_ms)
        energy, paid = energy_of(site.supply, *drawn), electricity_micro(site.supply, *drawn)
    return w.Course(
        start=rfc3339(instead.at_ms),
        policy=instead.policy,
        place=instead.place,
        accelerator=instead.accelerator,
        cards=instead.cards,
        cost=Money.of(rate_cards(instead.cards * run_ms, instead.price_micro_per_card_hour)),
        energy=EnergyShare(
            kwh=quotient(energy.energy_j, _JOULES_PER_KWH),
            green_kwh=quotient(energy.green_j, _JOULES_PER_KWH),
            green_percent=percent(energy.green_j * _PPM // energy.energy_j if energy.energy_j else 0),
            co2e_g=thousandths(energy.co2_mg),
            method="modelled: cards x nameplate TDP x PUE x running time, from the start of the decision",
        ),
        electricity=None if paid is None else Money.of(paid),
        why_not=instead.why_not,
    )
