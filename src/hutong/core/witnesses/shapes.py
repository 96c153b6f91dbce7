"""What the witnesses of a site's day say, and what is found when they contradict each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hutong.core.kernel.chain import ChainFault
from hutong.core.ledger.reconciling import Report


class Kind(StrEnum):
    """What may be wrong."""

    GHOST = "ghost"  # use is booked or reported that nobody else saw
    OVER_REPORTED = "over_reported"  # more use than accounting, the cards or the electricity allow
    SIDE_USE = "side_use"  # electricity that no reported use explains
    CLOCK_SKEW = "clock_skew"  # the site's clock is wrong
    REPLAYED = "replayed"  # one use is told twice
    BROKEN_CHAIN = "broken_chain"  # a sealed report was changed, left out or put in


class Sure(StrEnum):
    """How sure a finding is."""

    CERTAIN = "certain"  # it cannot be otherwise, if the witnesses are read rightly
    LIKELY = "likely"  # it is far beyond what the site's own past days explain


@dataclass(frozen=True, slots=True)
class Timed:
    """A start by the site's clock, beside moments that the platform's own clock saw of the attempt.

    The site had the command at `dispatched_ms`; its start and end were known here at `*_seen_ms`.
    0: not known.
    """

    key: str
    record: str
    from_ms: int
    upto_ms: int
    card_ms: int
    dispatched_ms: int = 0
    started_seen_ms: int = 0
    ended_seen_ms: int = 0


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of a site (hours since 1970), over all of its pools.

    `nameplate_j` are the joules that the cards reported as held would draw at their nameplate power;
    `installed_j` those of all cards. `metered_j` None: the meter was not read whole.
    """

    hour: int
    nameplate_j: int
    installed_j: int
    metered_j: int | None


@dataclass(frozen=True, slots=True)
class DaySeen:
    """All that is known of a site's UTC day.

    `cards` are those installed, `watts` the mean nameplate power of a card. `reported_card_ms` is what the
    agent saw held by the platform's jobs and all that it may not have seen while it was away, None where it
    does not tell; `booked_card_ms` is what the ledger booked on the day. `past` are the hours of earlier
    days of which nothing was found, in order.
    """

    site: str
    day: int
    cards: int
    watts: int
    report: Report | None = None
    starts: Sequence[Timed] = ()
    hours: Sequence[Hour] = ()
    past: Sequence[Hour] = ()
    booked_card_ms: int = 0
    reported_card_ms: int | None = None
    faults: Sequence[ChainFault] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that witnesses contradict each other in: how much (card-ms, or ms of a clock), how sure.

    `about` names it within its site, day and kind, so that it is found once.
    """

    kind: Kind
    about: str
    size: int
    sure: Sure
    evidence: str
    to_do: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far witnesses may differ. The figures are our choice, tried on simulated days (`make frauds`).

    `skew_ms`: a kept clock is wrong by far less. `cleanup_ms`: how long accounting may count an attempt after
    its ranks ended. `drift_ppm`: sampled and booked card-time may differ by so much of what is installed.
    `days_least` past days are needed before a site's electricity is judged by them. Of a whole day
    a deviation of `day_sigmas` robust standard deviations is found, of a quarter of it `quarter_sigmas`;
    less than `least_ppm` of the expected energy is never found, for a meter is not that exact.
    `busiest_ppm` and `idle_ppm` bound the power of a server by its cards' nameplate: a DGX H100 may draw
    10.2 kW with cards of 5.6 kW (NVIDIA, DGX H100 user guide); a card that is on draws a twentieth at least.
    """

    skew_ms: int = 60_000
    cleanup_ms: int = 60_000
    drift_ppm: int = 20_000
    days_least: int = 14
    day_sigmas: float = 5.0
    quarter_sigmas: float = 6.0
    least_ppm: int = 15_000
    pue_least_milli: int = 1000
    pue_most_milli: int = 2500
    idle_ppm: int = 50_000
    busiest_ppm: int = 2_000_000
