"""Money as the book keeps it: lots, balanced transactions, holds and usage records. All in micro-yuan."""

from dataclasses import dataclass, field
from enum import StrEnum

from hutong.core.kernel.ids import AttemptKey, LotId, ProjectId

ISSUED = "issued"
REVENUE = "revenue"
WAIVED = "waived"
REFUNDED = "refunded"
EXPIRED = "expired"
PAID_OUT = "paid_out"
RECLAIMED = "reclaimed"
"""What was given and taken back unused."""
RERATING = "rerating"
"""The kind of transaction that moves use of a period from the price of its start to another one."""
UNFORGIVEN = "unforgiven"
"""The kind of transaction that moves what a rerating forgave of a debt to others, who paid for the month."""
OVERRUN = "overrun:"
SETTLEMENT = "settlement:"


def lot_account(lot: LotId) -> str:
    """The ledger account of a lot: one account for each source of money."""
    return f"lot:{lot}"


def overrun_account(project: ProjectId) -> str:
    """The receivable of a project whose use went beyond its money: use is always booked.

    Its balance, the other way round, is what the project owes; it never goes above zero.
    """
    return f"{OVERRUN}{project}"


def settlement_account(site: str) -> str:
    """What the platform owes a centre for work that ran there: its share of the revenue."""
    return f"{SETTLEMENT}{site}"


class LotKind(StrEnum):
    """Where a lot's money comes from."""

    AWARD = "award"
    VOUCHER = "voucher"
    TOPUP = "topup"


@dataclass(frozen=True, slots=True)
class Lot:
    """One source of money of a project, with its balance.

    `rate_ppm` is the share of a charge that the lot may pay (a voucher: below one million).
    The lot may be held against in `[starts, ends)`. Invariant L4: posted - held >= 0. `clawed`: it was
    claimed back, and what is left of it or comes back to it returns to `issued`.
    """

    id: LotId
    project: ProjectId
    kind: LotKind
    rate_ppm: int
    starts_ms: int
    ends_ms: int
    posted_micro: int = 0
    held_micro: int = 0
    clawed: bool = False

    @property
    def available_micro(self) -> int:
        """What can still be held."""
        return self.posted_micro - self.held_micro


@dataclass(frozen=True, slots=True)
class Entry:
    """One leg of a transaction. A positive amount adds to the account."""

    account: str
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Txn:
    """A balanced transaction. `id` is made from its cause, so that a repeat is the same transaction (L3).

    `kind` is `award`, `voucher`, `usage`, `tokens`, `repayment`, `waiver`, `refund`, `reversal`, `expiry`,
    `clawback`, `claw_back`, `reclaim`, `settlement`, `payout`, `rerating` or
    `unforgiven`; `cause` names what it is for.
    `reverses` names the transaction of which this gives back what lies between `reverses_from` and more of
    its amount (L8): the store sees to it that nothing is given back twice. `site` is where the work ran that
    a charge is for. `period` is where the store booked it (L9): the one of `effective_ms`, or the first open
    one where that is closed.
    """

    id: str
    kind: str
    project: ProjectId
    effective_ms: int
    cause: str
    entries: tuple[Entry, ...]
    reverses: str = ""
    reverses_from: int = 0
    reason: str = ""
    site: str = ""
    period: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class HoldPart:
    """An amount held on one lot. In a change it may be negative: that much is let go."""

    lot: LotId
    amount_micro: int


@dataclass(frozen=True, slots=True)
class HoldChange:
    """A change of the hold named `key`: parts are added to what it has; `closes` ends it.

    When it closes, the parts must bring every lot of the hold to zero. A closed hold never opens again (L5).
    """

    key: str
    project: ProjectId
    parts: tuple[HoldPart, ...]
    closes: bool = False


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """What was used, rated and accounted for in `[from, upto)`: increments, immutable (L2).

    `unit` is `card_ms`, `token_in`, `token_out`, `service_request`, `byte_hour` (no site) or `unused_ms`
    (what was committed to and not used); the price is micro-yuan for `per` units. A correction is a record
    that `reverses` an earlier one, all its amounts negative, and one with the next `revision`: so sums over
    records are right without anybody knowing of corrections. `person` is whose work it was, where known.
    """

    id: str
    project: ProjectId
    key: AttemptKey | str
    site: str
    sku: str
    unit: str
    quantity: int
    price_micro: int
    per: int
    charge_micro: int
    from_ms: int
    upto_ms: int
    energy_j: int = 0
    green_j: int = 0
    co2_mg: int = 0
    method: str = ""
    revision: int = 1
    reverses: str = ""
    person: str = ""


TOKEN_UNITS = frozenset({"token_in", "token_out"})
REQUEST = "service_request"
"""The unit of a request that a deployment answered, where it has a price; it is charged with its tokens."""
MOVED_TO, MOVED_FROM = "moved to this price", "moved from this price"
"""How a record of a rerating was made: use that came to its price, and use that left it."""
COMMITTED, TIERED = "commitment:", "tiers:"
"""How the subjects of rerated use begin: what a commitment or the tiers of a price changed in a period."""


def charging_txn(record: UsageRecord) -> str:
    """Return the id of the transaction that booked a usage record; there is none if it cost nothing."""
    if record.key.startswith((COMMITTED, TIERED)):
        return record.id.rpartition("#")[0]
    of_request = record.unit in TOKEN_UNITS or record.unit == REQUEST
    return f"tokens:{record.key}" if of_request and record.revision == 1 else record.id


@dataclass(frozen=True, slots=True)
class Waiver:
    """That a site broke an attempt: what it was charged for use after `from_ms` is to be given back."""

    key: AttemptKey
    project: ProjectId
    from_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Turn:
    """How often money of a project was given back or rerated, when something was worked out from the book.

    What was worked out in one turn is booked in that turn or not at all: two that give back the same money,
    by a refund and by the closing of its month, know of each other.
    """

    project: ProjectId
    number: int


@dataclass(frozen=True, slots=True)
class Posting:
    """All that one ledger event changes, together or not at all."""

    txns: tuple[Txn, ...] = ()
    holds: tuple[HoldChange, ...] = ()
    usage: tuple[UsageRecord, ...] = ()
