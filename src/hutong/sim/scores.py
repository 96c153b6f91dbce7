"""What a policy says of each pool of a simulated run, hour by hour."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hutong.core.placement.arrays import Ints
from hutong.core.placement.board import Class
from hutong.core.placement.columns import NEVER, Arrays
from hutong.core.placement.electricity import by_kwh, least_of, least_ppm
from hutong.core.placement.judge import Mask

_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Scores:
    """What a policy says of each pool, see `placement.judge`; without one, only a tight fit counts.

    `base` says it of jobs of so many nodes and cards a node: prices are compared among the pools that can
    hold them and are not shut to them, as live. `green_ppm` is each pool's green share hour by hour from the
    trace's begin, then from its first row again: what is due to it comes to `base` with that weight, as the
    mean over the hours that a job is expected to run. Without rows nothing changes by the hour. So it is with
    `co2_mg_per_kwh`, where `carbon_weight` is not 0; `card_mw` is the power of a card of each pool at the
    meter. So it is with `price_micro_per_kwh`, -1 where it is unknown, and `energy_weight`. `whole_weight` is
    fragmentation's.
    """

    base: Callable[[int, int, Mask], Ints]
    fit_weight: int
    weights: int
    green_ppm: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    green_weight: int = 0
    co2_mg_per_kwh: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    card_mw: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    carbon_weight: int = 0
    price_micro_per_kwh: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    energy_weight: int = 0
    whole_weight: int = 0


def hourly_of(scores: Scores, class_of: Ints, seconds: Ints, classes: Sequence[Class], shut: Mask) -> Ints:
    """Return hours x classes x pools: the base of each class, by the hour, where some pools are shut.

    Jobs of one class share a score, so it looks as far ahead as they run in the mean, at most a day.
    """
    table = np.empty((len(scores.green_ppm), len(classes), len(classes[0].base) if classes else 0), np.int64)
    for row, each in enumerate(classes if len(table) else ()):
        mean_s = int(seconds[class_of == row].mean())
        table[:, row] = each.base + scores.green_weight * mean_ahead(scores.green_ppm, mean_s)
        for weight, per_kwh in (
            (scores.carbon_weight, scores.co2_mg_per_kwh),
            (scores.energy_weight, scores.price_micro_per_kwh),
        ):
            if weight:
                table[:, row] += weight * _least(per_kwh, scores.card_mw, each.per_node, mean_s, shut)
    return table


def _least(per_kwh: Ints, card_mw: Ints, per_node: Ints, length_s: int, shut: Mask) -> Ints:
    """Return hours x pools: the part carbon or energy of a class's jobs, as `judge` has it."""
    found = by_kwh(card_mw, mean_ahead(per_kwh, length_s), int(per_node.max()), None)
    return np.stack([least_ppm(row, least_of(row, (per_node > 0) & ~shut)) for row in found])


def mean_ahead(by_hour: Ints, length_s: int) -> Ints:
    """Return each hour's mean over so many seconds from its begin, by pool; after the last row the first."""
    whole, rest = divmod(max(1, length_s), _HOUR_S)
    ahead = np.concatenate([by_hour] * (1 + -(-(whole + 1) // len(by_hour))))
    sums = np.concatenate([np.zeros((1, ahead.shape[1]), np.int64), np.cumsum(ahead, axis=0)])
    hours = np.arange(len(by_hour))
    found: Ints = _HOUR_S * (sums[hours + whole] - sums[hours]) + rest * ahead[hours + whole]
    return found // max(1, length_s)


class Hours:
    """Lets the scores of each hour count in a running world: `hourly` has a row of all classes for each."""

    def __init__(self, board: Arrays, hourly: Ints) -> None:
        self._board = board
        self._hourly = hourly
        self._next_s = 0 if len(hourly) else NEVER

    def turn(self, now_s: int, first: int, after: int) -> None:  # noqa: ARG002 - as `Closings` has it
        """A turn begins."""
        if now_s >= self._next_s:
            self._board.base[:] = self._hourly[now_s // _HOUR_S % len(self._hourly)]
            self._next_s = now_s // _HOUR_S * _HOUR_S + _HOUR_S
