"""What sites seal: looked at before it is kept, and checked from the first report on when asked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from hutong.adapters.identity.signing import is_signed, key_id
from hutong.core.book.sealed import PoolHour, SealedReport
from hutong.core.book.store import Record, Store
from hutong.core.capacity.sites import Site
from hutong.core.kernel.chain import START, ChainFault, Head, parse_line, seal, verify
from hutong.core.kernel.errors import Conflict, Denied, NotFound, Problem, Refused
from hutong.server.registry import document, every, read
from hutong.wire.sealed import HOUR_MS, PoolSeen, SealedDoc, SealedHour

KIND = "site_key"
NOTED = "sealed_head"
KEYS_AT_MOST = 50
CHECKED_AT_ONCE = 10_000
_PAGE = 500


@dataclass(frozen=True, slots=True)
class SiteKey:
    """A public key (hex) of a site's agent, and from when to when it may seal. `retired_ms` 0: still."""

    id: str
    site: str
    public: str
    registered_ms: int
    retired_ms: int = 0


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of a chain found; with `more`, it goes on after `head`."""

    reports: int
    signed: int
    unsigned: int
    head: Head
    more: bool
    faults: tuple[ChainFault, ...]


@dataclass(frozen=True, slots=True)
class Noted:
    """How far a site's chain was checked when its `day` (since 1970) was looked at; the audit tells of each.

    Who changes the chain before it must change this, and the audit's own chain, too.
    """

    site: str
    seq: int
    hash: str
    day: int

    @property
    def head(self) -> Head:
        """The place in the chain."""
        return Head(self.seq, self.hash)


def noted_of(store: Store, site: str) -> tuple[Record | None, Noted | None]:
    """Return the document of how far a site's chain was checked, and what it says."""
    row = store.get(NOTED, site)
    return row, None if row is None else read(Noted, row)


def check_noted(store: Store, site: str) -> "Checked":
    """Check what a site sealed since the noted head (at most 10,000 reports)."""
    _, noted = noted_of(store, site)
    return check_sealed(store, site, noted.head if noted else START)


def keys_of(store: Store, site: str) -> tuple[SiteKey, ...]:
    """Return the keys of a site, the retired ones too."""
    return tuple(read(SiteKey, row) for row in every(store, KIND, site, KEYS_AT_MOST))


def add_key(store: Store, site: str, public: str, now_ms: int) -> SiteKey:
    """Register a key of a site's agent; one that is there stays. Raises Conflict if it was retired."""
    name = f"{site}.{key_id(public)}"
    there = store.get(KIND, name)
    if there is not None:
        found = read(SiteKey, there)
        if found.retired_ms:
            raise Conflict("key_retired", f"key {found.id} was retired; the agent needs a new one")
        return found
    if len(keys_of(store, site)) >= KEYS_AT_MOST:
        raise Refused("too_many", f"{site} has had {KEYS_AT_MOST} keys", (Problem("", "too many keys", ""),))
    made = SiteKey(key_id(public), site, public, now_ms)
    store.put(Record(KIND, name, document(made), parent=site), 0)
    return made


def retire_key(store: Store, site: str, key: str, now_ms: int) -> SiteKey:
    """Let a key seal no more; what it sealed before stays signed."""
    there = store.get(KIND, f"{site}.{key}")
    if there is None:
        raise NotFound("not_found", f"{site} has no key {key!r}")
    found = read(SiteKey, there)
    if not found.retired_ms:
        found = replace(found, retired_ms=now_ms)
        store.put(Record(KIND, there.id, document(found), parent=site), there.version)
    return found


def take_in_sealed(store: Store, site: Site, docs: Sequence[SealedDoc], now_ms: int) -> Head:
    """Keep sealed reports of a site with the hours they tell of; return its head.

    Raises Refused for what is not sealed rightly, Denied for a signature that does not answer to a key that
    may seal, Conflict for a gap or a fork. A site without any key is believed unsigned.
    """
    keys = {each.id: each for each in keys_of(store, site.id)}
    reports: list[SealedReport] = []
    hours: list[PoolHour] = []
    for at, doc in enumerate(docs):
        told = _parse(doc, site.id, at)
        if keys:
            key = keys.get(told.key)
            known = store.sealed_head(site.id).seq >= told.seq  # a repeat, under a key that is retired since
            if key is None or (key.retired_ms and not known):
                raise Denied("bad_seal", f"report {told.seq}: key {told.key} may not seal for {site.id}")
            if not is_signed(key.public, told.hash, doc.signature):
                raise Denied("bad_seal", f"report {told.seq}: the signature does not answer to {told.key}")
        reports.append(
            SealedReport(site.id, told.seq, told.prev, told.hash, told.key, doc.signature, doc.text, now_ms)
        )
        hours += _hours(site, told)
    return store.keep_sealed(reports, hours)


def _parse(doc: SealedDoc, site: str, at: int) -> SealedHour:
    where = f"/reports/{at}/text"
    event = parse_line(doc.text.encode(errors="surrogatepass"))
    if event is None or seal(event) != event.get("hash"):
        text = "is not the canonical JSON of a report whose hash is right"
        raise Refused("bad_seal", text, (Problem(where, text, "see docs/operator/utilisation.md"),))
    try:
        told = SealedHour.model_validate(event)
    except ValidationError as error:
        faults = tuple(
            Problem(where + "".join(f"/{part}" for part in each["loc"]), each["msg"], "")
            for each in error.errors(include_url=False)[:20]
        )
        raise Refused("bad_seal", "that is no sealed hour", faults) from error
    if told.site != site:
        raise Denied("bad_seal", f"the report is of {told.site}, the token of {site}")
    return told


def _hours(site: Site, told: SealedHour) -> Iterator[PoolHour]:
    """Yield the hours of all pools of the site: of those that the agent does not name nothing was held."""
    named = {each.pool: each for each in told.pools}
    nothing = {"held_card_ms": 0, "other_card_ms": 0, "busy_card_ms": None, "method": ""}
    planned_ms = _planned_ms(site, told.hour) * told.seen_ms // HOUR_MS
    for pool in site.pools:
        seen = named.get(pool.id) or PoolSeen.model_validate({"pool": pool.id, **nothing})
        declared = pool.cards * told.seen_ms
        up = declared if seen.up_card_ms is None else seen.up_card_ms
        # What jobs held was not worked on, whatever was announced.
        idle = max(0, declared - seen.held_card_ms - seen.other_card_ms)
        yield PoolHour(
            site.id, pool.id, told.hour, pool.cards, told.seen_ms, up, seen.held_card_ms,
            seen.other_card_ms, seen.busy_card_ms, seen.method, told.seq,
            min(pool.cards * planned_ms, idle), pool.accelerator,
        )  # fmt: skip


def _planned_ms(site: Site, hour: int) -> int:
    """Return for how long of an hour a maintenance was announced; several at a time count once."""
    from_ms, total = hour * HOUR_MS, 0
    until_ms = from_ms + HOUR_MS
    for each in sorted(site.maintenance, key=lambda planned: planned.from_ms):
        begin, end = max(from_ms, each.from_ms), min(until_ms, each.until_ms)
        if begin < end:
            total, from_ms = total + end - begin, end
    return total


def _lost(store: Store, site: str, since: Head) -> Iterator[ChainFault]:
    if not since.seq:
        return
    there = next(iter(store.sealed(site, since.seq - 1, 1)), None)
    if there is None:
        end = store.sealed_head(site).seq
        yield ChainFault(since.seq, f"the chain ends at {end}; it went on to {since.seq}")
    elif (there.seq, there.hash) != (since.seq, since.hash):
        yield ChainFault(since.seq, f"report {since.seq} is not the one that was noted")


def check_sealed(store: Store, site: str, since: Head = START) -> Checked:
    """Check a site's chain after a head (at most 10,000 reports): hashes, order and signatures.

    That the chain still has this head is checked too.
    """
    keys = {each.id: each for each in keys_of(store, site)}
    faults = list(_lost(store, site, since))
    signed = unsigned = 0

    def events() -> Iterator[Mapping[str, object] | None]:
        nonlocal signed, unsigned
        after, count = since.seq, 0
        while count < CHECKED_AT_ONCE:
            page = store.sealed(site, after, min(_PAGE, CHECKED_AT_ONCE - count))
            for each in page:
                key = keys.get(each.key)
                if key is None:
                    unsigned += 1
                elif is_signed(key.public, each.hash, each.signature):
                    signed += 1
                else:
                    faults.append(ChainFault(each.seq, f"report {each.seq} is not signed by {each.key}"))
                event = parse_line(each.text.encode(errors="surrogatepass"))
                whole = event is not None and (event.get("seq"), event.get("hash")) == (each.seq, each.hash)
                yield event if whole else None
                after = each.seq
            count += len(page)
            if not page:
                return

    found = verify(events(), since=since)
    more = store.sealed_head(site).seq > found.head.seq and found.events >= CHECKED_AT_ONCE
    told = tuple(sorted((*found.faults, *faults), key=lambda fault: fault.seq))
    return Checked(found.events, signed, unsigned, found.head, more, told[:100])
