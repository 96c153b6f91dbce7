"""What other rules would have paid: settled use replayed under two programmes, and who gains or loses.

Use is summed by institution, contract and month, so what is kept does not grow with its lines, and their
order is all the same. Months are paid in turn; where a pool cannot pay a month, all of that month's get the
same part of what they are due. Whoever had no contract counts as having one over the whole time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hutong.core.accounts.registry import InstitutionKind
from hutong.core.kernel.money import largest_remainder
from hutong.core.ledger.subsidies.programme import Name, Programme, share


@dataclass(frozen=True, slots=True)
class Used:
    """What an institution was charged for use that ended at a moment, under a contract if it has a name."""

    institution: str
    kind: InstitutionKind
    contract: str
    provider: str
    line: str
    charge_micro: int
    at_ms: int
    related: bool = False


@dataclass(frozen=True, slots=True)
class Paid:
    """What one institution was charged and what a programme pays it, in micro-yuan."""

    institution: str
    kind: InstitutionKind
    charge_micro: int
    eligible_micro: int
    paid_micro: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a programme pays: in all, by year, by institution, and what each clause kept back."""

    paid_micro: int
    by_year: tuple[tuple[int, int], ...]
    institutions: tuple[Paid, ...]
    kept_back: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What an institution gets under either programme."""

    institution: str
    kind: InstitutionKind
    before_micro: int
    after_micro: int

    @property
    def gain_micro(self) -> int:
        """What it gains; negative for who loses."""
        return self.after_micro - self.before_micro


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two outcomes, and every institution of either: who gains most first, who loses most last."""

    before: Outcome
    after: Outcome
    changes: tuple[Change, ...]


@dataclass(slots=True)
class _Firm:
    kind: InstitutionKind
    charge: int = 0
    eligible: int = 0
    paid: int = 0


_Bucket = tuple[int, str, str]  # month, institution, contract


@dataclass(slots=True)
class Replay:
    """One programme over use that is added piece by piece."""

    programme: Programme
    _firms: dict[str, _Firm] = field(default_factory=dict)
    _buckets: dict[_Bucket, int] = field(default_factory=dict)
    _kept_back: dict[str, int] = field(default_factory=dict)

    def add(self, used: Used) -> None:
        """Count what was used, or what clause leaves it out."""
        firm = self._firms.setdefault(used.institution, _Firm(used.kind))
        firm.charge += used.charge_micro
        programme = self.programme
        rate_ppm = programme.rate_ppm(firm.kind)
        if not rate_ppm:
            # what a kind that may not apply is not paid has no rate, so it is told by its cost
            self._keep(Name.KIND, used.charge_micro)
        elif programme.lines is not None and used.line not in programme.lines:
            self._keep(Name.LINES, share(used.charge_micro, rate_ppm))
        elif programme.unrelated and (used.related or used.provider == used.institution):
            self._keep(Name.UNRELATED, share(used.charge_micro, rate_ppm))
        else:
            firm.eligible += used.charge_micro
            name = (programme.month(used.at_ms), used.institution, used.contract)
            self._buckets[name] = self._buckets.get(name, 0) + used.charge_micro

    def outcome(self) -> Outcome:
        """Return what the programme pays for all that was added."""
        kept_back = dict(self._kept_back)
        paid_of = dict.fromkeys(self._firms, 0)
        by_contract: dict[tuple[str, str], tuple[int, int]] = {}
        by_firm_year: dict[tuple[str, int], int] = {}
        by_year: dict[int, int] = {}
        for month in sorted({name[0] for name in self._buckets}):
            year = month // 12
            due = self._due(month, by_contract, by_firm_year, kept_back)
            for (firm, contract), amount in self._pooled(due, by_year.get(year, 0), kept_back).items():
                total, paid = by_contract[firm, contract]
                by_contract[firm, contract] = (total, paid + amount)
                by_firm_year[firm, year] = by_firm_year.get((firm, year), 0) + amount
                by_year[year] = by_year.get(year, 0) + amount
                paid_of[firm] += amount
        institutions = tuple(
            Paid(name, firm.kind, firm.charge, firm.eligible, paid_of[name])
            for name, firm in sorted(self._firms.items())
        )
        return Outcome(
            paid_micro=sum(paid_of.values()),
            by_year=tuple(sorted(by_year.items())),
            institutions=institutions,
            kept_back=tuple(sorted((name, amount) for name, amount in kept_back.items() if amount)),
        )

    def _due(
        self,
        month: int,
        by_contract: dict[tuple[str, str], tuple[int, int]],
        by_firm_year: Mapping[tuple[str, int], int],
        kept_back: dict[str, int],
    ) -> dict[tuple[str, str], int]:
        """Return what a month's use is due under rate, the cap of a voucher and that of a year."""
        programme = self.programme
        due: dict[tuple[str, str], int] = {}
        of_firm: dict[str, int] = {}
        for name in sorted(each for each in self._buckets if each[0] == month):
            _, firm, contract = name
            before, paid = by_contract.get((firm, contract), (0, 0))
            total = before + self._buckets[name]
            by_contract[firm, contract] = (total, paid)
            rate_ppm = programme.rate_ppm(self._firms[firm].kind)
            wanted = max(0, share(total, rate_ppm) - share(before, rate_ppm))
            room = wanted
            if programme.cap_voucher_micro is not None:
                room = self._cut(Name.CAP_VOUCHER, room, programme.cap_voucher_micro - paid, kept_back)
            if programme.cap_year_micro is not None:
                taken = by_firm_year.get((firm, month // 12), 0) + of_firm.get(firm, 0)
                room = self._cut(Name.CAP_YEAR, room, programme.cap_year_micro - taken, kept_back)
            of_firm[firm] = of_firm.get(firm, 0) + room
            due[firm, contract] = room
        return due

    def _pooled(
        self, due: Mapping[tuple[str, str], int], taken: int, kept_back: dict[str, int]
    ) -> dict[tuple[str, str], int]:
        """Return what the pool pays of what is due: all of it, or the same part to everybody."""
        pool, wanted = self.programme.pool_year_micro, sum(due.values())
        if pool is None or wanted <= pool - taken:
            return dict(due)
        most = self._cut(Name.POOL, wanted, pool - taken, kept_back)
        return dict(zip(due, largest_remainder(most, list(due.values())), strict=True))

    def _cut(self, name: Name, wanted: int, room: int, kept_back: dict[str, int]) -> int:
        given = min(wanted, max(0, room))
        clause = self.programme.clause(name)
        kept_back[clause] = kept_back.get(clause, 0) + wanted - given
        return given

    def _keep(self, name: Name, amount: int) -> None:
        clause = self.programme.clause(name)
        self._kept_back[clause] = self._kept_back.get(clause, 0) + amount


def compare(before: Programme, after: Programme, used: Iterable[Used]) -> Comparison:
    """Replay use under two programmes, in one pass; nothing but sums is kept."""
    replays = (Replay(before), Replay(after))
    for each in used:
        for replay in replays:
            replay.add(each)
    old, new = (replay.outcome() for replay in replays)
    now = {each.institution: each for each in new.institutions}
    changes = [
        Change(each.institution, each.kind, each.paid_micro, now[each.institution].paid_micro)
        for each in old.institutions
    ]
    changes.sort(key=lambda each: (-each.gain_micro, each.institution))
    return Comparison(old, new, tuple(changes))
