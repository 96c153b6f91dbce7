"""A site's metered hour, shared out: jobs, idle and overhead sum to the meter, to the joule."""

from collections.abc import Mapping
from dataclasses import dataclass

from hutong.core.kernel.money import largest_remainder

Parts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Shared:
    """Joules by attempt: `it` of its cards, `overhead` its share of what is not IT.

    `jobs + idle + overhead` is the meter. The shares of the overhead, with that of idle equipment, sum to the
    overhead. `scaled`: jobs were taken to draw more than there was, and were fitted to it; `beyond`: counters
    alone said more than there was.
    """

    it: Parts
    overhead: Parts
    jobs_j: int
    idle_j: int
    overhead_j: int
    idle_overhead_j: int
    scaled: bool
    beyond: bool = False

    @property
    def it_j(self) -> int:
        """What went to IT equipment."""
        return self.jobs_j + self.idle_j


def share(
    metered_j: int, it_j: int, wanted: Mapping[str, int], counted: Mapping[str, int] | None = None
) -> Shared:
    """Share what a meter counted. `it_j` of it went to IT equipment.

    `wanted` is what attempts drew by a model, `counted` what others did by counters. A model never wins over
    a counter: attempts that were counted come first, the others share what is left. Where all drew less than
    IT equipment did, the rest is idle; where more, each has its part. IT equipment has at most the meter.
    """
    it_j = min(it_j, metered_j)
    known, beyond = _fit(it_j, counted or {})
    rest, scaled = _fit(it_j - sum(known.values()), wanted)
    fitted = dict(sorted({**known, **rest}.items()))
    names, parts = list(fitted), tuple(fitted.values())
    idle_j = it_j - sum(parts)
    overhead_j = metered_j - it_j
    weights = (*parts, idle_j)
    # Where nothing drew anything, the overhead is that of idle equipment.
    beside = largest_remainder(overhead_j, weights if sum(weights) else (*parts, 1))
    return Shared(
        it=fitted,
        overhead=dict(zip(names, beside, strict=False)),
        jobs_j=it_j - idle_j,
        idle_j=idle_j,
        overhead_j=overhead_j,
        idle_overhead_j=beside[-1],
        scaled=scaled or beyond,
        beyond=beyond,
    )


def _fit(there_j: int, asked: Mapping[str, int]) -> tuple[Parts, bool]:
    """Return what each has of what there is, and whether that is less than was asked for."""
    if sum(asked.values()) <= there_j:
        return dict(asked), False
    names = sorted(asked)
    parts = largest_remainder(there_j, [asked[name] for name in names])
    return dict(zip(names, parts, strict=True)), True
