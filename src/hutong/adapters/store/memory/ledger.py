"""The ledger in memory, under the same rules and with the same errors."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, replace

from hutong.adapters.store import accounting, faults, rules
from hutong.adapters.store.accounting import Balance, HoldState, Plan
from hutong.adapters.store.memory.chain import MemoryChain
from hutong.adapters.store.months import month_of
from hutong.core.book.audit import Author, told_of_lot, told_of_terms, told_of_txn
from hutong.core.book.money import (
    OVERRUN,
    REVENUE,
    Entry,
    HoldChange,
    Lot,
    Posting,
    Turn,
    Txn,
    UsageRecord,
    lot_account,
)
from hutong.core.book.periods import Period, fitted, moment_to_book, period_at
from hutong.core.book.store import Span
from hutong.core.book.uses import Amounts, Place, Use, UseQuery, add_up, select
from hutong.core.kernel.errors import Conflict, NotFound
from hutong.core.kernel.ids import LotId, ProjectId


class MemoryLedger(MemoryChain):
    """The ledger's part of the twin."""

    _zone: str

    def __init__(self) -> None:
        super().__init__()
        self._periods: tuple[Period, ...] = ()
        self._lots_due: dict[LotId, int] = {}
        self._accounts: dict[str, Balance] = {}
        self._lots: dict[LotId, Lot] = {}
        self._txns: dict[str, Txn] = {}
        self._holds: dict[str, HoldState] = {}
        self._usage: dict[str, UsageRecord] = {}
        self._uses: dict[Place, Amounts] = {}
        self._turns: dict[ProjectId, int] = {}

    def _plan(self, postings: Sequence[Posting], *, guarded: bool) -> Plan:
        """Work out what postings change; raises before anything is changed."""
        out = accounting.plan(postings, self._txns.keys(), self._holds, guarded=guarded)
        earlier = [txn for txn in self._txns.values() if txn.reverses] if out.reversed_txns else []
        accounting.check_reversals(out, self._txns, earlier)
        accounting.check_funds(out, self._accounts)
        ids = [record.id for record in out.usage]
        if len(set(ids)) < len(ids) or not self._usage.keys().isdisjoint(ids):
            raise Conflict("already_there", "a usage record of this id is in the book already")
        return out

    def _book(self, out: Plan) -> None:
        for txn in out.txns:
            self._txns[txn.id] = replace(txn, period=self._period_of(txn))
        for name in out.refilled_accounts:
            lot = LotId(name.removeprefix(lot_account(LotId(""))))
            self._lots_due.setdefault(lot, self._lots[lot].ends_ms)
        for name, amount in out.posted.items():
            self._accounts.setdefault(name, Balance()).posted += amount
        for name, amount in out.held.items():
            self._accounts[name].held += amount
        self._holds.update(out.holds)
        self._usage.update((record.id, record) for record in out.usage)
        for place, amounts in add_up(out.usage).items():
            self._uses[place] = self._uses.get(place, Amounts()).plus(amounts)

    def _period_of(self, txn: Txn) -> str:
        at_ms = moment_to_book(self._periods, txn.effective_ms)
        period = period_at(self._periods, at_ms)
        if period is None:
            period = fitted(self._periods, month_of(at_ms, self._zone), at_ms)
            self._periods = tuple(sorted((*self._periods, period), key=lambda each: each.from_ms))
        return period.id

    def open_lot(self, lot: Lot, *txns: Txn, author: Author | None = None) -> bool:
        """Create a lot with the transaction that fills it; False if that transaction is already there."""
        with self._writing():
            if txns[0].id in self._txns:
                return False
            if lot.id in self._lots:
                raise Conflict("lot_exists", f"lot {lot.id} exists already")
            account = lot_account(lot.id)
            self._accounts[account] = Balance(floor=0)
            try:
                out = self._plan([Posting(txns)], guarded=False)
            except BaseException:
                del self._accounts[account]
                raise
            self._lots[lot.id] = lot
            self._lots_due[lot.id] = lot.ends_ms
            self._book(out)
            told = told_of_lot(lot, txns[0])
            self._tell(author, f"{lot.kind.value}.create", f"lot/{lot.id}", None, told)
            return True

    def span_lot(self, lot: LotId, starts_ms: int, ends_ms: int, *, author: Author | None = None) -> bool:
        """Set when a lot may be held against; False if it was so already. Raises NotFound."""
        with self._writing():
            there = self._lots.get(lot)
            if there is None:
                raise NotFound("not_found", f"there is no lot {lot!r}")
            if (there.starts_ms, there.ends_ms) == (starts_ms, ends_ms):
                return False
            self._lots[lot] = replace(there, starts_ms=starts_ms, ends_ms=ends_ms)
            self._lots_due[lot] = ends_ms
            was, told = told_of_terms(there), told_of_terms(self._lots[lot])
            self._tell(author, f"{there.kind.value}.change", f"lot/{lot}", was, told)
            return True

    def post(self, posting: Posting, author: Author | None = None, turn: Turn | None = None) -> bool:
        """Write transactions, holds and usage together; False if the first transaction is already there.

        Raises Conflict("insufficient_funds") if a hold does not fit its lot, Conflict("turn") if others gave
        back or rerated since `turn`.
        """
        with self._writing():
            out = self._plan([posting], guarded=False)
            if turn is not None and out.fresh[0]:
                if turn != self.turn(turn.project):
                    raise rules.out_of_turn(turn)
                self._turns[turn.project] = turn.number + 1
            self._book(out)
            for txn in posting.txns if out.fresh[0] else ():
                self._tell(author, f"{txn.kind}.post", f"txn/{txn.id}", None, told_of_txn(txn))
            return out.fresh[0]

    def turn(self, project: ProjectId) -> Turn:
        """Return how often money of a project was given back or rerated until now."""
        with self._lock:
            return Turn(project, self._turns.get(project, 0))

    def lots(self, project: ProjectId) -> tuple[Lot, ...]:
        """Return a project's lots with balances, in the order in which they pay."""
        with self._lock:
            found = [self._with_balance(lot) for lot in self._lots.values() if lot.project == project]
        return tuple(sorted(found, key=rules.pay_order))

    def _with_balance(self, lot: Lot) -> Lot:
        balance = self._accounts[lot_account(lot.id)]
        return Lot(
            lot.id,
            lot.project,
            lot.kind,
            lot.rate_ppm,
            lot.starts_ms,
            lot.ends_ms,
            balance.posted,
            balance.held,
            lot.clawed,
        )

    def holds(self, project: ProjectId, limit: int) -> tuple[HoldChange, ...]:
        """Return open holds of a project, each as the change that would have opened it."""
        with self._lock:
            keys = sorted(key for key, state in self._holds.items() if state.project == project)
            found = [self._holds[key].as_change(key) for key in keys if not self._holds[key].closed]
        return tuple(found[: rules.page(limit)])

    def hold(self, key: str) -> HoldChange | None:
        """Return one open hold."""
        with self._lock:
            state = self._holds.get(key)
            return state.as_change(key) if state and not state.closed else None

    def usage(
        self, project: ProjectId, key: str, after: str, limit: int, span: Span | None = None
    ) -> tuple[UsageRecord, ...]:
        """Return usage records in order of id above `after`; all of the project where `key` is empty."""
        with self._lock:
            found = [
                record
                for name, record in sorted(self._usage.items())
                if name > after and record.project == project and key in {"", record.key}
                if span is None or span[0] <= record.upto_ms < span[1]
            ]
        return tuple(found[: rules.page(limit)])

    def txns(
        self, project: ProjectId, cause: str, after: str, limit: int, span: Span | None = None
    ) -> tuple[Txn, ...]:
        """Return transactions in order of id above `after`; all of the project where `cause` is empty."""
        with self._lock:
            found = [
                txn
                for name, txn in sorted(self._txns.items())
                if name > after and txn.project == project and cause in {"", txn.cause}
                if span is None or span[0] <= txn.effective_ms < span[1]
            ]
        return tuple(found[: rules.page(limit)])

    def txn(self, name: str) -> Txn | None:
        """Return one transaction."""
        with self._lock:
            return self._txns.get(name)

    def reversals(self, names: Sequence[str]) -> tuple[Txn, ...]:
        """Return what was given back of some transactions (at most a thousand), in order of what and when."""
        wanted = frozenset(names[: rules.PAGE_MAX])
        with self._lock:
            found = [txn for txn in self._txns.values() if txn.reverses and txn.reverses in wanted]
        return tuple(sorted(found, key=lambda each: (each.reverses, each.reverses_from)))

    def balances(self, accounts: Sequence[str]) -> tuple[Entry, ...]:
        """Return the posted balance of each account (0 for one that never had an entry)."""
        with self._lock:
            return tuple(Entry(name, self._accounts.get(name, Balance()).posted) for name in accounts)

    def uses(self, query: UseQuery) -> tuple[Use, ...]:
        """Return what was used, in groups, in the order of their keys."""
        with self._lock:
            return select(self._uses.items(), replace(query, limit=rules.page(query.limit)))

    def rebuild_uses(self) -> int:
        """Make use by day anew from the usage records; return of how many groups."""
        with self._writing():
            self._uses = add_up(self._usage.values())
            return len(self._uses)

    def _wrong_uses(self) -> Iterator[str]:
        there = add_up(self._usage.values())
        for place in sorted(there.keys() | self._uses.keys(), key=astuple):
            if there.get(place, Amounts()) != self._uses.get(place, Amounts()):
                yield faults.use_fault(astuple(place)[:-1])

    def _faults(self) -> Iterator[str]:
        for txn in self._txns.values():
            total = sum(entry.amount_micro for entry in txn.entries)
            if total:
                yield faults.UNBALANCED.format(txn.id, total)
        entries = [leg for txn in self._txns.values() for leg in txn.entries]
        posted = _sum((leg.account, leg.amount_micro) for leg in entries)
        parts = [part for state in self._holds.values() for part in state.parts.items()]
        held = _sum((lot_account(lot), amount) for lot, amount in parts)
        for name, balance in self._accounts.items():
            if balance.floor is not None and balance.posted - balance.held < balance.floor:
                yield faults.BELOW_FLOOR.format(name, balance.posted - balance.held)
            if name.startswith(OVERRUN) and balance.posted > 0:
                yield faults.OVERPAID.format(name, balance.posted)
            if balance.posted != posted[name]:
                yield faults.WRONG_BALANCE.format(name, balance.posted, posted[name])
            if balance.held != held[name]:
                yield faults.WRONG_HELD.format(name, balance.held, held[name])
        used = _sum((record.key, record.charge_micro) for record in self._usage.values())
        charging = [txn for txn in self._txns.values() if txn.kind in faults.CHARGING]
        revenue = _sum(
            (txn.cause, leg.amount_micro) for txn in charging for leg in txn.entries if leg.account == REVENUE
        )
        for key in sorted(used.keys() | revenue.keys()):
            if used[key] != revenue[key]:
                yield faults.UNBOOKED.format(key, used[key], revenue[key])


def _sum(amounts: Iterable[tuple[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for name, amount in amounts:
        total[name] += amount
    return total
