"""What Slurm says of our jobs: one question for all, asked seldom; what it forgot is asked of accounting."""

from collections.abc import Callable, Iterable, Set

import structlog

from hutong.adapters.engines.slurm import parse
from hutong.adapters.engines.slurm.arrays import Arrays, is_array
from hutong.adapters.engines.slurm.parse import Record
from hutong.adapters.engines.slurm.transport import Settings, Transport
from hutong.core.kernel.errors import Later
from hutong.core.kernel.ids import split_key

_log = structlog.get_logger("hutong.engines.slurm")
_AGAIN_MS = 10_000
_LONGEST_MS = 60_000
_SINCE_DAYS = 30
_RESTS_MOST_MS = 20_000
Word = tuple[str, str, str, int]
"""Of a job what must be looked into when it changes: number, state, reason, time of submission."""


class Queue:
    """The jobs of our origin as the controller last told of them, and what accounting told of others.

    `in_doubt` while accounting, which may know what the controller forgot, does not answer. After a look of
    `t` ms there is none for the transport's `rests` times that, 20 s at most, unless it is demanded;
    `period_ms` is by when there will have been another.
    """

    def __init__(
        self, transport: Transport, poll_s: float, ticks: Callable[[], int], origin: str, arrays: Arrays
    ) -> None:
        self.settings = Settings("", accounting=False, energy="")
        self.records: list[Record] = []
        self.in_doubt = False
        self.period_ms = int(poll_s * 1000)
        self._transport = transport
        self._poll_ms = int(poll_s * 1000)
        self._ticks = ticks
        self._origin = origin
        self._arrays = arrays
        self._learned = False
        self._told: list[Record] = []
        self._listed: set[str] = set()
        self._by_name: dict[str, list[Record]] = {}
        self._words: dict[str, tuple[Word, ...] | None] = {}
        self._next_ms = self._rested_ms = ticks()
        self._new: set[str] = set()
        self._failures = 0
        self._failure = ""
        self._wondered: dict[str, str] = {}
        self._asked_ms: dict[str, int] = {}
        self._past: dict[str, list[Record]] = {}
        self._cancelled_ms: dict[str, int] = {}

    def learn(self) -> bool:
        """Ask once what the cluster is; True if that is news. Raises Later if it does not answer."""
        if self._learned:
            return False
        self._guarded(self._ask_settings)
        self._next_ms = self._ticks()
        self._learned = True
        return True

    def poll(self, *, fresh: bool = False) -> None:
        """Ask for all jobs if it is time. Raises Later if the last question had no answer."""
        if fresh or self._failures or self._ticks() >= self._next_ms:
            self._guarded(self._ask_queue)

    def expire(self) -> None:
        """Have the next poll ask, once Slurm has rested from the last look: something of ours has changed."""
        if not self._failures:
            self._next_ms = max(self._ticks(), self._rested_ms)

    def note(self, keys: Iterable[str]) -> None:
        """Note what has been submitted: until the next look nobody can say that it is missing."""
        self._new.update(keys)
        self.expire()

    def awaits(self, key: str) -> bool:
        """Return whether something was submitted since the last look."""
        return key in self._new

    def names(self) -> Set[str]:
        """Return the names of our jobs."""
        return self._by_name.keys()

    def named(self, key: str) -> list[Record]:
        """Return the jobs of one name that the controller knows."""
        return self._by_name.get(key, [])

    def word(self, key: str) -> tuple[Word, ...] | None:
        """Return what the controller says of the jobs of a name; None if one is over, or there is none."""
        if key not in self._words:
            records = self.named(key)
            calm = bool(records) and not any(each.over for each in records)
            told = tuple((each.id, each.state, each.reason, each.submitted_s) for each in records)
            self._words[key] = told if calm else None
        return self._words[key]

    def find(self, key: str, began_id: str, submitted_id: str) -> Record | None:
        """Return the job that counts for an attempt, from accounting if the controller has forgotten it."""
        told = parse.choose(self.named(key), began_id, submitted_id)
        return told or parse.choose(self._past.get(key, ()), began_id, submitted_id)

    def lists(self, array: str) -> bool:
        """Return whether the controller knows any element of an array."""
        return array in self._listed

    def wonder(self, key: str, array: str) -> None:
        """Note that the controller says nothing of a job that it should know; `array` is its array's name."""
        self._wondered[key] = array

    def recall(self) -> None:
        """Ask accounting, where there is any, for what was wondered about since the last call.

        Only an end counts: that accounting still has a forgotten job for alive says that nobody told it more.
        """
        wondered, self._wondered = self._wondered, {}
        self._past = {key: self._past[key] for key in wondered if key in self._past}
        self._asked_ms = {key: self._asked_ms[key] for key in wondered if key in self._asked_ms}
        now = self._ticks()
        due = [key for key in sorted(wondered) if now - self._asked_ms.get(key, -_AGAIN_MS) >= _AGAIN_MS]
        if not self.settings.accounting or not due:
            return
        self._asked_ms.update(dict.fromkeys(due, now))
        try:
            names = sorted({*due, *filter(None, (wondered[key] for key in due))})
            told = self._arrays.told(self._transport.history(names, _SINCE_DAYS))
        except Later as error:
            self.in_doubt = True
            _log.warning("accounting does not answer", why=str(error))
            return
        self.in_doubt = False
        for record in told:
            if record.over:
                self._past.setdefault(record.name, []).append(record)

    def cancel(self, records: Iterable[Record]) -> None:
        """End jobs. What cannot be ended now is tried again, as is what does not end."""
        now = self._ticks()
        if self._cancelled_ms:
            there = {record.id for record in self.records}
            self._cancelled_ms = {id_: at_ms for id_, at_ms in self._cancelled_ms.items() if id_ in there}
        doomed = [
            record.id
            for record in records
            if not record.over and now - self._cancelled_ms.get(record.id, -_AGAIN_MS) >= _AGAIN_MS
        ]
        self._cancelled_ms.update(dict.fromkeys(doomed, now))
        if not doomed:
            return
        self.expire()
        try:
            self._transport.cancel(doomed)
        except Later as error:
            _log.warning("jobs could not be cancelled", count=len(doomed), why=str(error))

    def _ask_settings(self) -> None:
        self.settings = self._transport.settings()

    def _ask_queue(self) -> None:
        new, began_ms = tuple(self._new), self._ticks()
        told = self._transport.queue()
        ended_ms = self._ticks()
        pause_ms = min(self._transport.rests * (ended_ms - began_ms), _RESTS_MOST_MS)
        self._rested_ms = ended_ms + pause_ms
        self.period_ms = max(self._poll_ms, pause_ms)
        self._new.difference_update(new)
        if told is self._told:
            return
        self._told, self._words = told, {}
        self._listed = {each.name for each in told if is_array(each.name)}
        mine = [each for each in self._arrays.told(told) if split_key(each.name)]
        # Where a site's plugins take the comment away, the name has to do.
        self.records = [each for each in mine if each.origin in {self._origin, ""}]
        self._by_name = {}
        for each in self.records:
            self._by_name.setdefault(each.name, []).append(each)

    def _guarded(self, ask: Callable[[], None]) -> None:
        """Ask unless the last answer failed to come a moment ago: a controller in need is left alone."""
        now = self._ticks()
        if self._failures and now < self._next_ms:
            raise Later(self._failure, max(1, (self._next_ms - now) // 1000))
        try:
            ask()
        except Later as error:
            self._failures = min(self._failures + 1, 16)
            pause_ms = min(self._poll_ms << self._failures, _LONGEST_MS)
            self._next_ms, self._failure = self._ticks() + pause_ms, error.message
            raise
        self._failures = 0
        self._next_ms = max(now + self._poll_ms, self._rested_ms)
