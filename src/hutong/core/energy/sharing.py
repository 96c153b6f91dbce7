"""A site's metered hour, shared out: jobs, idle and overhead sum to the meter, to the joule."""

from collections.abc import Mapping
from dataclasses import dataclass

from hutong.core.kernel.money import largest_remainder

Parts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Shared:
    """Joules by attempt: `it` of its cards, `overhead` its share of what is not IT.

    `jobs + idle + overhead` is the meter. The shares of the overhead, with that of idle equipment, sum to the
    overhead. `scaled`: jobs were taken to draw more than there was, and were fitted to it.
    """

    it: Parts
    overhead: Parts
    jobs_j: int
    idle_j: int
    overhead_j: int
    idle_overhead_j: int
    scaled: bool

    @property
    def it_j(self) -> int:
        """What went to IT equipment."""
        return self.jobs_j + self.idle_j


def share(metered_j: int, it_j: int, wanted: Mapping[str, int]) -> Shared:
    """Share what a meter counted. `it_j` of it went to IT equipment, `wanted` is what each attempt drew.

    Where attempts drew less than IT equipment did, the rest is idle. Where more, each has its part of what
    there was. IT equipment has no more than the meter.
    """
    it_j = min(it_j, metered_j)
    names = sorted(wanted)
    asked = [wanted[name] for name in names]
    scaled = sum(asked) > it_j
    parts = largest_remainder(it_j, asked) if scaled else tuple(asked)
    idle_j = it_j - sum(parts)
    overhead_j = metered_j - it_j
    weights = (*parts, idle_j)
    # Where nothing drew anything, the overhead is that of idle equipment.
    beside = largest_remainder(overhead_j, weights if sum(weights) else (*parts, 1))
    return Shared(
        it=dict(zip(names, parts, strict=True)),
        overhead=dict(zip(names, beside, strict=False)),
        jobs_j=it_j - idle_j,
        idle_j=idle_j,
        overhead_j=overhead_j,
        idle_overhead_j=beside[-1],
        scaled=scaled,
    )
