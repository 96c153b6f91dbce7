"""Statements: what a project had, was given, used and owes in a period. Sums agree to the micro-yuan.

Money is rounded to fen only on the lines of an invoice, by largest remainder, so that lines add up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hutong.core.book.money import OVERRUN, Txn
from hutong.core.kernel.errors import Broken
from hutong.core.kernel.money import largest_remainder
from hutong.core.ledger.charges import Category, Charge

FEN_MICRO = 10_000


@dataclass(frozen=True, slots=True)
class UseLine:
    """Use of one thing at one price over the period."""

    site: str
    sku: str
    unit: str
    price_micro: int
    per: int
    quantity: int
    amount_micro: int


@dataclass(frozen=True, slots=True)
class CreditLine:
    """What one source paid of the use (negative), or corrected."""

    kind: str
    source: str
    amount_micro: int


@dataclass(frozen=True, slots=True)
class LotLine:
    """One source of money over the period: opening + given + taken = closing. `taken` is negative."""

    account: str
    opening_micro: int
    given_micro: int
    taken_micro: int

    @property
    def closing_micro(self) -> int:
        """What is left of it."""
        return self.opening_micro + self.given_micro + self.taken_micro


@dataclass(frozen=True, slots=True)
class Statement:
    """A period of one project, `[from_ms, upto_ms)`.

    `purchases_micro` was paid in advance, `used_in_advance_micro` (0 or less) is what of the use that paid.
    `corrections_micro` is the part of what is billed that mends earlier periods. `owed_*` is what the project
    owed: what is billed = owed_closing - owed_opening + what was paid in advance.
    """

    project: str
    from_ms: int
    upto_ms: int
    use: tuple[UseLine, ...]
    credits: tuple[CreditLine, ...]
    purchases_micro: int
    used_in_advance_micro: int
    corrections_micro: int
    lots: tuple[LotLine, ...]
    owed_opening_micro: int
    owed_closing_micro: int

    @property
    def used_micro(self) -> int:
        """What the work of the period cost, before anything paid for it."""
        return sum(line.amount_micro for line in self.use)

    @property
    def billed_micro(self) -> int:
        """What is asked for the period: use, less what paid for it, and what is paid in advance."""
        paid = sum(line.amount_micro for line in self.credits)
        return self.used_micro + paid + self.used_in_advance_micro + self.purchases_micro


class StatementDraft:
    """Adds up a period from its charges and transactions, in memory bounded by what differs in price."""

    def __init__(self, project: str, from_ms: int, upto_ms: int) -> None:
        self._project = project
        self._span = (from_ms, upto_ms)
        self._use: dict[tuple[str, str, str, int, int], list[int]] = {}
        self._credits: dict[tuple[str, str], int] = {}
        self._purchases = 0
        self._advance = 0
        self._corrections = 0
        self._billed = 0
        self._moved: dict[str, list[int]] = {}

    def add_charge(self, charge: Charge) -> None:
        """Add a charge of the period."""
        self._billed += charge.billed_micro
        if charge.correction:
            self._corrections += charge.billed_micro
        if charge.category is Category.PURCHASE:
            self._purchases += charge.billed_micro
        elif charge.record is None:
            name = (charge.kind, charge.source)
            self._credits[name] = self._credits.get(name, 0) + charge.billed_micro
        else:
            record = charge.record
            group = (record.site, record.sku, record.unit, record.price_micro, record.per)
            sums = self._use.setdefault(group, [0, 0])
            sums[0] += record.quantity
            sums[1] += charge.effective_micro
            self._advance += charge.billed_micro - charge.effective_micro

    def add_txn(self, txn: Txn) -> None:
        """Add the movements of a transaction of the period."""
        for entry in txn.entries:
            given_taken = self._moved.setdefault(entry.account, [0, 0])
            given_taken[entry.amount_micro < 0] += entry.amount_micro

    def finish(self, opening: Mapping[str, int]) -> Statement:
        """Return the statement; `opening` are balances by account when the period began.

        Raises Broken where what was billed and what is owed do not agree.
        """
        owed = f"{OVERRUN}{self._project}"
        before = -opening.get(owed, 0)
        after = before - sum(self._moved.get(owed, (0, 0)))
        lots = sorted(name for name in opening.keys() | self._moved.keys() if name.startswith("lot:"))
        done = Statement(
            project=self._project,
            from_ms=self._span[0],
            upto_ms=self._span[1],
            use=tuple(UseLine(*group, *sums) for group, sums in sorted(self._use.items())),
            credits=tuple(CreditLine(*name, amount) for name, amount in sorted(self._credits.items())),
            purchases_micro=self._purchases,
            used_in_advance_micro=self._advance,
            corrections_micro=self._corrections,
            lots=tuple(LotLine(name, opening.get(name, 0), *self._moved.get(name, (0, 0))) for name in lots),
            owed_opening_micro=before,
            owed_closing_micro=after,
        )
        if self._billed != after - before + self._purchases:
            raise Broken(
                f"project {self._project}: {self._billed} micro-yuan were billed, but what it owes went from "
                f"{before} to {after} and {self._purchases} were paid in advance"
            )
        return done


def balances_after(statement: Statement) -> dict[str, int]:
    """Return the balances with which the next period begins."""
    found = {line.account: line.closing_micro for line in statement.lots if line.closing_micro}
    if statement.owed_closing_micro:
        found[f"{OVERRUN}{statement.project}"] = -statement.owed_closing_micro
    return found


def in_fen(amounts_micro: Sequence[int]) -> tuple[int, ...]:
    """Round amounts to fen so that they add up to their rounded sum (largest remainder; half goes up).

    Positive and negative amounts are rounded apart, each towards its own exact sum.
    """
    total = _round(sum(amounts_micro))
    ups = [max(0, each) for each in amounts_micro]
    downs = [max(0, -each) for each in amounts_micro]
    gained = _round(sum(ups))
    lost = gained - total
    parts_up = largest_remainder(gained, ups) if any(ups) else (0,) * len(ups)
    parts_down = largest_remainder(lost, downs) if any(downs) else (0,) * len(downs)
    return tuple(up - down for up, down in zip(parts_up, parts_down, strict=True))


def _round(amount_micro: int) -> int:
    return (amount_micro + FEN_MICRO // 2) // FEN_MICRO


def split_fen(total_fen: int, parts_ppm: Sequence[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Split an amount over cost centres, exactly; a negative amount is split like its positive one."""
    sign = -1 if total_fen < 0 else 1
    shares = largest_remainder(abs(total_fen), [ppm for _, ppm in parts_ppm])
    return tuple((name, sign * share) for (name, _), share in zip(parts_ppm, shares, strict=True))
