"""The energy desk: settles hours whose readings came, and keeps meters, contracts and certificates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import structlog

from hutong.core.book.energy import DueHour, SiteHour
from hutong.core.book.metered import NAMES_AT_ONCE
from hutong.core.book.meters import METER, Measures, Meter
from hutong.core.book.store import Record, Store
from hutong.core.capacity.sites import Site
from hutong.core.energy import certificates as c
from hutong.core.energy.carbon import FACTOR, Factor
from hutong.core.energy.contracts import CONTRACT, Contract
from hutong.core.energy.counted import Taken, in_all, in_hour
from hutong.core.energy.embodied import EMBODIED, Embodied, embodied_mg
from hutong.core.energy.pue import PUE, PueTable, tables_by_id
from hutong.core.energy.settling import Known, open_hours, settle
from hutong.core.kernel.days import month_of
from hutong.core.kernel.errors import Conflict, HutongError, Later, NotFound, Problem, Refused
from hutong.core.kernel.quantities import HOUR_MS
from hutong.server.registry import create, document, every, load, read

log = structlog.get_logger(__name__)

SITE = "site"
AT_ONCE = 200
DOCUMENTS_MAX = 1000
"""Meters, and contracts, of a region."""
_TRIES = 20


@dataclass(frozen=True, slots=True)
class EnergyDesk:
    """Settles every hour that is due. Killed at any line, the hour is due again."""

    store: Store
    clock: Callable[[], int]

    def step(self) -> int:
        """Settle what is due, at most so much at once; return how many hours were looked at."""
        now_ms = self.clock()
        due = self.store.due_hours(now_ms, AT_ONCE)
        parts: dict[str, _Region] = {}
        for each in due:
            part = parts.get(each.region) or parts.setdefault(
                each.region, _Region.of(self.store, each.region)
            )
            try:
                settled = settle(each, part.known(self.store, each), now_ms)
                if not self.store.settle_hour(settled):
                    log.info("settled_later", region=each.region, hour=each.hour)
            except HutongError as error:  # the next ones must not wait for this one
                log.warning("not_settled", region=each.region, hour=each.hour, detail=str(error))
        if due:
            log.info("settled", hours=len(due))
        return len(due)


@dataclass(frozen=True, slots=True)
class _Region:
    """What is declared in a region, read once for all of its hours."""

    meters: tuple[Meter, ...]
    contracts: tuple[Contract, ...]
    sites: dict[str, Site]
    tables: dict[str, PueTable]
    factors: dict[str, Factor]

    @classmethod
    def of(cls, store: Store, region: str) -> "_Region":
        """Read it."""
        meters = tuple(read(Meter, row) for row in every(store, METER, region, DOCUMENTS_MAX))
        names = sorted({each.site for each in meters if each.measures is Measures.FACILITY})
        sites = {name: read(Site, row) for name in names if (row := store.get(SITE, name)) is not None}
        tables = [read(PueTable, row) for name in names for row in every(store, PUE, name, DOCUMENTS_MAX)]
        factors = [read(Factor, row) for row in every(store, FACTOR, region, DOCUMENTS_MAX)]
        return cls(
            meters,
            tuple(read(Contract, row) for row in every(store, CONTRACT, region, DOCUMENTS_MAX)),
            sites,
            tables_by_id(tables),
            {each.id: each for each in factors},
        )

    def known(self, store: Store, due: DueHour) -> Known:
        """Return all that an hour is settled by."""
        hours = store.region_hours(due.region, due.hour)
        there = sorted({each.site for each in hours if each.measures is Measures.FACILITY})
        sites = [self.sites[name] for name in there if name in self.sites]
        year = 1970 + month_of(due.hour // 24) // 12
        factor = self.factors.get(f"{due.region}/{year}")
        uses = {str(site.id): store.card_ms_in(site.id, due.hour) for site in sites}
        taken = {name: taken_in(store, name, [u.key for u in told], due.hour) for name, told in uses.items()}
        return Known(
            meters=self.meters,
            hours=hours,
            sites=sites,
            uses=uses,
            contracts=self.contracts,
            tables=self.tables,
            residual_mg_per_kwh=factor.residual_mg_per_kwh if factor else None,
            taken=taken,
        )


def taken_in(store: Store, site: str, keys: Sequence[str], hour: int) -> dict[str, Taken]:
    """Return what the counters of a site's engine say that attempts took in an hour."""
    found: dict[str, Taken] = {}
    names = sorted(set(keys))
    for at in range(0, len(names), NAMES_AT_ONCE):
        kept = store.records_for(site, names[at : at + NAMES_AT_ONCE])
        told = sorted({each.record.key for each in kept if each.record.energy_basis})
        if told:
            billed = {each.key: each.card_ms for each in store.billed(told)}
            found |= in_hour(kept, billed, hour)
    return found


def taken_by(store: Store, site: str, key: str) -> Taken:
    """Return what the counters of a site's engine say that an attempt took in all."""
    billed = store.billed([key])
    return in_all(store.records_for(site, [key]), billed[0].card_ms if billed else 0)


def settle_open(store: Store, region: str, now_ms: int) -> int:
    """Have the hours of the open month settled again, after what they rest on was changed.

    Killed between the two, a repeat of the change does it.
    """
    return store.settle_again(region, open_hours(now_ms), now_ms)


def embodied_of(store: Store, used: Sequence[tuple[str, int]]) -> int | None:
    """Return the embodied carbon of card-milliseconds by `site/pool`, in mg; None if one is not stated."""
    rows = {pool: store.get(EMBODIED, pool) for pool, _ in used}
    return embodied_mg(used, {pool: read(Embodied, row) if row else None for pool, row in rows.items()})


def region_of(store: Store, measures: Measures, site: str, contract: str) -> str:
    """Return the region of a meter's site or contract; raises Refused that names the field."""
    if bool(site) == bool(contract) or bool(contract) != (measures is Measures.DELIVERED):
        message = "a meter of `delivered` is a contract's, every other one a site's"
        path = "/contract" if contract else "/site"
        raise Refused("bad_meter", message, (Problem(path, message, "name one of them"),))
    try:
        return (
            load(store, CONTRACT, contract, Contract).region
            if contract
            else load(store, SITE, site, Site).region
        )
    except NotFound as error:
        path = "/contract" if contract else "/site"
        raise Refused("unknown_reference", error.message, (Problem(path, error.message),)) from error


def add_meter(store: Store, meter: Meter) -> Meter:
    """Write a meter; a repeat changes nothing, another one under its name is a Conflict."""
    there = store.get(METER, meter.id)
    if there is not None and replace(read(Meter, there), until_ms=0) == meter:
        return read(Meter, there)
    if len(every(store, METER, meter.region, DOCUMENTS_MAX)) >= DOCUMENTS_MAX:
        raise Conflict("too_many", f"region {meter.region} has {DOCUMENTS_MAX} meters already")
    return read(Meter, create(store, Record(METER, meter.id, document(meter), meter.region), "meter"))


def add_contract(store: Store, contract: Contract) -> Contract:
    """Write a contract; raises Refused for a site that there is not, or that lies elsewhere."""
    problems = []
    for at, name in enumerate(contract.sites):
        row = store.get(SITE, name)
        if row is None:
            problems.append(Problem(f"/sites/{at}", f"there is no site {name!r}", "register it first"))
        elif (region := read(Site, row).region) != contract.region:
            message = f"{name} lies in {region}, and the contract delivers in {contract.region}"
            problems.append(Problem(f"/sites/{at}", message, "sites of one region of the grid"))
    if problems:
        raise Refused("bad_contract", problems[0].message, tuple(problems))
    there = store.get(CONTRACT, contract.id)
    if there is not None and replace(read(Contract, there), until_ms=contract.until_ms) == contract:
        return read(Contract, there)
    if len(every(store, CONTRACT, contract.region, DOCUMENTS_MAX)) >= DOCUMENTS_MAX:
        raise Conflict("too_many", f"region {contract.region} has {DOCUMENTS_MAX} contracts already")
    return read(
        Contract,
        create(store, Record(CONTRACT, contract.id, document(contract), contract.region), "contract"),
    )


def add_certificates(store: Store, made: c.Certificates, now_ms: int) -> c.Certificates:
    """Write certificates with their serial numbers, of which none was known. A repeat changes nothing."""
    for _ in range(_TRIES):
        there = store.get(c.CERTIFICATE, made.id)
        if there is not None:
            before = read(c.Certificates, there)
            if replace(before, portions=()) == made:
                return before
            raise Conflict("exists", f"there are other certificates {made.id!r} already")
        c.check(made, now_ms)
        known = c.Serials(made.scheme, made.series)
        row = store.get(c.SERIALS, known.id)
        after = c.register(known if row is None else read(c.Serials, row), made)
        writes = [
            (Record(c.CERTIFICATE, made.id, document(made), made.region), 0),
            (Record(c.SERIALS, after.id, document(after), made.scheme), row.version if row else 0),
        ]
        try:
            store.put_all(writes)
        except Conflict:
            continue
        return made
    raise Later("certificates of this series are being registered by others", 1)


def retire(store: Store, name: str, portion: str, reference: str, by: str, now_ms: int) -> c.Certificates:
    """Retire a portion and count it for its use, both or neither; twice is a Conflict."""
    for _ in range(_TRIES):
        row = store.get(c.CERTIFICATE, name)
        if row is None:
            raise NotFound("not_found", f"there are no certificates {name!r}")
        after = c.retire(read(c.Certificates, row), portion, reference, by, now_ms)
        used = next(each for each in after.portions if each.id == portion)
        told = c.RetiredFor(used.site, used.month)
        there = store.get(c.RETIRED, told.id)
        site = store.get(SITE, used.site)
        region = read(Site, site).region if site else ""
        told = c.count(told if there is None else read(c.RetiredFor, there), after, portion, region)
        writes = [
            (replace(row, doc=document(after)), row.version),
            (Record(c.RETIRED, told.id, document(told), told.site), there.version if there else 0),
        ]
        try:
            store.put_all(writes)
        except Conflict:
            continue
        return after
    raise Later(f"certificates {name} are being changed by others", 1)


def retired_for(store: Store, site: str, month: int) -> c.RetiredFor:
    """Return the certificates that are retired for a site's use of a month."""
    none = c.RetiredFor(site, month)
    row = store.get(c.RETIRED, none.id)
    return none if row is None else read(c.RetiredFor, row)


def hours_between(store: Store, site: str, hours: tuple[int, int]) -> Iterator[SiteHour]:
    """Yield the settled hours of a site in a time, a page after the other."""
    first = hours[0]
    while True:
        page = store.site_hours(site, (first, hours[1]), 1000)
        yield from page
        if len(page) < 1000:
            return
        first = page[-1].hour + 1


def hour_of(at_ms: int) -> int:
    """Return the hour of a moment, since 1970."""
    return at_ms // HOUR_MS
