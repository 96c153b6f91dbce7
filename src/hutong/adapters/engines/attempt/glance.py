"""Spares looks into folders of attempts that stand as they did: a thousand that wait must cost little."""

import os
from collections.abc import Callable, Hashable, Set
from typing import NamedTuple

from hutong.adapters.engines.base import Seen
from hutong.core.kernel.ids import AttemptKey

StrPath = str | os.PathLike[str]
# A file system may give two changes of one moment one time: so a folder is looked at twice for each time.
_LOOKS = 2
# Beats are written in place, which no folder shows; and nothing should rest on one time stamp for long.
_TRUST_MS = 30_000


class _Known(NamedTuple):
    changed_ns: int
    told: Hashable
    looks: int
    at_ms: int
    seen: Seen


class Glances:
    """What was seen of each living attempt at its last looks. `ticks` gives milliseconds that never jump."""

    def __init__(self, ticks: Callable[[], int]) -> None:
        self.spared: set[str] = set()
        self._ticks = ticks
        self._known: dict[str, _Known] = {}

    def begin(self, keys: Set[str]) -> None:
        """Begin to look at attempts, of which the scheduler knows `keys`.

        Afterwards `spared` names those that no look was needed for.
        """
        self.spared.clear()
        for key in self._known.keys() - keys:
            del self._known[key]

    def look(
        self, key: AttemptKey, folder: StrPath, told: Hashable, look: Callable[[AttemptKey], Seen | None]
    ) -> Seen | None:
        """Return what `look` says, or what it said where neither the folder nor the scheduler's word changed.

        Every file of an attempt but its beat and its logs is created, renamed or deleted, which changes its
        folder's time. `told` is None where the scheduler's word calls for a look each time.
        """
        try:
            # Before the look: what changes after it counts as new. A path object would cost more than it.
            changed_ns = os.stat(folder).st_mtime_ns  # noqa: PTH116
        except OSError:
            return look(key)
        now = self._ticks()
        known = self._known.get(key)
        same = known is not None and told is not None and (known.changed_ns, known.told) == (changed_ns, told)
        if same and known is not None and known.looks >= _LOOKS and now - known.at_ms < _TRUST_MS:
            self.spared.add(key)
            return known.seen
        seen = look(key)
        if seen is None or seen.ended is not None:
            self._known.pop(key, None)
        else:
            looks = known.looks + 1 if same and known is not None else 1
            self._known[key] = _Known(changed_ns, told, looks, now, seen)
        return seen
