"""What a site's cards did by the hour: looked at with every tick, sealed into a chain, told until known.

An hour counts as seen while looks follow each other closely and every live attempt's cards are known. What
is sealed is written down before it is sent, so a kill at any line costs a minute's looks and no more.
"""

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import structlog

from hutong.adapters.engines.base import Seen
from hutong.adapters.identity.signing import SigningKey
from hutong.agent.card_counters import CardCounters
from hutong.agent.link import Command, Link
from hutong.agent.notes import keep, kept
from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.chain import canonical, seal
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import AttemptKey
from hutong.core.kernel.quantities import HOUR_MS
from hutong.wire.sealed import SealedDoc

_log = structlog.get_logger("hutong.agent")
SEAL_KEY = "seal.key"
"""The file, in the agent's own folder, of the key that seals."""
_GAP_MS = 60_000
_SAVE_MS = 60_000
_LATE_MS = 5_000
_AT_ONCE = 24
_PENDING_MOST = 24 * 366


@runtime_checkable
class Counted(Protocol):
    """An engine that counts how busy the cards of an attempt were."""

    counts: str
    """What counts, in words."""

    def busy_ms(self, keys: Sequence[AttemptKey]) -> Mapping[AttemptKey, int]:
        """Return running totals in card-ms of those attempts that are counted; one may begin anew."""
        ...


class Hours:
    """Adds up looks, seals whole hours and sends them; `look` in the ticking thread, `step` in any."""

    def __init__(
        self, path: Path, link: Link, site: str, key: SigningKey, engine: object, clock: Callable[[], int],
        cards: CardCounters | None = None,
    ) -> None:  # fmt: skip
        self._path, self._link, self._site, self._key = path, link, site, key
        self._counter = engine if isinstance(engine, Counted) else None
        self._clock = clock
        self._counters = cards or CardCounters((), clock)
        self._lock = threading.Lock()
        state = _read(path)
        self._cards: dict[str, list[Any]] = state.get("cards", {})
        self._open: dict[str, Any] = state.get("open", {})
        self._closed: list[dict[str, Any]] = state.get("closed", [])
        self._pending: list[dict[str, str]] = state.get("pending", [])
        self._last_ms = self._saved_ms = 0
        self._busy: dict[AttemptKey, int] = {}

    def note(self, commands: Iterable[Command]) -> None:
        """Remember how many cards of which pool an attempt will have."""
        starts: dict[str, list[Any]] = {
            each.key: [each.attempt.pool, each.attempt.cards] for each in commands if each.kind == "start"
        }
        with self._lock:
            if any(self._cards.get(key) != had for key, had in starts.items()):
                self._cards.update(starts)
                self._save()

    def look(self, seen: Sequence[Seen], pools: Sequence[PoolState]) -> bool:
        """Count from the last look until now; True if an hour is whole and waits to be sent."""
        now_ms = self._clock()
        live = [each.key for each in seen if each.ended is None]
        with self._lock:
            if 0 <= now_ms - self._last_ms < 1000:
                return bool(self._closed or self._pending)
            from_ms, self._last_ms = self._last_ms, now_ms
            near = 0 < now_ms - from_ms <= _GAP_MS
            busy = self._grown(live)
            if near and all(key in self._cards for key in live):
                for at_ms in range(from_ms // HOUR_MS * HOUR_MS, now_ms, HOUR_MS):
                    part_ms = min(at_ms + HOUR_MS, now_ms) - max(at_ms, from_ms)
                    self._add(at_ms // HOUR_MS, part_ms, now_ms - from_ms, live, pools, busy)
            self._close(now_ms)
            ended = {each.key for each in seen if each.ended is not None}
            for key in ended & self._cards.keys():
                del self._cards[key]
            if now_ms - self._saved_ms >= _SAVE_MS or now_ms < self._saved_ms:
                self._saved_ms = now_ms
                self._save()
            return bool(self._closed or self._pending)

    def _grown(self, live: Sequence[AttemptKey]) -> Mapping[AttemptKey, int]:
        """Return by how much each attempt was busy since the last look, where it was counted then too."""
        if self._counter is None:
            return {}
        now = dict(self._counter.busy_ms(live))
        grown = {key: max(0, total - self._busy[key]) for key, total in now.items() if key in self._busy}
        self._busy = now
        return grown

    def _add(
        self, hour: int, part_ms: int, whole_ms: int, live: Sequence[AttemptKey], pools: Sequence[PoolState],
        busy: Mapping[AttemptKey, int],
    ) -> None:  # fmt: skip
        if self._open.get("hour") != hour:
            self._close_open()
            self._open = {"hour": hour, "seen_ms": 0, "pools": {}}
        self._open["seen_ms"] += part_ms
        for state in pools:
            mine = self._pool(state.pool)
            mine["up_card_ms"] = (mine["up_card_ms"] or 0) + state.cards_up * part_ms
            mine["other_card_ms"] += state.cards_elsewhere * part_ms
        held: dict[str, int] = {}
        for key in live:
            name, cards = self._cards[key]
            mine = self._pool(name)
            mine["held_card_ms"] += cards * part_ms
            held[name] = held.get(name, 0) + cards * part_ms
            if key in busy and self._counters.counts(name) is None:
                counted = min(cards * part_ms, busy[key] * part_ms // whole_ms)
                mine["busy_card_ms"] = (mine["busy_card_ms"] or 0) + counted
                mine["method"] = self._counter.counts if self._counter else ""
        elsewhere = {state.pool for state in pools if state.cards_elsewhere}
        for name, held_ms in held.items():
            self._count_cards(self._pool(name), held_ms, part_ms, shared=name in elsewhere)

    def _count_cards(self, mine: dict[str, Any], held_ms: int, part_ms: int, *, shared: bool) -> None:
        """Count the cards of a pool that a tool tells of; an hour that is not known whole is not counted.

        A tool tells of all cards: while others hold some of them, nobody knows whose work it is.
        """
        counts = self._counters.counts(mine["pool"])
        if counts is None:
            return
        busy = None if shared else self._counters.busy_milli(mine["pool"], self._clock())
        if busy is None:
            mine["blind"] = True
            return
        mine["busy_card_ms"] = (mine["busy_card_ms"] or 0) + min(held_ms, busy * part_ms // 1000)
        mine["method"] = counts

    def _pool(self, name: str) -> dict[str, Any]:
        blank = {"pool": name, "held_card_ms": 0, "up_card_ms": None, "other_card_ms": 0}
        found: dict[str, Any] = self._open["pools"].setdefault(
            name, {**blank, "busy_card_ms": None, "method": ""}
        )
        return found

    def _close(self, now_ms: int) -> None:
        if self._open and now_ms >= (self._open["hour"] + 1) * HOUR_MS + _LATE_MS:
            self._close_open()

    def _close_open(self) -> None:
        if self._open:
            pools = [
                {**each, "busy_card_ms": None, "method": ""} if each.pop("blind", False) else each
                for each in self._open["pools"].values()
            ]
            self._closed.append({**self._open, "pools": pools})
            self._open = {}
            self._save()

    def step(self) -> int:
        """Seal what is whole and send it; return how many reports are there now. Raises Later."""
        with self._lock:
            whole = bool(self._closed)
            pending = list(self._pending)
        sent = 0
        if pending:
            sent = self._send(pending)
        if whole:
            self._seal()
            with self._lock:
                pending = list(self._pending)
            sent += self._send(pending)
        return sent

    def _seal(self) -> None:
        """Seal the hours that are whole after the head that the platform has."""
        head = self._link.sealed_head()
        seq, prev = head.seq, head.hash
        with self._lock:
            for hour in self._closed[:_PENDING_MOST]:
                seq += 1
                event = {**hour, "seq": seq, "prev": prev, "site": self._site, "key": self._key.id}
                event["hash"] = prev = seal(event)
                text = canonical(event).decode()
                self._pending.append({"text": text, "signature": self._key.sign(prev)})
            self._closed = self._closed[_PENDING_MOST:]
            self._save()

    def _send(self, pending: Sequence[dict[str, str]]) -> int:
        for at in range(0, len(pending), _AT_ONCE):
            some = pending[at : at + _AT_ONCE]
            try:
                self._link.send_sealed([SealedDoc(**each) for each in some])
            except Conflict as error:
                # Another agent of the site, or a copy of this folder, sealed in between: seal the rest anew.
                _log.error("sealed reports do not go on after the platform's", why=error.message)
                self._unseal(pending[at:])
                return at
            with self._lock:
                self._pending = [each for each in self._pending if each not in some]
                self._save()
        return len(pending)

    def _unseal(self, docs: Sequence[dict[str, str]]) -> None:
        hours = [json.loads(each["text"]) for each in docs]
        with self._lock:
            again = [{name: each[name] for name in ("hour", "seen_ms", "pools")} for each in hours]
            self._closed = again + self._closed
            self._pending = []
            self._save()

    def _save(self) -> None:
        state = {
            "cards": self._cards, "open": self._open, "closed": self._closed, "pending": self._pending
        }  # fmt: skip
        keep(self._path, state, "hours of cards are not written down")


def _read(path: Path) -> dict[str, Any]:
    found = kept(path)
    kinds = {"cards": dict, "open": dict, "closed": list, "pending": list}
    return found if all(isinstance(found.get(name), kind) for name, kind in kinds.items()) else {}
