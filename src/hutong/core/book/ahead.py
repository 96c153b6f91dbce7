"""What placed work may still use beyond what is settled: until its walltime, in every unit alike."""

from dataclasses import dataclass, field

from hutong.core.book.uses import Amounts
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.kernel.rating import rate_cards
from hutong.core.work.fold import Attempt, Job

OPEN_ENDED_MS = HOUR_MS
"""What has no walltime is taken to run so much longer: about as long as money is held for it."""

_MICRO = 10**6


@dataclass(frozen=True, slots=True)
class Ahead:
    """What work of a project (and person) may still use at a site, on one accelerator.

    `amounts` are card-milliseconds, micro-yuan and joules; carbon is left to whoever knows the site.
    """

    project: str = ""
    person: str = ""
    site: str = ""
    sku: str = ""
    amounts: Amounts = field(default_factory=Amounts)


def ahead_of(job: Job) -> Ahead:
    """Return what the job's last attempt may still use, nothing once it is settled; no project is named."""
    attempt = job.attempt
    if attempt is None or attempt.settled:
        return Ahead()
    return Ahead("", job.by, attempt.site, attempt.accelerator, still_to_use(attempt))


def still_to_use(attempt: Attempt) -> Amounts:
    """Return what an attempt may still use beyond what is metered; never too little, but for its grace.

    Of one that is over it is what it ran and is not metered yet.
    """
    before = attempt.metered_card_ms
    if attempt.over:
        total = attempt.cards * attempt.ran_ms
    elif attempt.run_ms:
        total = attempt.cards * attempt.run_ms
    else:
        total = before + attempt.cards * OPEN_ENDED_MS
    card_ms = max(0, total - before)
    charge = rate_cards(before + card_ms, attempt.price_micro_per_card_hour) - attempt.charge_micro
    micro_j = card_ms * attempt.tdp_w * attempt.pue_milli
    return Amounts(card_ms, max(0, charge), -(-micro_j // _MICRO))
