"""Reserve, settle, release: the money of one request, in the same ledger as jobs.

Before a request is sent on, the most that it can cost is held on the project's lots; if they do not have it,
the request is refused. When it is over, one posting books the tokens, pays for them and closes the hold.

What is charged:
- the engine reports usage: those tokens;
- it does not, or the caller leaves, or the engine dies on the way: the prompt by its bytes (four a token)
  and each piece of the answer that was passed on as one token, `counted`;
- a request that has a price of its own pays it once, with its tokens;
- the engine refuses, or never begins to answer: nothing;
- this gateway is killed: nothing; the hold is let go after `STALE_MS` by whichever gateway sweeps.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog

from hutong.core.book.money import REQUEST, HoldChange, HoldPart, Posting, Txn, UsageRecord
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Conflict, Later
from hutong.core.kernel.ids import ProjectId, ulid
from hutong.core.kernel.money import format_micro
from hutong.core.kernel.rating import MILLION_TOKENS, rate, rate_tokens
from hutong.core.ledger.funding import plan_hold, settle
from hutong.core.ledger.prices import PER
from hutong.server.gateway.asks import Ask
from hutong.server.gateway.budgets import Budgets
from hutong.server.gateway.directory import Target
from hutong.server.gateway.faults import Fault

PREFIX = "gw-"
STALE_MS = 3_600_000  # twice the longest request: a hold this old has no owner
_TRIES = 64
_SWEPT_AT_ONCE = 500
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money held for one request under `key`, `gw-<ulid>`."""

    key: str
    target: Target
    parts: tuple[HoldPart, ...]
    from_ms: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a request used. `source` says who counted: `upstream` (the engine) or `counted` (the gateway)."""

    prompt: int = 0
    completion: int = 0
    source: str = "counted"


class Purse:
    """Holds and pays. Its methods write to the store: not for an event loop."""

    def __init__(self, store: Store, clock: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._budgets = Budgets(store, clock)

    def reserve(self, target: Target, ask: Ask) -> Reservation:
        """Hold the most that the request can cost; Fault `insufficient_quota` without money or budget."""
        most_micro = (
            rate_tokens(ask.reserve_in, target.price_in_micro)
            + rate_tokens(ask.reserve_out, target.price_out_micro)
            + target.price_request_micro
        )
        self._budgets.require(target.project, most_micro)
        key = f"{PREFIX}{self._new_id()}"
        for _ in range(_TRIES):
            now_ms = self._clock()
            parts = plan_hold(self._store.lots(target.project), most_micro, now_ms)
            if parts is None:
                break
            if not parts:
                return Reservation(key, target, (), now_ms)
            try:
                self._store.post(Posting(holds=(HoldChange(key, target.project, parts),)))
            except Conflict as conflict:
                if conflict.code != "insufficient_funds":
                    raise
                continue  # another request was faster: look at what is left
            return Reservation(key, target, parts, now_ms)
        else:
            raise Later("many requests want the last money of this project at once", 1)
        message = (
            f"project {target.project} cannot hold the {format_micro(most_micro)} CNY that this request "
            "may cost; lower max_tokens, or ask for an award"
        )
        raise Fault(429, "insufficient_quota", message, kind="insufficient_quota")

    def settle(self, held: Reservation, tokens: Tokens) -> None:
        """Book the tokens, pay for them and let go of the rest, in one posting. A repeat changes nothing."""
        target = held.target
        now_ms = self._clock()
        records = tuple(self._records(held, tokens, now_ms))
        charge_micro = sum(record.charge_micro for record in records)
        if not held.parts and self._store.usage(target.project, held.key, "", 1):
            return  # free of charge, so no hold guards it against a repeat
        for trial in range(_TRIES):
            lots = self._store.lots(target.project)
            if trial == _TRIES - 1:  # others take what is free as fast as we look: the rest is overrun
                mine = {part.lot for part in held.parts}
                lots = tuple(lot for lot in lots if lot.id in mine)
            paid = settle(held.parts, lots, target.project, 0, charge_micro, now_ms, final=True)
            name, legs = f"tokens:{held.key}", paid.entries
            txn = Txn(name, "tokens", target.project, now_ms, held.key, legs, site=target.site)
            txns = (txn,) if legs else ()
            closes = (HoldChange(held.key, target.project, paid.parts, closes=True),) if held.parts else ()
            if not txns and not closes and not records:
                return
            try:
                self._store.post(Posting(txns, closes, records))
            except Conflict as conflict:
                if conflict.code == "hold_closed":
                    return  # it was settled, or swept: never twice
                if conflict.code != "insufficient_funds":
                    raise
                continue
            return
        raise Later("others move the money of this project all the time", 1)

    def _records(self, held: Reservation, tokens: Tokens, now_ms: int) -> Iterator[UsageRecord]:
        target = held.target
        priced = bool(target.price_request_micro and (tokens.prompt or tokens.completion))
        for unit, quantity, price_micro, per in (
            ("token_in", tokens.prompt, target.price_in_micro, MILLION_TOKENS),
            ("token_out", tokens.completion, target.price_out_micro, MILLION_TOKENS),
            (REQUEST, int(priced), target.price_request_micro, PER[REQUEST]),
        ):
            if quantity:
                yield UsageRecord(
                    id=f"{held.key}:{unit}",
                    project=target.project,
                    key=held.key,
                    site=target.site,
                    sku=target.name,
                    unit=unit,
                    quantity=quantity,
                    price_micro=price_micro,
                    per=per,
                    charge_micro=rate(quantity, price_micro, per),
                    from_ms=held.from_ms,
                    upto_ms=max(now_ms, held.from_ms),
                    method=tokens.source,
                )

    def sweep(self) -> int:
        """Let go of holds that a gateway left behind when it was killed; return how many."""
        oldest = PREFIX + ulid(max(0, self._clock() - STALE_MS), bytes(10))
        swept = 0
        for project in self._projects():
            for hold in self._store.holds(project, _SWEPT_AT_ONCE):
                if not (hold.key.startswith(PREFIX) and hold.key < oldest):
                    continue
                back = tuple(HoldPart(part.lot, -part.amount_micro) for part in hold.parts)
                try:
                    self._store.post(Posting(holds=(HoldChange(hold.key, project, back, closes=True),)))
                except Conflict:  # another gateway swept it
                    continue
                swept += 1
                _log.warning("let go of a hold whose gateway is gone", hold=hold.key, project=project)
        return swept

    def _projects(self) -> Iterator[ProjectId]:
        """Yield each project that ever deployed a model: only they have holds of ours."""
        after, last = "", ""
        while page := self._store.records("deployment", "", after, 200):
            for record in page:
                if record.parent != last:
                    last = record.parent
                    yield ProjectId(last)
            after = page[-1].id
