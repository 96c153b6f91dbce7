"""Periods, received records, ended lots and waivers in memory, under the same rules."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hutong.adapters.store import faults, rules
from hutong.adapters.store.behind import by_txn, wanted
from hutong.adapters.store.memory.ledger import MemoryLedger
from hutong.core.book.audit import Author, told_of_kept, told_of_period, told_of_terms
from hutong.core.book.money import REVENUE, WAIVED, Lot, Txn, UsageRecord, Waiver, charging_txn
from hutong.core.book.periods import Period, PeriodState, moved
from hutong.core.book.received import DayCount, Fate, Kept, Received, superseded_by
from hutong.core.kernel.errors import Conflict, NotFound
from hutong.core.kernel.ids import AttemptKey, LotId, ProjectId

Name = tuple[str, str, int]


class MemoryIntake(MemoryLedger):
    """The part of the twin that remembers what is still to be done about money."""

    def __init__(self) -> None:
        super().__init__()
        self._received: dict[Name, Kept] = {}
        self._waivers: dict[AttemptKey, Waiver] = {}

    def periods(self) -> tuple[Period, ...]:
        """Return every period in which anything was booked, in order of time."""
        return self._periods

    def move_period(
        self,
        name: str,
        state: PeriodState,
        now_ms: int,
        by: str,
        note: str = "",
        *,
        author: Author | None = None,
    ) -> bool:
        """Bring a period to `closing` or `closed`; False if it is there. Raises Conflict if not allowed."""
        with self._writing():
            this = next((each for each in self._periods if each.id == name), None)
            kept = self._received.values() if this else ()
            count = sum(
                each.fate is Fate.SUSPENDED and this.from_ms <= each.record.upto_ms < this.until_ms
                for each in kept
                if this
            )
            after = moved(self._periods, name, state, now_ms, count, by, note)
            if after is not None:
                self._periods = tuple(after if each.id == name else each for each in self._periods)
            if after is not None and this is not None:
                was, told = told_of_period(this), told_of_period(after)
                self._tell(author, "period.change", f"period/{name}", was, told)
            return after is not None

    def takings(self, period: str) -> Mapping[str, int]:
        """Return what work at each site earned in a period, net of corrections and of what was waived."""
        total: Counter[str] = Counter()
        with self._lock:
            for txn in self._txns.values():
                if txn.period == period and txn.site and txn.kind in faults.TAKING:
                    for leg in txn.entries:
                        if leg.account in {REVENUE, WAIVED}:
                            total[txn.site] += leg.amount_micro
        return dict(sorted(total.items()))

    def booked(self, project: ProjectId, period: str, after: str, limit: int) -> tuple[Txn, ...]:
        """Return transactions of a project that were booked in a period, in order of id above `after`."""
        with self._lock:
            found = [
                txn
                for txn in self._txns.values()
                if txn.project == project and txn.period == period and txn.id > after
            ]
        return tuple(sorted(found, key=lambda txn: txn.id)[: rules.page(limit)])

    def records_of(self, booked: Sequence[Txn]) -> Mapping[str, tuple[UsageRecord, ...]]:
        """Return the records of use that these transactions charged, or took back, by transaction."""
        with self._lock:
            return by_txn(wanted(booked), self._usage.values())

    def unpriced(
        self, project: ProjectId, span: tuple[int, int], after: tuple[int, str], limit: int
    ) -> tuple[UsageRecord, ...]:
        """Return records of use that ended in a time and that no transaction charges, by end and id."""
        with self._lock:
            found = [
                each
                for each in self._usage.values()
                if each.project == project and span[0] <= each.upto_ms < span[1]
                if (each.upto_ms, each.id) > after
                if not each.charge_micro and not each.reverses and charging_txn(each) not in self._txns
            ]
        return tuple(sorted(found, key=lambda each: (each.upto_ms, each.id))[: rules.page(limit)])

    def moved(self, project: ProjectId, periods: Sequence[str]) -> Mapping[str, int]:
        """Return by how much each account of a project changed over all of these periods together."""
        total: Counter[str] = Counter()
        with self._lock:
            for txn in self._txns.values():
                if txn.project == project and txn.period in periods:
                    for leg in txn.entries:
                        total[leg.account] += leg.amount_micro
        return total

    def receive(self, kept: Kept) -> Kept:
        """Keep a record with its fate, unless it is there: then return what is there."""
        record = kept.record
        with self._writing():
            name = (record.source, record.record, record.revision)
            if name in self._received:
                return self._received[name]
            others = [each for each in self._received if each[:2] == name[:2]]
            latest = max((each[2] for each in others), default=0)
            if latest > record.revision:
                kept = replace(kept, fate=Fate.SUPERSEDED, reason=superseded_by(latest))
            self._received[name] = kept
            for other in others:
                old = self._received[other]
                if other[2] < record.revision and old.fate is Fate.SUSPENDED:
                    gone = replace(old, fate=Fate.SUPERSEDED, reason=superseded_by(record.revision))
                    self._received[other] = gone
            return kept

    def received(self, source: str, record: str, revision: int) -> Kept | None:
        """Return a record that was received."""
        return self._received.get((source, record, revision))

    def suspended(self, after: Name, limit: int) -> tuple[Kept, ...]:
        """Return records in suspense in order of source, record and revision, beyond `after`."""
        with self._lock:
            found = [
                kept
                for name, kept in sorted(self._received.items())
                if name > after and kept.fate is Fate.SUSPENDED
            ]
        return tuple(found[: rules.page(limit)])

    def resolve(
        self,
        record: Received,
        fate: Fate,
        reason: str,
        by: str,
        now_ms: int,
        *,
        author: Author | None = None,
    ) -> Kept:
        """Give a suspended record its final fate. Raises NotFound, or Conflict if it has another one."""
        with self._writing():
            name = (record.source, record.record, record.revision)
            found = self._received.get(name)
            if found is None:
                raise NotFound("not_found", f"no record {record.id} was received")
            if found.fate is not Fate.SUSPENDED:
                if found.fate is fate:
                    return found
                raise Conflict("resolved", f"record {record.id} is {found.fate.value} already")
            kept = self._received[name] = Kept(found.record, fate, reason, by, now_ms)
            what, was = f"use/{record.id}", told_of_kept(found)
            self._tell(author, f"use.{fate.value}", what, was, told_of_kept(kept))
            return kept

    def day_counts(self, source: str, days: tuple[int, int]) -> tuple[DayCount, ...]:
        """Return how many records of a source had which fate, by day in `[from, to)`."""
        counts: Counter[tuple[int, Fate]] = Counter()
        with self._lock:
            for kept in self._received.values():
                if kept.record.source == source and days[0] <= kept.record.day < days[1]:
                    counts[kept.record.day, kept.fate] += 1
        rows = (DayCount(source, day, fate, count) for (day, fate), count in sorted(counts.items()))
        return tuple(rows)[: rules.PAGE_MAX]

    def due_lots(self, now_ms: int, limit: int) -> tuple[Lot, ...]:
        """Return lots that have ended and of which something may be left, longest due first."""
        with self._lock:
            due = sorted((due_ms, name) for name, due_ms in self._lots_due.items() if due_ms <= now_ms)
            return tuple(self._with_balance(self._lots[name]) for _, name in due[: rules.page(limit)])

    def rest_lots(self, names: Sequence[LotId], again_ms: int, *, empty: bool) -> None:
        """Look at ended lots again at `again_ms`; with `empty`, only where something is left or returns."""
        with self._writing():
            for name in names[: rules.PAGE_MAX]:
                if not empty or self._with_balance(self._lots[name]).posted_micro:
                    self._lots_due[name] = again_ms
                else:
                    self._lots_due.pop(name, None)

    def claim_lot(self, name: LotId, now_ms: int, *, author: Author | None = None) -> Lot:
        """Claim a lot back: it ends now for whoever would hold of it, and is due at once. Raises NotFound."""
        with self._writing():
            lot = self._lots.get(name)
            if lot is None:
                raise NotFound("not_found", f"there is no lot {name!r}")
            after = self._lots[name] = replace(lot, ends_ms=min(lot.ends_ms, now_ms), clawed=True)
            if after != lot:
                was, told = told_of_terms(lot), told_of_terms(after)
                self._tell(author, f"{lot.kind.value}.claim", f"lot/{name}", was, told)
            self._lots_due[name] = now_ms
            return self._with_balance(self._lots[name])

    def waivers(self, limit: int) -> tuple[Waiver, ...]:
        """Return waivers that are still to be booked, in order of their keys."""
        with self._lock:
            return tuple(self._waivers[key] for key in sorted(self._waivers)[: rules.page(limit)])

    def drop_waiver(self, key: AttemptKey) -> None:
        """Forget a waiver whose transactions are in the book."""
        with self._writing():
            self._waivers.pop(key, None)
