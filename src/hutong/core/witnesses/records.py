"""What records of use contradict by themselves, and beside the ledger and the agent's samples."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from hutong.core.kernel.quantities import DAY_MS
from hutong.core.ledger.reconciling import Kind as Drift
from hutong.core.witnesses.shapes import Bounds, DaySeen, Finding, Kind, Sure, Timed

_SHOWN = 20


def find_replays(starts: Sequence[Timed]) -> Iterator[Finding]:
    """Yield a finding for each attempt that has its cards twice at the same time."""
    by_key: dict[str, list[Timed]] = defaultdict(list)
    for each in starts:
        by_key[each.key].append(each)
    for key, mine in sorted(by_key.items()):
        mine.sort(key=lambda each: (each.from_ms, each.upto_ms, each.record))
        upto_ms, twice_ms, named = mine[0].upto_ms, 0, mine[0].record
        for each in mine[1:]:
            length_ms = each.upto_ms - each.from_ms
            over_ms = min(each.upto_ms, upto_ms) - each.from_ms
            # Accounting counts whole seconds: a start may begin in the second in which the last one ended.
            if over_ms > 1000 and length_ms:
                twice_ms += each.card_ms * over_ms // length_ms
                named = each.record
            upto_ms = max(upto_ms, each.upto_ms)
        if twice_ms:
            evidence = f"{named} says of {key} what another record says of the same time"
            to_do = (
                "dismiss the second record (`hutong ledger resolve SITE RECORD --dismiss`) and ask the site"
            )
            yield Finding(Kind.REPLAYED, key, twice_ms, Sure.CERTAIN, evidence, to_do)


def find_overbooked(day: DaySeen) -> Iterator[Finding]:
    """Yield a finding if accounting has more cards in use at one moment than the site has."""
    steps: dict[int, int] = defaultdict(int)
    for each in day.starts:
        length_ms = each.upto_ms - each.from_ms
        if length_ms > 0:
            cards = -(-each.card_ms // length_ms)
            steps[each.from_ms] += cards
            steps[each.upto_ms] -= cards
    held = most = beyond_ms = last_ms = 0
    for at_ms, change in sorted(steps.items()):
        beyond_ms += max(0, held - day.cards) * (at_ms - last_ms)
        held, last_ms = held + change, at_ms
        most = max(most, held)
    # Accounting counts whole seconds: for one, the cards of a job that ends are those of the next.
    if beyond_ms > day.cards * 1000 * max(1, len(day.starts)) // 10:
        evidence = f"accounting has {most} cards in use at one moment, the site has {day.cards}"
        to_do = "ask the site which of the jobs had the cards; correct the book for the others"
        yield Finding(Kind.OVER_REPORTED, "cards", beyond_ms, Sure.CERTAIN, evidence, to_do)


def find_booked(day: DaySeen, bounds: Bounds) -> Iterator[Finding]:
    """Yield what the ledger booked and neither accounting nor the agent's samples explain."""
    shown = 0
    for each in day.report.differences if day.report else ():
        if each.waits or shown >= _SHOWN:
            continue
        if each.kind is Drift.UNRECORDED:
            shown += 1
            yield Finding(Kind.GHOST, each.key, abs(each.card_ms), Sure.LIKELY, each.reason, each.to_do)
        elif each.kind is Drift.DIFFERS and each.card_ms < 0:
            shown += 1
            yield Finding(Kind.OVER_REPORTED, each.key, -each.card_ms, Sure.CERTAIN, each.reason, each.to_do)
        elif each.kind is Drift.SUSPENDED:
            shown += 1
            name = each.key or each.record
            yield Finding(Kind.GHOST, name, abs(each.card_ms), Sure.LIKELY, each.reason, each.to_do)
    if day.reported_card_ms is None:
        return
    more = day.booked_card_ms - day.reported_card_ms
    if more > day.cards * DAY_MS * bounds.drift_ppm // 10**6:
        evidence = (
            f"the ledger booked {day.booked_card_ms} card-ms of the day,"
            f" the agent saw {day.reported_card_ms} held"
        )
        to_do = "look at the jobs of the day with `hutong reconcile`, and at how long the agent was away"
        yield Finding(Kind.OVER_REPORTED, "samples", more, Sure.LIKELY, evidence, to_do)
