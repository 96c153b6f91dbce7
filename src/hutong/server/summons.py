"""What agents are woken for: all of them are asked after in one question."""

from collections.abc import Mapping
from dataclasses import replace

from hutong.core.book.store import Store, Summons


class SummonsSoFar:
    """Marks for a `Bell` by site: what was there for its agent since we began.

    That a command had its effect and is gone is nothing to wake an agent for.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Summons] = {}

    def __call__(self) -> Mapping[str, Summons]:
        """Return the marks; one thread asks for them."""
        for site, now in self._store.summons().items():
            before = self._known.get(site, now)
            self._known[site] = replace(now, command=max(before.command, now.command))
        return dict(self._known)
