"""A subsidy programme as data: its clauses, each with where it stands and how sure we are of it.

What a programme does not say is None (no such rule). The years of its caps are calendar years at a fixed
offset from UTC: China has had no other since 1991.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from hutong.core.accounts.registry import InstitutionKind
from hutong.core.kernel.money import MICRO

PPM = 1_000_000


class Status(StrEnum):
    """How a clause came into the file."""

    QUOTED = "quoted"  # the source says it
    INTERPRETED = "interpreted"  # our reading where the source leaves room
    UNKNOWN = "unknown"  # the source that we have does not say: there is no such rule here
    ASSUMED = "assumed"  # set by whoever runs the platform


class Name(StrEnum):
    """The clauses there are. A clause's id is `<programme>/<name>`, such as `beijing-2023/cap-per-year`."""

    CLAIMANT = "claimant"
    KIND = "applicant-kind"
    CREDIT = "clean-credit"
    SIGNED = "contract-signed"
    TERM = "contract-term"
    UNRELATED = "unrelated-provider"
    THRESHOLD = "threshold"
    ONE = "one-per-contract"
    RATE = "rate"
    CAP_VOUCHER = "cap-per-voucher"
    CAP_YEAR = "cap-per-year"
    POOL = "pool-per-year"
    LINES = "eligible-lines"
    SETTLED = "after-settlement"
    EVIDENCE = "evidence"
    DOUBLE = "no-double-subsidy"
    EXPIRY = "redeem-by"
    FACE = "face"  # of every programme: a voucher pays no more than its face


class Pays(StrEnum):
    """When a programme pays: its share of each charge as it is made, or back after settlement."""

    CHARGE = "charge"
    CLAIM = "claim"


class Counts(StrEnum):
    """What counts against the caps of a year: faces in the year of issue, claims in the year of each."""

    ISSUE = "issue"
    CLAIM = "claim"


class Party(StrEnum):
    """The two sides of a contract."""

    DEMANDER = "demander"
    SUPPLIER = "supplier"


@dataclass(frozen=True, slots=True)
class Clause:
    """What a clause says, in a sentence, and where that comes from (an address, with its date)."""

    name: Name
    about: str
    status: Status
    source: str = ""
    dated: str = ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The least computing power of a contract, in thousandths of a P of one precision."""

    least_milli_p: int
    precision: str
    sparse: bool = False

    def __str__(self) -> str:
        whole, part = divmod(self.least_milli_p, 1000)
        figure = f"{whole}.{part:03d}".rstrip("0").rstrip(".")
        return f"{figure} P of {self.precision} {'sparse' if self.sparse else 'dense'}"


@dataclass(frozen=True, slots=True)
class Programme:
    """A programme. Rates are parts per million by kind of institution, amounts micro-yuan.

    `signed_from_ms` and `signed_until_ms` bound when a contract may be signed, `[from, until)`.
    `other_rate_ppm` is the rate of kinds that `rates` does not name; `kinds`, where it says, are all that may
    apply.
    """

    id: str
    name_zh: str
    name_en: str
    zone: str
    offset_ms: int
    pays: Pays
    clauses: tuple[Clause, ...]
    claimants: tuple[Party, ...]
    rates: tuple[tuple[InstitutionKind, int], ...]
    other_rate_ppm: int = 0
    kinds: tuple[InstitutionKind, ...] | None = None
    signed_from_ms: int | None = None
    signed_until_ms: int | None = None
    term_months: int | None = None
    unrelated: bool = False
    clean_credit_years: int | None = None
    threshold: Threshold | None = None
    one_per_contract: bool = False
    cap_voucher_micro: int | None = None
    cap_year_micro: int | None = None
    pool_year_micro: int | None = None
    counts: tuple[Counts, ...] = (Counts.ISSUE,)
    lines: tuple[str, ...] | None = None
    evidence: tuple[str, ...] = ()
    no_double: bool = False
    redeem_days: int | None = None

    def clause(self, name: Name) -> str:
        """Return the id of a clause."""
        return f"{self.id}/{name.value}"

    def said(self, name: Name) -> Clause | None:
        """Return what the programme says in a clause."""
        return next((each for each in self.clauses if each.name is name), None)

    def rate_ppm(self, kind: InstitutionKind) -> int:
        """Return the share that it pays of an institution's cost; 0 for a kind that may not apply."""
        if self.kinds is not None and kind not in self.kinds:
            return 0
        return dict(self.rates).get(kind, self.other_rate_ppm)

    def year(self, at_ms: int) -> int:
        """Return the calendar year of a moment, where the programme is."""
        return self._local(at_ms).year

    def month(self, at_ms: int) -> int:
        """Return the calendar month of a moment as a count since year 0."""
        local = self._local(at_ms)
        return local.year * 12 + local.month - 1

    def day(self, at_ms: int) -> str:
        """Return the day of a moment, such as `2024-12-31`, where the programme is."""
        return self._local(at_ms).date().isoformat()

    def months_after(self, at_ms: int, months: int) -> int:
        """Return the same day and time so many months later (the month's last day where it has no such)."""
        local = self._local(at_ms)
        month = local.year * 12 + local.month - 1 + months
        year, month0 = divmod(month, 12)
        for day in range(local.day, local.day - 4, -1):
            try:
                there = local.replace(year=year, month=month0 + 1, day=day)
            except ValueError:
                continue
            return int(there.timestamp()) * 1000 + at_ms % 1000 - self.offset_ms
        raise AssertionError

    def _local(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp((at_ms + self.offset_ms) // 1000, UTC)


def share(amount_micro: int, rate_ppm: int) -> int:
    """Return a share of an amount in micro-yuan, rounded down: a subsidy never pays more than its rate."""
    return max(0, amount_micro) * rate_ppm // PPM


def yuan(amount_micro: int) -> str:
    """Return an amount as messages write it: whole yuan where it is, else with its fen, rounded down."""
    whole, rest = divmod(amount_micro, MICRO)
    return f"{whole:,} yuan" if not rest else f"{whole:,}.{rest // 10_000:02d} yuan"


def bounds(programme: Programme) -> Iterator[tuple[Name, int]]:
    """Yield the caps that a programme has, with their amounts."""
    for name, amount in (
        (Name.CAP_VOUCHER, programme.cap_voucher_micro),
        (Name.CAP_YEAR, programme.cap_year_micro),
        (Name.POOL, programme.pool_year_micro),
    ):
        if amount is not None:
            yield name, amount
