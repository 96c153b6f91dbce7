"""The receipt of a placement: all that the decision knew and all that it said, replayable bit for bit.

What is stored is a ticket: which question of which page, at which step, and the answer. The page holds what
the whole turn knew, once. Receipts of versions 1 to 3 held everything themselves; they are still read.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from json.encoder import encode_basestring_ascii as _quoted
from operator import attrgetter

from hutong.core.kernel.documents import LATE, decode, encode
from hutong.core.kernel.errors import Broken
from hutong.core.placement.decide import Decision, decide
from hutong.core.placement.page import Grounds, Page, booked, capped, unseal, views_of
from hutong.core.placement.request import Beside, Cap, Policy, PoolView, Request, paid_for

VERSION = 4
WHOLE = 3
"""The last version whose receipts held everything themselves."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A receipt as it is stored. `pool` is an index into the page's pools, in the order of its grounds.

    `barred` are the accelerators that the quotas of its accounts left it none of at that step; `booked` are
    (pool, from_ms, until_ms, spare): what bookings left it of pools from which they kept it. `capped` are the
    same of limits of power, with the kW, where one left it less than what was free.
    """

    version: int
    job: str
    attempt: int
    page: str
    question: int
    step: int
    pool: int
    cards: int
    score_ppm: int
    barred: tuple[str, ...] = field(default=(), metadata=LATE)
    booked: tuple[tuple[int, int, int, int], ...] = field(default=(), metadata=LATE)
    capped: tuple[tuple[int, int, int, int, int], ...] = field(default=(), metadata=LATE)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Why an attempt went where it went. `version` names the decision code that wrote it."""

    version: int
    job: str
    attempt: int
    at_ms: int
    policy: Policy
    request: Request
    pools: tuple[PoolView, ...]
    decision: Decision


@dataclass(frozen=True, slots=True)
class Opened:
    """A stored receipt with its digest, decided again: `now` is what today's code says to the same inputs.

    `differences` are in words where it says something else; empty if every bit is the same.
    """

    digest: str
    now: Receipt
    now_digest: str
    differences: tuple[str, ...]


def encode_ticket(ticket: Ticket, page: str = "") -> bytes:
    """Return the canonical bytes that are stored; `page` stands in for a page that had no digest yet."""
    if not (ticket.barred or ticket.booked or ticket.capped):  # as nearly all are, at a fourth of the time
        return (
            f'{{"attempt":{ticket.attempt},"cards":{ticket.cards},"job":{_quoted(ticket.job)},'
            f'"page":{_quoted(ticket.page or page)},"pool":{ticket.pool},"question":{ticket.question},'
            f'"score_ppm":{ticket.score_ppm},"step":{ticket.step},"version":{ticket.version}}}'
        ).encode()
    told: dict[str, object] = dict(zip(_FIRST, _read(ticket), strict=True))
    told["page"] = ticket.page or page
    told |= {name: value for name in _LATE if (value := getattr(ticket, name))}
    return _JSON.encode(told).encode()


_LATE = ("barred", "booked", "capped")
_FIRST = tuple(name for name in Ticket.__slots__ if name not in _LATE)
_read = attrgetter(*_FIRST)
_JSON = json.JSONEncoder(separators=(",", ":"), sort_keys=True)


def digest(data: bytes) -> str:
    """Return `sha256:<hex>` of stored bytes."""
    return f"sha256:{sha256(data).hexdigest()}"


def open_receipt(data: bytes, fetch: Callable[[str], bytes | None]) -> Opened:
    """Return a stored receipt; `fetch` gives a page or its grounds by digest. Broken if one is gone."""
    version = version_of(data)
    if version <= WHOLE:
        return _open_whole(data)
    ticket, page, grounds = unpack(data, fetch)
    question = page.questions[ticket.question]
    request = replace(question.request, barred=ticket.barred)
    pools = views_for(ticket, page, grounds)
    decision = decide(request, pools, question.policy)
    choice = decision.choice
    now = replace(
        ticket,
        pool=decision.chosen,
        cards=choice.cards if choice else 0,
        score_ppm=choice.score_ppm if choice else 0,
    )
    receipt = Receipt(
        ticket.version,
        ticket.job,
        ticket.attempt,
        page.at_ms,
        question.policy,
        request,
        pools,
        decision,
    )
    return Opened(digest(data), receipt, digest(encode_ticket(now)), _told(ticket, now, pools))


def views_for(ticket: Ticket, page: Page, grounds: Grounds) -> tuple[PoolView, ...]:
    """Return every pool as the decision of a ticket saw it, in the moment of the page."""
    request = page.questions[ticket.question].request
    beside: dict[int, tuple[Beside, ...]] = {}
    for pool, from_ms, until_ms, spare in ticket.booked:
        each = Beside(max(0, from_ms - page.at_ms), from_ms, until_ms, spare)
        beside[pool] = (*beside.get(pool, ()), each)
    caps: dict[int, tuple[Cap, ...]] = {}
    for pool, from_ms, until_ms, spare, limit_kw in ticket.capped:
        cap = Cap(max(0, from_ms - page.at_ms), from_ms, until_ms, spare, limit_kw)
        caps[pool] = (*caps.get(pool, ()), cap)
    views = _seen_by(request, views_of(grounds, page, ticket.step, request.run_ms))
    return capped(booked(views, beside), caps)


def _seen_by(request: Request, views: tuple[PoolView, ...]) -> tuple[PoolView, ...]:
    """Return the pools at the prices of a request, with no more of their stock than it names.

    A digest is a capability.
    """
    views = paid_for(request, views)
    asked = {each.digest for each in request.cargo}
    return tuple(
        replace(view, stock=tuple(each for each in view.stock if each in asked)) if view.stock else view
        for view in views
    )


def unpack(data: bytes, fetch: Callable[[str], bytes | None]) -> tuple[Ticket, Page, Grounds]:
    """Return a stored ticket with its page and the grounds of that; Broken if one of them is gone."""
    ticket = decode(Ticket, data)
    page = unseal(Page, ticket.page, _fetched(fetch, ticket.page))
    return ticket, page, unseal(Grounds, page.grounds, _fetched(fetch, page.grounds))


def _fetched(fetch: Callable[[str], bytes | None], name: str) -> bytes:
    found = fetch(name)
    if found is None:
        raise Broken(f"{name} is gone, on which a receipt rests")
    return found


def version_of(data: bytes) -> int:
    """Return the version of a stored receipt; Broken if it is none."""
    try:
        return int(json.loads(data)["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise Broken(f"not a receipt: {error}") from error


def _told(before: Ticket, now: Ticket, pools: tuple[PoolView, ...]) -> tuple[str, ...]:
    found = []
    if before.pool != now.pool:
        found.append(f"chosen: {_name(before.pool, pools)} became {_name(now.pool, pools)}")
    for name in ("cards", "score_ppm"):
        one, other = getattr(before, name), getattr(now, name)
        if one != other:
            found.append(f"{name}: {one} became {other}")
    return tuple(found)


def _name(pool: int, pools: tuple[PoolView, ...]) -> str:
    return f"{pools[pool].site}/{pools[pool].pool}" if pool >= 0 else "no pool"


def _open_whole(data: bytes) -> Opened:
    """Return a receipt of versions 1 to 3, which repeats every pool and what was said of it."""
    before = decode(Receipt, data)
    now = replace(before, decision=decide(before.request, before.pools, before.policy))
    found = []
    if before.decision.chosen != now.decision.chosen:
        names = (_name(each.decision.chosen, before.pools) for each in (before, now))
        found.append("chosen: {} became {}".format(*names))
    pairs = zip(before.decision.rows, now.decision.rows, strict=True)
    found += [f"{a.site}/{a.pool}: {a} became {b}" for a, b in pairs if a != b]
    return Opened(digest(data), now, digest(encode(now)), tuple(found))
