"""What a site's own accounting says of an attempt, weighed against what the attempt was billed."""

from collections.abc import Sequence
from dataclasses import dataclass

from hutong.core.book.money import UsageRecord
from hutong.core.book.received import Received
from hutong.core.ledger.matching import Match, newest_record
from hutong.core.work.fold import Attempt

_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a site's accounting and the book may differ, and what is corrected without a person.

    The figures are our choice. `slack_ms`: accounting counts whole seconds, so each card of each start may
    differ by so much. An attempt is billed while its ranks run, but Slurm counts from the allocation to the
    end of the clean-up: what it had its cards before its ranks began, at most `prepare_ms` (the agent's own
    limit for preparation), and `unbilled_ms` more for each start, is no difference. `skew_ms`: a site's clock
    may be wrong by so much; a minute or two is common where nobody keeps it, more says that something is
    broken. A difference of up to `correct_card_ms`, or `correct_ppm` of what was billed if that is
    more, corrects the book by itself.
    """

    slack_ms: int = 2_000
    unbilled_ms: int = 60_000
    prepare_ms: int = 1_860_000
    skew_ms: int = 300_000
    correct_card_ms: int = 3_600_000
    correct_ppm: int = 100_000


@dataclass(frozen=True, slots=True)
class Gap:
    """By how much the book should change (card-ms; 0: it agrees), and what was held and is not billed."""

    card_ms: int
    unbilled_card_ms: int


def gap(told: Sequence[Received], cards: int, started_ms: int, billed_card_ms: int, limits: Limits) -> Gap:
    """Return how all starts of an attempt compare with what it was billed; `started_ms` 0: it never ran."""
    held = sum(each.quantity for each in told)
    before_ms = limits.prepare_ms
    if started_ms:
        first_ms = min((each.from_ms for each in told), default=started_ms)
        before_ms = max(0, min(limits.prepare_ms, started_ms - first_ms))
    slack = cards * limits.slack_ms * max(1, len(told))
    spare = cards * (before_ms + limits.unbilled_ms * len(told))
    if held < billed_card_ms - slack:
        return Gap(held - billed_card_ms, 0)
    if held > billed_card_ms + spare + slack:
        return Gap(held - spare - billed_card_ms, spare)
    return Gap(0, max(0, held - billed_card_ms))


def doubt(told: Received, site: str, attempt: Attempt, now_ms: int, limits: Limits) -> str:
    """Return why a record cannot be that of an attempt, whatever it says of its use; nothing if it can."""
    if attempt.site != site:
        return f"attempt {told.key} ran at {attempt.site}, not at {site}"
    if told.upto_ms > now_ms + limits.skew_ms:
        ahead_s = (told.upto_ms - now_ms) // 1000
        return f"it ends {ahead_s} s after it came here: the site's clock is wrong"
    if attempt.dispatched_ms and told.from_ms < attempt.dispatched_ms - limits.skew_ms:
        early_s = (attempt.dispatched_ms - told.from_ms) // 1000
        return f"it began {early_s} s before the site had the attempt: another job, or its clock is wrong"
    return ""


def weigh(
    told: Sequence[Received],
    attempt: Attempt,
    usage: Sequence[UsageRecord],
    limits: Limits,
    *,
    by_hand: bool = False,
    again: bool = False,
) -> Match:
    """Match all starts of an attempt that a site knows with what is in the book under its key.

    All of them together count, so that a job that started twice is not corrected to one of its starts. A
    difference goes to the newest record in force; if it is great, a person decides (`by_hand`). `again`: this
    site's accounting has corrected the attempt before; then what was metered at first is weighed, so that the
    book ends the same in whatever order starts and revisions come.
    """
    key = told[0].key if told else ""
    if not attempt.settled:
        return Match(suspend=f"attempt {key} is not settled yet")
    billed = sum(each.quantity for each in usage)
    metered = sum(each.quantity for each in usage if each.revision == 1 and not each.reverses)
    base = metered if again else billed
    change = base + gap(told, attempt.cards, attempt.started_ms, base, limits).card_ms - billed
    if not change:
        return Match()
    most = max(limits.correct_card_ms, billed * limits.correct_ppm // _PPM)
    if abs(change) > most and not by_hand:
        more = "more" if change > 0 else "less"
        return Match(
            suspend=f"it says {abs(change)} card-ms {more} than the {billed} billed, above the {most}"
            " that are corrected without a person"
        )
    newest = newest_record(usage)
    if newest is None:
        return Match(suspend=f"attempt {key} was never metered, and accounting had cards for it")
    quantity = newest.quantity + change
    if quantity < 0:
        return Match(suspend=f"it says less than all but the last record of {key}")
    return Match(correct=(newest, quantity))
