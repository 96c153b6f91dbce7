"""Where electricity comes from, at the door: contracts, certificates, residual mixes and tables of PUE."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from hutong.core.accounts.roles import Principal
from hutong.core.book.store import Record
from hutong.core.capacity.sites import Site
from hutong.core.energy import certificates as c
from hutong.core.energy.carbon import FACTOR, Factor
from hutong.core.energy.contracts import CONTRACT, Contract, ContractKind, Source, end_contract
from hutong.core.energy.embodied import EMBODIED, Embodied
from hutong.core.energy.pue import PUE, Cooling, PueTable
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.server import energy as desk
from hutong.server.api.access import Allowed, Here
from hutong.server.api.paging import Paging, paging
from hutong.server.api.shapes.energy import certificates_shape, contract_shape
from hutong.server.api.shapes.times import read_time
from hutong.server.registry import amend, document, load, read
from hutong.wire import energy as w
from hutong.wire.base import Page, Slug

router = APIRouter(prefix="/v1/energy", tags=["energy"])

READ = [Depends(Allowed("energy.read"))]
WRITE = [Depends(Allowed("energy.write"))]
Writer = Annotated[Principal, Depends(Allowed("energy.write"))]
Pages = Annotated[Paging, Depends(paging)]
ContractName = Annotated[Slug, Path(alias="contract")]
CertificateName = Annotated[Slug, Path(alias="certificate")]
PortionName = Annotated[Slug, Path(alias="portion")]


@router.post("/contracts", status_code=201, dependencies=WRITE)
def create_power_contract(here: Here, body: w.PowerContract) -> w.PowerContract:
    """Register a contract for renewable electricity. A repeat changes nothing."""
    starts, ends = read_time(body.starts, "/starts"), read_time(body.ends, "/ends") if body.ends else 0
    if ends and ends <= starts:
        problem = Problem("/ends", "it would end before it began", "a later time")
        raise Refused("bad_contract", problem.message, (problem,))
    made = Contract(
        id=body.id,
        kind=ContractKind(body.kind),
        source=Source(body.source),
        region=body.region,
        sites=tuple(dict.fromkeys(body.sites)),
        supplier=body.supplier,
        from_ms=starts,
        until_ms=ends,
        evidence=body.evidence,
        synthetic=body.synthetic,
    )
    added = desk.add_contract(here.store, made)
    desk.settle_open(here.store, added.region, here.clock())
    return contract_shape(added)


@router.get("/contracts", dependencies=READ)
def list_power_contracts(here: Here, pages: Pages) -> Page[w.PowerContract]:
    """List contracts in order of their names."""
    rows = here.store.records(CONTRACT, "", pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: contract_shape(read(Contract, row)))


@router.post("/contracts/{contract}/end", dependencies=WRITE)
def end_power_contract(here: Here, contract: ContractName, body: w.End) -> w.PowerContract:
    """End a contract, now or later: what was matched stays matched. A repeat changes nothing."""
    until_ms, now_ms = read_time(body.ends, "/ends"), here.clock()

    def work(before: Contract) -> Contract:
        return end_contract(before, until_ms, now_ms)

    ended, _ = amend(here.store, CONTRACT, contract, Contract, work)
    desk.settle_open(here.store, ended.region, now_ms)
    return contract_shape(ended)


@router.post("/certificates", status_code=201, dependencies=WRITE)
def create_certificates(here: Here, body: w.NewCertificates) -> w.Certificates:
    """Register certificates, whose serial numbers were not known. A repeat changes nothing."""
    if body.contract is not None and here.store.get(CONTRACT, body.contract) is None:
        problem = Problem("/contract", f"there is no contract {body.contract!r}", "register it first")
        raise Refused("unknown_reference", problem.message, (problem,))
    made = c.Certificates(
        id=body.id,
        scheme=body.scheme,
        series=body.series,
        first=body.first,
        last=body.last,
        source=Source(body.source),
        region=body.region,
        from_ms=read_time(body.starts, "/starts"),
        until_ms=read_time(body.ends, "/ends"),
        expires_ms=read_time(body.expires, "/expires"),
        bought_from=body.bought_from,
        contract=body.contract or "",
        synthetic=body.synthetic,
    )
    return certificates_shape(desk.add_certificates(here.store, made, here.clock()))


@router.get("/certificates", dependencies=READ)
def list_certificates(here: Here, pages: Pages) -> Page[w.Certificates]:
    """List certificates and what became of them, in order of their names."""
    rows = here.store.records(c.CERTIFICATE, "", pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: certificates_shape(read(c.Certificates, row)))


@router.post("/certificates/{certificate}/portions", status_code=201, dependencies=WRITE)
def give_portion(here: Here, certificate: CertificateName, body: w.NewPortion) -> w.Certificates:
    """Give some certificates to a site's use of a month. A repeat changes nothing."""
    if here.store.get(desk.SITE, body.site) is None:
        problem = Problem("/site", f"there is no site {body.site!r}", "register it first")
        raise Refused("unknown_reference", problem.message, (problem,))
    portion, now_ms = c.Portion(body.id, body.site, _month(body.month), body.mwh), here.clock()

    def work(before: c.Certificates) -> c.Certificates:
        return c.give(before, portion, now_ms)

    return certificates_shape(amend(here.store, c.CERTIFICATE, certificate, c.Certificates, work)[0])


@router.delete("/certificates/{certificate}/portions/{portion}", status_code=204, dependencies=WRITE)
def take_portion_back(here: Here, certificate: CertificateName, portion: PortionName) -> Response:
    """Take a portion back that is not retired."""
    amend(here.store, c.CERTIFICATE, certificate, c.Certificates, lambda before: c.take_back(before, portion))
    return Response(status_code=204)


@router.post("/certificates/{certificate}/portions/{portion}/retire")
def retire_portion(
    here: Here, writer: Writer, certificate: CertificateName, portion: PortionName, body: w.NewRetirement
) -> w.Certificates:
    """Retire a portion for its site, once: a second time is answered 409."""
    now_ms = here.clock()
    return certificates_shape(
        desk.retire(here.store, certificate, portion, body.reference, writer.id, now_ms)
    )


@router.put("/factors/{region}/{year}", dependencies=WRITE)
def put_factor(
    here: Here,
    region: Annotated[str, Path(min_length=1, max_length=100)],
    year: Annotated[int, Path(ge=1970, le=9998)],
    body: w.NewFactor,
) -> w.Factor:
    """Declare a region's residual mix of a year. Hours of the open month are settled again by it."""
    made = Factor(region, year, body.residual_mg_per_kwh, body.source)
    here.store.put(Record(FACTOR, made.id, document(made), region))
    desk.settle_open(here.store, region, here.clock())
    return w.Factor.model_validate(asdict(made))


@router.get("/factors", dependencies=READ)
def list_factors(here: Here, pages: Pages) -> Page[w.Factor]:
    """List residual mixes in order of region and year."""
    rows = here.store.records(FACTOR, "", pages.after, pages.limit + 1)
    return pages.page(
        rows, lambda row: row.id, lambda row: w.Factor.model_validate(asdict(read(Factor, row)))
    )


@router.put("/pue/{site}/{pool}", dependencies=WRITE)
def put_pue(
    here: Here, site: Annotated[Slug, Path()], pool: Annotated[Slug, Path()], body: w.NewPue
) -> w.Pue:
    """Declare a pool's PUE by month and load, for hours that no meter tells, from the open month on."""
    there = load(here.store, desk.SITE, site, Site)
    if there.pool(pool) is None:
        raise NotFound("not_found", f"{site} has no pool {pool!r}")
    made = PueTable(site, pool, Cooling(body.cooling), body.month_milli, body.fixed_ppm, body.source)
    here.store.put(Record(PUE, made.id, document(made), site))
    desk.settle_open(here.store, there.region, here.clock())
    return _pue(made)


@router.get("/pue", dependencies=READ)
def list_pue(here: Here, pages: Pages) -> Page[w.Pue]:
    """List tables of PUE in order of site and pool."""
    rows = here.store.records(PUE, "", pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: _pue(read(PueTable, row)))


def _pue(table: PueTable) -> w.Pue:
    return w.Pue.model_validate({**asdict(table), "cooling": table.cooling.value})


@router.put("/embodied/{site}/{pool}", dependencies=WRITE)
def put_embodied(
    here: Here, site: Annotated[Slug, Path()], pool: Annotated[Slug, Path()], body: w.NewEmbodied
) -> w.Embodied:
    """State the embodied carbon of a pool's cards; it counts when SCI is asked for, also of earlier jobs."""
    if load(here.store, desk.SITE, site, Site).pool(pool) is None:
        raise NotFound("not_found", f"{site} has no pool {pool!r}")
    made = Embodied(site, pool, **body.model_dump())
    here.store.put(Record(EMBODIED, made.id, document(made), site))
    return w.Embodied.model_validate(asdict(made))


@router.get("/embodied", dependencies=READ)
def list_embodied(here: Here, pages: Pages) -> Page[w.Embodied]:
    """List figures of embodied carbon in order of site and pool."""
    rows = here.store.records(EMBODIED, "", pages.after, pages.limit + 1)
    return pages.page(
        rows, lambda row: row.id, lambda row: w.Embodied.model_validate(asdict(read(Embodied, row)))
    )


def _month(text: str) -> int:
    year, month = int(text[:4]), int(text[5:])
    if year < 1970 or not 1 <= month <= 12:
        problem = Problem("/month", f"{text} is not a month", "such as 2026-11")
        raise Refused("bad_month", problem.message, (problem,))
    return (year - 1970) * 12 + month - 1
