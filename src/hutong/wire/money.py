"""Awards, vouchers, balances, bills, ledger checks: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Money, Shape, Slug, Time, Ulid
from hutong.wire.budgets import Budget
from hutong.wire.commitments import Commitment


class NewAward(Shape):
    """Money given to a project for a time."""

    amount: Money
    starts: Time
    ends: Time


class NewVoucherLot(Shape):
    """A subsidy: pays `rate_percent` of each charge until its face value is used."""

    face: Money
    rate_percent: Annotated[int, Field(ge=1, le=100)]
    starts: Time
    ends: Time


class NewTopup(Shape):
    """Money that was paid in advance; `reference` of the bank's transfer is booked once."""

    amount: Money
    reference: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[!-~]+( [!-~]+)*$")]


class Lot(Shape):
    """One source of money with its balance."""

    id: str
    project: Slug
    kind: Literal["award", "voucher", "topup"]
    rate_percent: str
    starts: Time
    ends: Time
    posted: Money
    held: Money
    available: Money


class Balance(Shape):
    """The four numbers of a project, and the lots behind them.

    `settled` was used and paid; `in_flight` is used and not yet settled (an estimate by the clock);
    `committed` is held for work that was placed; `available` can still be held. `overrun` was used beyond the
    project's money and is owed: nothing new is placed until it is paid back. `budgets` are the project's own
    that have not ended; `commitments` those that its use draws on this month, at most 50.
    """

    project: Slug
    settled: Money
    in_flight: Money
    committed: Money
    available: Money
    overrun: Money
    lots: tuple[Lot, ...]
    budgets: tuple[Budget, ...] = ()
    commitments: tuple[Commitment, ...] = ()


class BillLine(Shape):
    """Use of one thing by one attempt or request: quantity x price = amount."""

    subject: str
    site: str
    sku: str
    unit: Literal["card-hour", "unused card-hour", "GB-day", "request", "1000 tokens in", "1000 tokens out"]
    quantity: str
    price: Money
    amount: Money
    start: Time
    end: Time


class Paid(Shape):
    """What one lot paid of a bill; `waived` and `refunded` are what the platform bears."""

    lot: str
    kind: Literal["award", "voucher", "topup", "overrun", "waived", "refunded"]
    amount: Money


class PetaHours(Shape):
    """Card-hours seen as P-hours: a view with the factor used, never a record."""

    accelerator: str
    card_hours: str
    factor_p_per_card: str
    p_hours: str
    precision: str
    basis: str
    source: str
    dated: str


class EnergyShare(Shape):
    """Energy of the work by the hour. `method` says whether it was measured or modelled, and how."""

    kwh: str
    green_kwh: str
    green_percent: str
    co2e_g: str
    method: str


class LedgerEntry(Shape):
    """One leg of a transaction behind a bill."""

    txn: str
    account: str
    amount: Money


class Bill(Shape):
    """What work cost, who paid, and the entries that prove it: `entries_sum` is zero."""

    project: Slug
    job: Ulid | None
    final: bool
    lines: tuple[BillLine, ...]
    total: Money
    paid: tuple[Paid, ...]
    peta_hours: tuple[PetaHours, ...]
    energy: EnergyShare
    entries: tuple[LedgerEntry, ...]
    entries_sum: Money
    truncated: bool = False


class LedgerReport(Shape):
    """What a full check of the ledger found."""

    ok: bool
    txns: int
    entries: int
    usage: int
    faults: tuple[str, ...]
