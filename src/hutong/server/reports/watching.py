"""Notes what pools are, beside the loop, so that reports know what was installed and available."""

from dataclasses import dataclass

from hutong.core.book.store import Store

EVERY_MS = 60_000
"""So long a change of a pool may go without a note: the figures of supply are right to a minute."""


@dataclass(slots=True)
class PoolWatcher:
    """Looks once a minute; a note is written only where a pool is another than before."""

    store: Store
    looked_ms: int = 0

    def step(self, now_ms: int) -> int:
        """Look if it is time; return how many notes that made."""
        if 0 <= now_ms - self.looked_ms < EVERY_MS:
            return 0
        found = self.store.note_pools(now_ms)
        self.looked_ms = now_ms
        return found
