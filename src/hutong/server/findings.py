"""Findings that are kept: the desk looks at ended days and writes them down; people explain and decide."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import structlog

from hutong.core.book.audit import Author
from hutong.core.book.store import Record, Store
from hutong.core.capacity.sites import Site
from hutong.core.kernel.chain import ChainFault, Head
from hutong.core.kernel.days import day_of, day_text
from hutong.core.kernel.errors import Conflict, HutongError, Later
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.ledger.metering import Limits
from hutong.core.witnesses.life import WAITING, FindingState, KeptFinding, refresh
from hutong.core.witnesses.shapes import Bounds, Finding, Sure
from hutong.server.audited import audited
from hutong.server.reconciling import SITES_AT_MOST
from hutong.server.registry import document, every, load, read
from hutong.server.sealing import NOTED, Noted, check_sealed, noted_of
from hutong.server.witnessing import CONFIRMED, confirmed_day, find_on

log = structlog.get_logger(__name__)

KIND = "finding"
WAITS = "finding_waits"
LATE_DAYS = 3
"""A day is looked at again on so many days after: accounting, readings and sealed hours come late."""
SETTLED_MS = 2 * HOUR_MS
AT_MOST = 500
"""Findings that are kept of a site's day, the surest and largest ones."""
_TRIES = 20
_PAGE = 200


def name_of(site: str, day: int, found: Finding) -> str:
    """Return under what name a finding is kept: the same one has the same name; names go by site and day."""
    digest = sha256(f"{found.kind.value}\n{found.about}".encode()).hexdigest()
    return f"{site}.{day_text(day)}.{digest[:16]}"


def keep(store: Store, site: str, day: int, found: Sequence[Finding], now_ms: int) -> int:
    """Write what was found of a day, and what is no longer found; return how many findings changed."""
    named: dict[str, Finding] = {}
    for each in found:
        name = name_of(site, day, each)
        there = named.get(name)
        named[name] = each if there is None else replace(there, size=there.size + each.size)
    order = sorted(named, key=lambda name: (named[name].sure is not Sure.CERTAIN, -named[name].size, name))
    if len(order) > AT_MOST:
        log.warning("findings_left_out", site=site, day=day, count=len(order) - AT_MOST)
    changed = 0
    for name in order[:AT_MOST]:
        one = named[name]
        changed += _update(store, name, one, KeptFinding(name, site, day, one, now_ms, now_ms), now_ms)
    gone = [each.id for each in of_day(store, site, day) if each.id not in named]
    return changed + sum(_update(store, name, None, None, now_ms) for name in gone)


def of_day(store: Store, site: str, day: int) -> Iterator[KeptFinding]:
    """Yield the findings that are kept of a site's day."""
    prefix = after = f"{site}.{day_text(day)}."
    while page := store.records(KIND, site, after, _PAGE):
        for row in page:
            if not row.id.startswith(prefix):
                return
            yield read(KeptFinding, row)
        after = page[-1].id


def _update(store: Store, name: str, found: Finding | None, fresh: KeptFinding | None, now_ms: int) -> bool:
    for _ in range(_TRIES):
        row = store.get(KIND, name)
        before = None if row is None else read(KeptFinding, row)
        after = fresh if before is None else refresh(before, found, now_ms)
        if after is None or after == before:
            return False
        try:
            _write(store, after, row)
        except Conflict:  # somebody explains or decides it right now: look at what became of it
            continue
        return True
    raise Later(f"finding {name} is being changed by others", 1)


def _write(store: Store, kept: KeptFinding, row: Record | None) -> None:
    """Write a finding with what follows from its state, in one transaction; raises Conflict."""
    record = Record(KIND, kept.id, document(kept), parent=kept.site)
    writes: list[tuple[Record, int | None]] = [(record, 0 if row is None else row.version)]
    if kept.state in WAITING:
        writes.append((Record(WAITS, kept.id, {}, parent=kept.site), None))
    if kept.state is FindingState.CONFIRMED:
        writes.append((Record(CONFIRMED, confirmed_day(kept.site, kept.day), {}, parent=kept.site), None))
    store.put_all(writes)
    if kept.state not in WAITING:
        store.remove(WAITS, kept.id)  # if we are killed before it, lists leave it out all the same


def change(store: Store, name: str, how: Callable[[KeptFinding], KeptFinding]) -> KeptFinding:
    """Change a finding as it is when nobody else does; raises NotFound, or Later after many tries."""
    for _ in range(_TRIES):
        before = load(store, KIND, name, KeptFinding)
        row = store.get(KIND, name)
        after = how(before)
        if row is None or after == before:
            return after
        try:
            _write(store, after, row)
        except Conflict:
            continue
        return after
    raise Later(f"finding {name} is being changed by others", 1)


def waiting(store: Store, rows: Iterable[Record]) -> Mapping[str, KeptFinding]:
    """Return those findings of rows of the index that wait for somebody, by name."""
    there = (store.get(KIND, row.id) for row in rows)
    found = [read(KeptFinding, row) for row in there if row is not None]
    return {each.id: each for each in found if each.state in WAITING}


@dataclass(frozen=True, slots=True)
class FindingsDesk:
    """Looks at each site's ended days. Killed at any line, it does the same day again."""

    store: Store
    limits: Limits
    clock: Callable[[], int]
    bounds: Bounds = field(default_factory=Bounds)

    def step(self) -> int:
        """Look at one more day of each site that has ended; return how many sites had one."""
        now_ms = self.clock()
        last = day_of(now_ms - SETTLED_MS) - 1
        author = Author("platform", now_ms, reason="witnesses of an ended day compared")
        told = audited(self.store, lambda _: author)
        count = 0
        for row in every(self.store, "site", "", SITES_AT_MOST):
            try:
                count += self._site(told, read(Site, row), last, now_ms)
            except HutongError as error:  # the next ones must not wait for this one
                log.warning("not_looked_at", site=row.id, detail=str(error))
        return count

    def _site(self, store: Store, site: Site, last: int, now_ms: int) -> bool:
        row, noted = noted_of(store, site.id)
        day = last if noted is None else noted.day + 1
        if day > last:
            return False
        faults, head = _check_on(store, site.id, noted.head if noted else None)
        changed = 0
        for each in range(max(0, day - LATE_DAYS), day + 1):
            broken = faults if each == day else ()
            found = find_on(store, site, each, self.limits, self.bounds, now_ms, broken)
            changed += keep(store, site.id, each, found, now_ms)
        after = Noted(site.id, head.seq, head.hash, day)
        # Another loop's desk may have done the same day: it wrote the same.
        store.put(Record(NOTED, site.id, document(after)), row.version if row else 0)
        log.info("looked_at", site=site.id, day=day_text(day), changed=changed, head=head.text)
        return True


def _check_on(store: Store, site: str, since: Head | None) -> tuple[tuple[ChainFault, ...], Head]:
    """Check what was sealed since a noted head, page by page; return the faults and the new head."""
    checked = check_sealed(store, site) if since is None else check_sealed(store, site, since)
    faults = checked.faults
    while checked.more:
        checked = check_sealed(store, site, checked.head)
        faults = (*faults, *checked.faults)
    return faults[:AT_MOST], checked.head
