"""Storage by the day: how many byte-hours a project kept, and what they cost by the month's running total."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hutong.core.book.money import Lot, Posting, Txn, UsageRecord, lot_account
from hutong.core.book.prices import Price
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.kernel.rating import rate
from hutong.core.ledger.funding import settle
from hutong.core.ledger.prices import in_tiers

UNIT = "byte_hour"
SKU = "models"


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes that are kept since a moment, UTC ms; the same content is kept once however often it is named."""

    digest: str
    size_bytes: int
    since_ms: int


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the operator's zone as two instants; `id` is like 2027-03-01, its month 2027-03."""

    id: str
    from_ms: int
    upto_ms: int

    def key(self, project: str) -> str:
        """Return the subject of a project's use in the month of the day."""
        return f"storage:{project}:{self.id[:7]}"


def byte_hours(kept: Iterable[Kept], day: Day) -> int:
    """Return the byte-hours of a day, rounded down once; each content counts from when it first came."""
    first: dict[str, Kept] = {}
    for each in kept:
        known = first.get(each.digest)
        if known is None or each.since_ms < known.since_ms:
            first[each.digest] = each
    spent = (
        each.size_bytes * max(0, day.upto_ms - max(day.from_ms, each.since_ms)) for each in first.values()
    )
    return sum(spent) // HOUR_MS


def book_day(
    project: ProjectId,
    day: Day,
    quantity: int,
    price: Price,
    before: Sequence[UsageRecord],
    lots: Sequence[Lot],
    now_ms: int,
) -> Posting:
    """Return what books a day's byte-hours of a project at a price; `before` are the month's records.

    The use of the month decides the tier, and each price rates its own running total, so that what is booked
    adds up to what one record of the whole month would cost. What no lot can pay, the project owes (L5).
    """
    total = sum(each.quantity for each in before)
    key = day.key(project)
    upto_ms = day.upto_ms - 1  # its last moment, so that the last day of a month is booked in that month
    txns: list[Txn] = []
    records: list[UsageRecord] = []
    tiers = zip(in_tiers(price, total), in_tiers(price, total + quantity), strict=True)
    for at, ((micro, had), (_, has)) in enumerate(tiers):
        if has == had:
            continue
        rated = sum(each.quantity for each in before if (each.price_micro, each.per) == (micro, price.per))
        charge = rate(rated + has - had, micro, price.per) - rate(rated, micro, price.per)
        name = f"storage:{project}:{day.id}:{at:02}"
        records.append(
            UsageRecord(
                id=name,
                project=project,
                key=key,
                site="",
                sku=SKU,
                unit=UNIT,
                quantity=has - had,
                price_micro=micro,
                per=price.per,
                charge_micro=charge,
                from_ms=day.from_ms,
                upto_ms=upto_ms,
                method="sizes of the models that were kept",
            )
        )
        legs = settle((), lots, project, 0, charge, now_ms, final=True).entries
        if legs:
            txns.append(Txn(name, "usage", project, upto_ms, key, legs))
            drawn = {leg.account: leg.amount_micro for leg in legs}
            lots = [_after(lot, drawn) for lot in lots]
    return Posting(tuple(txns), usage=tuple(records))


def _after(lot: Lot, drawn: dict[str, int]) -> Lot:
    return replace(lot, posted_micro=lot.posted_micro + drawn.get(lot_account(LotId(lot.id)), 0))
