"""The bill: use line by line, who paid, energy, P-hours, and the entries that prove it: all views."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hutong.core.book.money import REVENUE, Entry, Lot, Txn, UsageRecord, lot_account
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.capacity.figures import Figure
from hutong.core.kernel.rating import CARD_HOUR_MS

# giga-operations a second x milliseconds in one P-hour: 10^15 op/s for an hour
_GOPS_MS_PER_P_HOUR = 10**6 * CARD_HOUR_MS


@dataclass(frozen=True, slots=True)
class Line:
    """Use of one thing by one subject at one price: the sum of its records."""

    subject: str
    site: str
    sku: str
    unit: str
    quantity: int
    price_micro: int
    per: int
    charge_micro: int
    from_ms: int
    upto_ms: int


@dataclass(frozen=True, slots=True)
class Paid:
    """What one source paid: a lot's id, `overrun` for what no lot could pay, `waived` or `refunded`."""

    source: str
    kind: str
    amount_micro: int


@dataclass(frozen=True, slots=True)
class PetaTime:
    """Card time of one model as P-hours, in thousandths, with the figure used; None if it has none."""

    accelerator: str
    card_ms: int
    figure: Figure | None

    @property
    def milli_p_hours(self) -> int:
        """Thousandths of a P-hour, rounded down; 0 without a figure."""
        return self.card_ms * self.figure.gops * 1000 // _GOPS_MS_PER_P_HOUR if self.figure else 0


@dataclass(frozen=True, slots=True)
class Bill:
    """All that a bill says. `entries_sum_micro` is zero or the ledger is broken."""

    lines: tuple[Line, ...]
    total_micro: int
    paid: tuple[Paid, ...]
    peta: tuple[PetaTime, ...]
    energy_j: int
    green_j: int
    co2_mg: int
    methods: tuple[str, ...]
    entries: tuple[tuple[str, Entry], ...]
    entries_sum_micro: int


def make_bill(usage: Sequence[UsageRecord], txns: Sequence[Txn], lots: Iterable[Lot]) -> Bill:
    """Return the bill of some usage records and of the transactions they caused."""
    entries = tuple((txn.id, entry) for txn in txns for entry in txn.entries)
    return Bill(
        lines=_lines(usage),
        total_micro=sum(record.charge_micro for record in usage),
        paid=_paid(entries, {lot_account(lot.id): lot for lot in lots}),
        peta=_peta(usage),
        energy_j=sum(record.energy_j for record in usage),
        green_j=sum(record.green_j for record in usage),
        co2_mg=sum(record.co2_mg for record in usage),
        methods=tuple(sorted({record.method for record in usage if record.method})),
        entries=entries,
        entries_sum_micro=sum(entry.amount_micro for _, entry in entries),
    )


def _lines(usage: Sequence[UsageRecord]) -> tuple[Line, ...]:
    groups: dict[tuple[str, str, str, str, int], list[UsageRecord]] = {}
    for record in usage:
        name = (record.key, record.site, record.sku, record.unit, record.price_micro)
        groups.setdefault(name, []).append(record)
    return tuple(
        Line(
            subject=group[0].key,
            site=group[0].site,
            sku=group[0].sku,
            unit=group[0].unit,
            quantity=sum(record.quantity for record in group),
            price_micro=group[0].price_micro,
            per=group[0].per,
            charge_micro=sum(record.charge_micro for record in group),
            from_ms=min(record.from_ms for record in group),
            upto_ms=max(record.upto_ms for record in group),
        )
        for group in groups.values()
    )


def _paid(entries: Iterable[tuple[str, Entry]], lots: Mapping[str, Lot]) -> tuple[Paid, ...]:
    sums: dict[str, int] = {}
    for _, entry in entries:
        if entry.account != REVENUE:
            sums[entry.account] = sums.get(entry.account, 0) - entry.amount_micro
    paid = []
    for account, amount in sums.items():
        if not amount:
            continue  # all of it was given back
        lot = lots.get(account)
        kind = lot.kind.value if lot else account.split(":")[0]
        paid.append(Paid(lot.id if lot else account, kind, amount))
    return tuple(paid)


def _peta(usage: Sequence[UsageRecord]) -> tuple[PetaTime, ...]:
    sums: dict[str, int] = {}
    for record in usage:
        if record.unit == "card_ms":
            sums[record.sku] = sums.get(record.sku, 0) + record.quantity
    return tuple(
        PetaTime(sku, card_ms, ACCELERATORS[sku].fp16 if sku in ACCELERATORS else None)
        for sku, card_ms in sums.items()
    )
