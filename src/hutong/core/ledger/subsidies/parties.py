"""Who and what a programme judges: applicants, contracts, settled spends, vouchers, claims, tallies."""

from dataclasses import dataclass
from enum import StrEnum

from hutong.core.accounts.registry import InstitutionKind
from hutong.core.ledger.subsidies.programme import Party


@dataclass(frozen=True, slots=True)
class Applicant:
    """An institution as a programme sees it.

    `related` are the institutions, by id or by name, that own it, that it owns, or that share an owner with
    it. `bad_credit_ms` is when it was last entered with bad credit; None if it never was.
    """

    id: str
    kind: InstitutionKind
    related: tuple[str, ...] = ()
    bad_credit_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """Computing power as a contract states it: thousandths of a P, with what makes it comparable."""

    milli_p: int
    precision: str
    sparse: bool = False


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract for computing between a demander (whose project spends) and a provider.

    It covers `[starts_ms, ends_ms)` at the provider's `sites`. `subsidised_by` names other subsidies that
    the applicant declares for what it costs.
    """

    id: str
    number: str
    project: str
    demander: str
    provider: str
    sites: tuple[str, ...]
    amount_micro: int
    signed_ms: int
    starts_ms: int
    ends_ms: int
    capacity: Capacity | None = None
    subsidised_by: tuple[str, ...] = ()
    made_ms: int = 0


@dataclass(frozen=True, slots=True)
class Spend:
    """A settled line: one record of use as it was charged. `line` is what was bought (`compute`).

    `subsidised` is true if a voucher paid a part of it as it was charged; `claim` is who claimed it before.
    """

    id: str
    site: str
    line: str
    charge_micro: int
    from_ms: int
    upto_ms: int
    subsidised: bool = False
    claim: str = ""


class VoucherState(StrEnum):
    """Where a voucher is in its life; redeeming happens claim by claim while it is bound."""

    ISSUED = "issued"
    BOUND = "bound"
    EXPIRED = "expired"
    CLAWED_BACK = "clawed_back"


class ClaimState(StrEnum):
    """Where a claim is in its life: `paying` is decided, and not yet on the balance."""

    RESERVED = "reserved"
    PAYING = "paying"
    REDEEMED = "redeemed"
    REFUSED = "refused"
    CLAWED_BACK = "clawed_back"


@dataclass(frozen=True, slots=True)
class Voucher:
    """A promise of at most `face_micro` under the rules as they were when it was issued (`rules`: a digest).

    `project` is whose it is, `year` that of its issue, `asked` a digest of the request. `reserved_micro` is
    in claims that are not decided, `redeemed_micro` is paid. `lot` pays its share of each charge, under a
    programme that does; `lot_open` once it is there.
    """

    id: str
    programme: str
    rules: str
    institution: str
    project: str
    claimant: Party
    rate_ppm: int
    face_micro: int
    issued_ms: int
    year: int
    state: VoucherState = VoucherState.ISSUED
    contract: str = ""
    lot: str = ""
    lot_open: bool = False
    expires_ms: int | None = None
    reserved_micro: int = 0
    redeemed_micro: int = 0
    clawed_micro: int = 0
    reason: str = ""
    asked: str = ""

    @property
    def left_micro(self) -> int:
        """What can still be claimed."""
        return self.face_micro - self.reserved_micro - self.redeemed_micro


@dataclass(frozen=True, slots=True)
class ClaimLine:
    """What a claim asks for one spend."""

    spend: str
    charge_micro: int
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim on a voucher for spends of `[from_ms, upto_ms)`, with references to its evidence by name.

    `bound` is the clause that kept the amount down, or empty. `payment` says how it was paid: `lot:` and a
    lot's id, or the reference of a payment outside the platform. `asked` is a digest of the request.
    """

    id: str
    voucher: str
    programme: str
    project: str
    by: str
    made_ms: int
    year: int
    from_ms: int
    upto_ms: int
    amount_micro: int
    bound: str
    lines: tuple[ClaimLine, ...]
    evidence: tuple[tuple[str, str], ...]
    state: ClaimState = ClaimState.RESERVED
    payment: str = ""
    decided_by: str = ""
    decided_ms: int = 0
    reason: str = ""
    asked: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """What counts against a cap of one year: all of a programme, or one institution's part of it."""

    taken_micro: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """What was taken before from the caps of the year, by the institution and from the pool.

    `holders` are the vouchers that the same programme ever bound to the contract, `held_micro` their faces.
    """

    firm_micro: int = 0
    pool_micro: int = 0
    holders: tuple[str, ...] = ()
    held_micro: int = 0


@dataclass(frozen=True, slots=True)
class Holding:
    """The vouchers that a programme bound to a contract, with the sum of their faces."""

    vouchers: tuple[str, ...] = ()
    face_micro: int = 0
