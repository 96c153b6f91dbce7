"""Subsidy programmes, as in `policies/subsidies`, and what other rules would have paid: JSON shapes."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from hutong.wire.base import Money, Shape, Slug, Time

Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Day = Annotated[
    str,
    BeforeValidator(lambda value: value.isoformat() if isinstance(value, date) else value),
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", examples=["2023-09-01"]),
]
Kind = Literal["university", "research", "sme", "startup", "enterprise", "government", "operator"]
Side = Literal["demander", "supplier"]
Yuan = Annotated[int, Field(strict=True, ge=1, le=10**12)]
Percent = Annotated[int, Field(strict=True, ge=1, le=100)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class Source(Shape):
    """Where a clause stands."""

    address: Annotated[str, Field(pattern=r"^https?://[^ ]+$", max_length=500)]
    dated: Annotated[str, Field(min_length=1, max_length=40)]


class Clause(Shape):
    """One clause. `unknown`: the source does not say, and there is no such rule; then it says nothing else.

    `quoted`: the source says so; `interpreted`: our reading; `assumed`: set by who runs the platform.
    """

    status: Literal["quoted", "interpreted", "unknown", "assumed"]
    about: Text
    source: Source | None = None


class Claimants(Clause):
    """Which side of a contract may claim."""

    parties: Annotated[tuple[Side, ...], Field(max_length=2)] = ()


class Kinds(Clause):
    """Which kinds of institution may apply."""

    kinds: Annotated[tuple[Kind, ...], Field(max_length=7)] = ()


class Credit(Clause):
    """For how many years there must be no entry of bad credit."""

    years: Annotated[int, Field(strict=True, ge=1, le=50)] | None = None


class Signed(Clause):
    """When the contract is signed: on or after `from`, before `until`; days of the programme's zone."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    from_: Annotated[Day | None, Field(alias="from")] = None
    until: Day | None = None


class Term(Clause):
    """How many months a contract may run."""

    months: Annotated[int, Field(strict=True, ge=1, le=600)] | None = None


class SubsidyThreshold(Clause):
    """The least computing power of a contract, in P of one precision."""

    petaflops: Annotated[int, Field(strict=True, ge=1, le=10**9)] | None = None
    precision: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,9}$")] | None = None
    sparse: Annotated[bool, Field(strict=True)] | None = None


class Rate(Clause):
    """The share that is paid, in percent; `by_kind` for kinds of institution that get another."""

    percent: Percent | None = None
    by_kind: Annotated[dict[Kind, Percent], Field(default_factory=dict)]


class Cap(Clause):
    """The most that is paid, in whole yuan."""

    yuan: Yuan | None = None


class YearCap(Cap):
    """The most for an institution (or, of a pool, in all) in a calendar year.

    `counts` says what: faces of vouchers in the year of `issue`, claims in the year of each `claim`, or both.
    """

    counts: Annotated[tuple[Literal["issue", "claim"], ...], Field(max_length=2)] = ()


class Lines(Clause):
    """What is paid for: `compute`, and other lines of a bill."""

    lines: Annotated[tuple[Word, ...], Field(max_length=20)] = ()


class Evidence(Clause):
    """What must be shown with a claim."""

    items: Annotated[tuple[Word, ...], Field(max_length=20)] = ()


class Deadline(Clause):
    """How many days after the end of its contract a voucher can be redeemed."""

    days: Annotated[int, Field(strict=True, ge=0, le=3660)] | None = None


class Clauses(Shape):
    """All clauses there are: a programme says of each what holds, or that nothing is known."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    claimant: Claimants
    applicant_kind: Annotated[Kinds, Field(alias="applicant-kind")]
    clean_credit: Annotated[Credit, Field(alias="clean-credit")]
    contract_signed: Annotated[Signed, Field(alias="contract-signed")]
    contract_term: Annotated[Term, Field(alias="contract-term")]
    unrelated_provider: Annotated[Clause, Field(alias="unrelated-provider")]
    threshold: SubsidyThreshold
    one_per_contract: Annotated[Clause, Field(alias="one-per-contract")]
    rate: Rate
    cap_per_voucher: Annotated[Cap, Field(alias="cap-per-voucher")]
    cap_per_year: Annotated[YearCap, Field(alias="cap-per-year")]
    pool_per_year: Annotated[Cap, Field(alias="pool-per-year")]
    eligible_lines: Annotated[Lines, Field(alias="eligible-lines")]
    evidence: Evidence
    no_double_subsidy: Annotated[Clause, Field(alias="no-double-subsidy")]
    redeem_by: Annotated[Deadline, Field(alias="redeem-by")]


class Names(Shape):
    """A name in both languages."""

    zh: Text
    en: Text


class SubsidyProgramme(Shape):
    """A subsidy programme: one file of `policies/subsidies`.

    `pays: claim` pays back after settlement; `pays: charge` pays its share of each charge as it is made.
    """

    id: Slug
    name: Names
    zone: Annotated[str, Field(min_length=1, max_length=60)]
    pays: Literal["claim", "charge"]
    clauses: Clauses


class ComparedUse(Shape):
    """What an institution was charged in a month, summed: for what-if with use that is not in the book."""

    institution: Annotated[str, Field(min_length=1, max_length=100)]
    kind: Kind
    contract: Annotated[str, Field(max_length=100)] = ""
    provider: Annotated[str, Field(max_length=100)] = ""
    line: Word = "compute"
    related: bool = False
    charge: Money
    at: Time


class Compare(Shape):
    """Two sets of rules, and the use to replay: `use`, or without it the book's in `[start, end)`."""

    programme: SubsidyProgramme
    changed: SubsidyProgramme
    start: Time | None = None
    end: Time | None = None
    use: Annotated[tuple[ComparedUse, ...], Field(max_length=4000)] | None = None


class YearPaid(Shape):
    """What a programme pays in a calendar year."""

    year: int
    paid: Money


class KeptBack(Shape):
    """What a clause keeps back: of a cap and of lines, what would be paid; of a kind, what it was charged."""

    clause: str
    amount: Money


class SubsidyBudget(Shape):
    """What a set of rules pays for some use."""

    paid: Money
    years: tuple[YearPaid, ...]
    kept_back: tuple[KeptBack, ...]


class Gain(Shape):
    """What an institution gets under either set of rules; `gain` is negative for who loses."""

    institution: str
    kind: Kind
    before: Money
    after: Money
    gain: Money


class SubsidyComparison(Shape):
    """What changed rules would have paid: those who gain most first, those who lose most last.

    `changes` shows at most 1,000 institutions, from both ends; `institutions` counts all.
    """

    before: SubsidyBudget
    after: SubsidyBudget
    institutions: int
    gainers: int
    losers: int
    changes: tuple[Gain, ...]
