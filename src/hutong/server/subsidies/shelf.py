"""The documents of vouchers in the registry: how each is named, read and written."""

from dataclasses import dataclass
from typing import TypeVar

from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import NotFound
from hutong.core.ledger.subsidies import parties as s
from hutong.core.ledger.subsidies.life import Added, tallied
from hutong.core.ledger.subsidies.programme import Counts
from hutong.server.registry import document, read

CONTRACT, VOUCHER, CLAIM, SPEND = "contract", "voucher", "claim", "spend"
TALLY, HOLDING, RULES, STANDING = "tally", "holding", "subsidy-rules", "standing"

Write = tuple[Record, int | None]
Shape = TypeVar("Shape")


@dataclass(frozen=True, slots=True)
class Standing:
    """What the operator knows of an institution: related parties, and when it was entered with bad credit."""

    institution: str
    related: tuple[str, ...] = ()
    bad_credit_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """That a settled line was claimed, and by which claim; empty once a claim was refused."""

    claim: str


def load_contract(store: Store, name: str) -> s.Contract:
    """Return a contract; raises NotFound."""
    return _load(store, CONTRACT, name, s.Contract)[0]


def load_voucher(store: Store, name: str) -> tuple[s.Voucher, int]:
    """Return a voucher and its version; raises NotFound."""
    return _load(store, VOUCHER, name, s.Voucher)


def load_claim(store: Store, name: str) -> tuple[s.Claim, int]:
    """Return a claim and its version; raises NotFound."""
    return _load(store, CLAIM, name, s.Claim)


def load_holding(store: Store, programme: str, contract: str) -> tuple[s.Holding, int]:
    """Return what a programme bound to a contract, and its version (0: nothing yet)."""
    record = store.get(HOLDING, f"{programme}/{contract}")
    return (s.Holding(), 0) if record is None else (read(s.Holding, record), record.version)


def load_tally(store: Store, name: str) -> tuple[s.Tally, int]:
    """Return a tally and its version (0: nothing counted yet)."""
    record = store.get(TALLY, name)
    return (s.Tally(), 0) if record is None else (read(s.Tally, record), record.version)


def load_claimed(store: Store, spend: str) -> tuple[str, int]:
    """Return the claim that has a settled line (or an empty string), and the version."""
    record = store.get(SPEND, spend)
    return ("", 0) if record is None else (read(Claimed, record).claim, record.version)


def load_standing(store: Store, institution: str) -> Standing:
    """Return what is known of an institution; nothing against it where nobody said anything."""
    record = store.get(STANDING, institution)
    return Standing(institution) if record is None else read(Standing, record)


def tally_names(programme: str, counts: Counts, year: int, institution: str) -> tuple[str, str]:
    """Return the names of the two tallies of a year: the institution's, and that of all (the pool's)."""
    pool = f"{programme}/{year}/{counts.value}"
    return f"{pool}/{institution}", pool


def voucher_write(voucher: s.Voucher, expect: int) -> Write:
    """Return the guarded write of a voucher."""
    return Record(VOUCHER, voucher.id, document(voucher), voucher.project), expect


def claim_write(claim: s.Claim, expect: int) -> Write:
    """Return the guarded write of a claim."""
    return Record(CLAIM, claim.id, document(claim), claim.voucher), expect


def holding_write(programme: str, contract: str, holding: s.Holding, expect: int) -> Write:
    """Return the guarded write of what a programme bound to a contract."""
    return Record(HOLDING, f"{programme}/{contract}", document(holding), contract), expect


def claimed_write(spend: str, claim: str, project: str, expect: int) -> Write:
    """Return the guarded write that a settled line is claimed."""
    return Record(SPEND, spend, document(Claimed(claim)), project), expect


class Tallies:
    """The tallies that a decision was read from: their writes are guarded by the versions read then.

    Read before the decision: a cap that moved in between makes the write fail, and the decision is made anew.
    """

    def __init__(self, store: Store, programme: str, institution: str) -> None:
        self._store = store
        self._programme = programme
        self._institution = institution
        self._read: dict[str, tuple[s.Tally, int]] = {}

    def room(self, counts: Counts, year: int) -> s.Room:
        """Return what was taken from the caps of a year, and remember the versions."""
        firm, pool = (self._tally(name)[0] for name in self._names(counts, year))
        return s.Room(firm.taken_micro, pool.taken_micro)

    def writes(self, added: tuple[Added, ...]) -> list[Write]:
        """Return the guarded writes by which a step counts."""
        sums: dict[str, int] = {}
        for each in added:
            for name in self._names(each.counts, each.year):
                sums[name] = sums.get(name, 0) + each.amount_micro
        writes: list[Write] = []
        for name, amount in sums.items():
            tally, version = self._tally(name)
            writes.append((Record(TALLY, name, document(tallied(tally, amount)), self._programme), version))
        return writes

    def _names(self, counts: Counts, year: int) -> tuple[str, str]:
        return tally_names(self._programme, counts, year, self._institution)

    def _tally(self, name: str) -> tuple[s.Tally, int]:
        if name not in self._read:
            self._read[name] = load_tally(self._store, name)
        return self._read[name]


def _load(store: Store, kind: str, name: str, shape: type[Shape]) -> tuple[Shape, int]:
    record = store.get(kind, name)
    if record is None:
        raise NotFound("not_found", f"there is no {kind} {name!r}")
    return read(shape, record), record.version
