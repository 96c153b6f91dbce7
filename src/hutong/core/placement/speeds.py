"""How fast a workload runs on one card of each accelerator, from nameplates and from how its runs came out.

What is known of a workload on accelerator a is the mean of ln(card-seconds) of its n_a whole runs there: its
work is the same each time, so a smaller figure is a faster card. Speeds are relative, in nats:

| | mean | variance |
|---|---|---|
| by nameplate, a to r | ln(FP16 dense figure of a / of r) | 0.5^2: a factor of 1.6 either way |
| by runs | mean_r - mean_a | 0.4^2 (1/n_a + 1/n_r): the spread of one workload's runs |

r is the accelerator with most runs. Both are normal, so the posterior is their mean weighted by inverse
variances (Gelman et al., Bayesian Data Analysis, section 2.5). The two spreads are assumed, not measured.
What counts in a score is the posterior's mean: few runs move it little from the nameplate, so a lucky one
chooses nothing by itself, and no chip is kept back for want of runs. Its standard deviation is shown.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hutong.core.book.runs import Runs
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.work.spec import Ask

PPM = 1_000_000
MILLI = 1000
_NAMEPLATE_VAR = 0.5**2
_RUN_VAR = 0.4**2
_LEAST_PPM = 1_000


@dataclass(frozen=True, slots=True)
class Speed:
    """The speed of a card that a decision goes by, the fastest asked for being 10^6, and on how many runs.

    `doubt_ppm` is one standard deviation beside the reference, as a part of the speed; 0 for the reference.
    """

    accelerator: str
    ppm: int
    runs: int
    doubt_ppm: int = 0


def speeds_of(asks: Sequence[Ask], known: Sequence[Runs]) -> tuple[Speed, ...]:
    """Return the speed of each accelerator that a job asks for; nothing where there is no choice.

    Also nothing where an accelerator has neither a figure nor runs: then nothing can be compared.
    """
    chips = sorted({ask.accelerator for ask in asks})
    if len(chips) < 2:
        return ()
    runs = {each.accelerator: each for each in known if each.count > 0}
    figures = {chip: _figure(chip) for chip in chips}
    if any(not figures[chip] and chip not in runs for chip in chips):
        return ()
    reference = max(chips, key=lambda chip: (runs[chip].count if chip in runs else 0, figures[chip], chip))
    logs = {chip: _beside(chip, reference, figures, runs) for chip in chips}
    top = max(mean for mean, _ in logs.values())
    return tuple(
        Speed(
            chip,
            max(_LEAST_PPM, round(PPM * math.exp(mean - top))),
            runs[chip].count if chip in runs else 0,
            round(PPM * math.expm1(doubt)),
        )
        for chip, (mean, doubt) in logs.items()
    )


def _beside(
    chip: str, reference: str, figures: Mapping[str, float], runs: Mapping[str, Runs]
) -> tuple[float, float]:
    """Return mean and standard deviation of the log of a chip's speed relative to the reference's."""
    if chip == reference:
        return 0.0, 0.0
    precision = mean = 0.0
    if figures[chip] and figures[reference]:
        precision = 1 / _NAMEPLATE_VAR
        mean = math.log(figures[chip] / figures[reference]) * precision
    if chip in runs and reference in runs:
        mine, theirs = runs[chip], runs[reference]
        weight = 1 / (_RUN_VAR * (1 / mine.count + 1 / theirs.count))
        seen = (theirs.sum_mn / theirs.count - mine.sum_mn / mine.count) / MILLI
        precision, mean = precision + weight, mean + weight * seen
    if not precision:  # one has runs only and the other a figure only: taken as equal, and unsure
        return 0.0, math.sqrt(_NAMEPLATE_VAR)
    return mean / precision, math.sqrt(1 / precision)


def _figure(model: str) -> float:
    card = ACCELERATORS.get(model)
    return float(card.fp16.gops) if card and card.fp16 else 0.0
