"""Contracts, vouchers under a programme's rules, and claims on them: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from hutong.wire.base import FieldProblem, Money, Shape, Slug, Time
from hutong.wire.subsidies import Day, Side, Word

Short = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Standing(Shape):
    """What programmes ask of an institution: related parties, and the day of an entry of bad credit."""

    related: Annotated[tuple[Short, ...], Field(max_length=100)] = ()
    bad_credit: Day | None = None


class InstitutionStanding(Standing):
    """The standing of one institution."""

    institution: Slug


class Capacity(Shape):
    """Computing power as a contract states it: P of one precision, with at most three decimals."""

    petaflops: Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})?$", examples=["2500"])]
    precision: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,9}$", examples=["FP16"])]
    sparse: bool = False


class NewContract(Shape):
    """A contract: `project` of the demander spends at `sites` of the provider in `[starts, ends)`.

    `provider` is an institution's id, or a name where the provider is none of the platform's institutions.
    """

    id: Slug
    number: Short
    project: Slug
    provider: Short
    sites: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=100)]
    amount: Money
    signed: Time
    starts: Time
    ends: Time
    capacity: Capacity | None = None
    subsidised_by: Annotated[tuple[Short, ...], Field(max_length=20)] = ()


class Contract(NewContract):
    """A contract as entered, with the institution that spends."""

    demander: Slug


class NewVoucher(Shape):
    """A voucher of a programme, for a project. Without `face`: as much as rates and caps leave.

    With `contract` it is bound at once.
    """

    programme: Slug
    project: Slug
    claimant: Side = "demander"
    face: Money | None = None
    contract: Slug | None = None


class Refusal(FieldProblem):
    """A clause that stands against something, such as `beijing-2023/cap-per-year`."""

    clause: str


class Verdict(Shape):
    """Whether a voucher may be issued: every clause against it, and the most that rates and caps leave."""

    allowed: bool
    refusals: tuple[Refusal, ...]
    at_most: Money
    bound: str


class Voucher(Shape):
    """A voucher: `face` is the most it pays, `left` what can still be claimed."""

    id: str
    programme: Slug
    rules: str
    institution: Slug
    project: Slug
    claimant: Side
    state: Literal["issued", "bound", "expired", "clawed_back"]
    rate_percent: str
    year: int
    issued: Time
    expires: Time | None
    contract: str
    lot: str
    face: Money
    reserved: Money
    redeemed: Money
    clawed_back: Money
    left: Money
    reason: str = ""


class Bind(Shape):
    """The contract that a voucher is bound to."""

    contract: Slug


class Why(Shape):
    """Why something is taken back or refused."""

    reason: Reason


class NewClaim(Shape):
    """A claim for what was settled in `[start, end)`; `evidence` names a number or a digest for each item."""

    start: Time
    end: Time
    evidence: Annotated[dict[Word, Short], Field(max_length=20)]


class ClaimLine(Shape):
    """What a claim gets for one settled line."""

    spend: str
    charge: Money
    amount: Money


class LeftOut(Shape):
    """A settled line that a claim cannot have, and the clause that says so."""

    spend: str
    clause: str
    message: str


class Redeemable(Shape):
    """What a claim would pay, line by line; `bound` is the clause that keeps the amount down, or empty."""

    allowed: bool
    refusals: tuple[Refusal, ...]
    amount: Money
    bound: str
    lines: tuple[ClaimLine, ...]
    left_out: tuple[LeftOut, ...]


class ClaimSummary(Shape):
    """A claim without its lines."""

    id: str
    voucher: str
    programme: Slug
    project: Slug
    state: Literal["reserved", "paying", "redeemed", "refused", "clawed_back"]
    by: str
    made: Time
    start: Time
    end: Time
    amount: Money
    bound: str
    evidence: dict[str, str]
    payment: str
    decided_by: str
    reason: str = ""


class Claim(ClaimSummary):
    """A claim with its lines."""

    lines: tuple[ClaimLine, ...]


class Redeem(Shape):
    """How a claim is paid: to the project's balance, or outside under a payment's `reference`."""

    to: Literal["balance", "outside"] = "balance"
    reference: Annotated[str, Field(max_length=200)] = ""
