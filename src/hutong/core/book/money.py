"""Money as the book keeps it: lots, balanced transactions, holds and usage records. All in micro-yuan."""

from dataclasses import dataclass
from enum import StrEnum

from hutong.core.kernel.ids import AttemptKey, LotId, ProjectId

ISSUED = "issued"
REVENUE = "revenue"
WAIVED = "waived"
OVERRUN = "overrun:"


def lot_account(lot: LotId) -> str:
    """The ledger account of a lot: one account for each source of money."""
    return f"lot:{lot}"


def overrun_account(project: ProjectId) -> str:
    """The receivable of a project whose use went beyond its money: use is always booked.

    Its balance, the other way round, is what the project owes; it never goes above zero.
    """
    return f"{OVERRUN}{project}"


class LotKind(StrEnum):
    """Where a lot's money comes from."""

    AWARD = "award"
    VOUCHER = "voucher"
    TOPUP = "topup"


@dataclass(frozen=True, slots=True)
class Lot:
    """One source of money of a project, with its balance.

    `rate_ppm` is the share of a charge that the lot may pay (a voucher: below one million).
    The lot may be held against in `[starts, ends)`. Invariant L4: posted - held >= 0.
    """

    id: LotId
    project: ProjectId
    kind: LotKind
    rate_ppm: int
    starts_ms: int
    ends_ms: int
    posted_micro: int = 0
    held_micro: int = 0

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

    `kind` is `award`, `voucher`, `usage`, `tokens`, `repayment`, `waiver` or `claw_back`; `cause` names
    what it is for.
    """

    id: str
    kind: str
    project: ProjectId
    effective_ms: int
    cause: str
    entries: tuple[Entry, ...]


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

    `unit` is `card_ms`, `token_in` or `token_out`; the price is micro-yuan for `per` units.
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


@dataclass(frozen=True, slots=True)
class Posting:
    """All that one ledger event changes, together or not at all."""

    txns: tuple[Txn, ...] = ()
    holds: tuple[HoldChange, ...] = ()
    usage: tuple[UsageRecord, ...] = ()
