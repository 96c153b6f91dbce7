"""Sources beside the ledger in memory, under the same rules."""

from collections.abc import Sequence

from hutong.adapters.store import rules
from hutong.adapters.store.memory.intake import MemoryIntake
from hutong.core.book.metered import NAMES_AT_ONCE
from hutong.core.book.received import Billed, Kept, Tally


class MemoryMetering(MemoryIntake):
    """The part of the twin that reconciliation reads."""

    def __init__(self) -> None:
        super().__init__()
        self._tallies: dict[tuple[str, int], Tally] = {}

    def _in_force(self, source: str) -> list[Kept]:
        last: dict[str, Kept] = {}
        for (of, record, _), kept in sorted(self._received.items()):
            if of == source:
                last[record] = kept
        return list(last.values())

    def newest(self, source: str, record: str) -> Kept | None:
        """Return a record in force."""
        with self._lock:
            return next((each for each in self._in_force(source) if each.record.record == record), None)

    def records_on(self, source: str, day: int, after: str, limit: int) -> tuple[Kept, ...]:
        """Return the records in force that ended on a day, in order of their names above `after`."""
        with self._lock:
            kept = [each for each in self._in_force(source) if each.record.day == day]
        return tuple(each for each in kept if each.record.record > after)[: rules.page(limit)]

    def records_for(self, source: str, keys: Sequence[str]) -> tuple[Kept, ...]:
        """Return the records in force of some attempts (at most a thousand), in order of their names."""
        names = set(sorted(set(keys))[:NAMES_AT_ONCE])
        with self._lock:
            return tuple(each for each in self._in_force(source) if each.record.key in names)

    def tally(self, tally: Tally) -> None:
        """Keep what a source's accounting holds of a day, in place of what it was before."""
        with self._writing():
            self._tallies[tally.source, tally.day] = tally

    def tallies(self, source: str, days: tuple[int, int]) -> tuple[Tally, ...]:
        """Return the tallies of a source for days in `[from, to)`, in order (at most 1,000)."""
        with self._lock:
            found = [each for name, each in sorted(self._tallies.items()) if name[0] == source]
        return tuple(each for each in found if days[0] <= each.day < days[1])[: rules.PAGE_MAX]

    def billed_keys(self, site: str, span: tuple[int, int], after: str, limit: int) -> tuple[str, ...]:
        """Return the attempts with use of cards at a site whose record ends in a time, in order."""
        with self._lock:
            used = [each for each in self._usage.values() if (each.site, each.unit) == (site, "card_ms")]
        keys = {str(each.key) for each in used if span[0] <= each.upto_ms < span[1] and each.key > after}
        return tuple(sorted(keys)[: rules.page(limit)])

    def billed(self, keys: Sequence[str]) -> tuple[Billed, ...]:
        """Return what is booked for some attempts (at most a thousand) in all, in order of their keys."""
        found = []
        with self._lock:
            for key in sorted(set(keys))[:NAMES_AT_ONCE]:
                used = [each for each in self._usage.values() if each.key == key and each.unit == "card_ms"]
                if used:
                    total = sum(each.quantity for each in used)
                    first, last = min(each.from_ms for each in used), max(each.upto_ms for each in used)
                    found.append(Billed(key, used[0].project, total, first, last))
        return tuple(found)
