"""Calls about energy by the hour: meters, contracts, certificates, balances, progress, jobs."""

from hutong.clients.sdk.call import Call, Listing, document, nothing, path_of, post, query_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import energy as w
from hutong.wire.base import Page


def add_meter(meter: w.NewMeter) -> Call[w.Meter]:
    """Register a meter (operators)."""
    return post(path_of("energy", "meters"), shape(w.Meter), meter)


def list_meters(*, region: str = "", limit: int | None = None) -> Listing[w.Meter]:
    """List meters; of one region where it is named."""
    return Listing(path_of("energy", "meters"), shape(Page[w.Meter]), query_of(region=region), most=limit)


def end_meter(meter: str, end: w.End) -> Call[w.Meter]:
    """End a meter that was taken out (operators)."""
    return post(path_of("energy", "meters", meter, "end"), shape(w.Meter), end)


def add_readings(meter: str, readings: w.NewReadings) -> Call[w.Taken]:
    """Keep readings of a meter, all of them or none."""
    return post(path_of("energy", "meters", meter, "readings"), shape(w.Taken), readings)


def list_readings(
    meter: str, *, start: str = "", end: str = "", limit: int | None = None
) -> Listing[w.Reading]:
    """List readings that end in a time of at most 31 days, in all revisions."""
    path = path_of("energy", "meters", meter, "readings")
    return Listing(path, shape(Page[w.Reading]), query_of(start=start, end=end), most=limit)


def balance(site: str, *, start: str = "", end: str = "") -> Call[w.EnergyBalance]:
    """Return a site's settled hours in a time of at most 31 days: job + idle + overhead is the meter."""
    path = path_of("energy", "sites", site, "balance")
    return Call("GET", path, shape(w.EnergyBalance), query_of(start=start, end=end))


def progress(site: str, *, year: int | None = None) -> Call[w.Progress]:
    """Return how green a site's electricity of a year was, by the hour and by volume."""
    return Call("GET", path_of("energy", "sites", site, "progress"), shape(w.Progress), query_of(year=year))


def of_job(job: str) -> Call[w.JobEnergy]:
    """Return a job's energy as booked, and its share of its sites' meters."""
    return Call("GET", path_of("jobs", job, "energy"), shape(w.JobEnergy))


def add_contract(contract: w.PowerContract) -> Call[w.PowerContract]:
    """Register a contract for renewable electricity (operators)."""
    return post(path_of("energy", "contracts"), shape(w.PowerContract), contract)


def list_contracts(*, limit: int | None = None) -> Listing[w.PowerContract]:
    """List contracts."""
    return Listing(path_of("energy", "contracts"), shape(Page[w.PowerContract]), most=limit)


def end_contract(contract: str, end: w.End) -> Call[w.PowerContract]:
    """End a contract, now or later (operators)."""
    return post(path_of("energy", "contracts", contract, "end"), shape(w.PowerContract), end)


def add_certificates(certificates: w.NewCertificates) -> Call[w.Certificates]:
    """Register certificates (operators)."""
    return post(path_of("energy", "certificates"), shape(w.Certificates), certificates)


def list_certificates(*, limit: int | None = None) -> Listing[w.Certificates]:
    """List certificates and what became of them."""
    return Listing(path_of("energy", "certificates"), shape(Page[w.Certificates]), most=limit)


def give_portion(certificates: str, portion: w.NewPortion) -> Call[w.Certificates]:
    """Give certificates to a site's use of a month (operators)."""
    path = path_of("energy", "certificates", certificates, "portions")
    return post(path, shape(w.Certificates), portion)


def take_portion_back(certificates: str, portion: str) -> Call[None]:
    """Take a portion back that is not retired (operators)."""
    return Call("DELETE", path_of("energy", "certificates", certificates, "portions", portion), nothing)


def retire(certificates: str, portion: str, retirement: w.NewRetirement) -> Call[w.Certificates]:
    """Retire a portion, once (operators)."""
    path = path_of("energy", "certificates", certificates, "portions", portion, "retire")
    return post(path, shape(w.Certificates), retirement)


def set_factor(region: str, year: int, factor: w.NewFactor) -> Call[w.Factor]:
    """Declare a region's residual mix of a year (operators)."""
    return Call("PUT", path_of("energy", "factors", region, year), shape(w.Factor), body=document(factor))


def list_factors(*, limit: int | None = None) -> Listing[w.Factor]:
    """List residual mixes."""
    return Listing(path_of("energy", "factors"), shape(Page[w.Factor]), most=limit)


def set_pue(site: str, pool: str, table: w.NewPue) -> Call[w.Pue]:
    """Declare a pool's PUE by month and load (operators)."""
    return Call("PUT", path_of("energy", "pue", site, pool), shape(w.Pue), body=document(table))


def list_pue(*, limit: int | None = None) -> Listing[w.Pue]:
    """List tables of PUE."""
    return Listing(path_of("energy", "pue"), shape(Page[w.Pue]), most=limit)


def set_embodied(site: str, pool: str, figure: w.NewEmbodied) -> Call[w.Embodied]:
    """State the embodied carbon of a pool's cards (operators)."""
    return Call("PUT", path_of("energy", "embodied", site, pool), shape(w.Embodied), body=document(figure))


def list_embodied(*, limit: int | None = None) -> Listing[w.Embodied]:
    """List figures of embodied carbon."""
    return Listing(path_of("energy", "embodied"), shape(Page[w.Embodied]), most=limit)


class EnergyVerbs:
    """Meters, contracts and certificates; what hours of sites and jobs came to."""

    add_meter = Verb(add_meter)
    meters = ListVerb(list_meters)
    end_meter = Verb(end_meter)
    add_readings = Verb(add_readings)
    readings = ListVerb(list_readings)
    balance = Verb(balance)
    progress = Verb(progress)
    of_job = Verb(of_job)
    add_contract = Verb(add_contract)
    contracts = ListVerb(list_contracts)
    end_contract = Verb(end_contract)
    add_certificates = Verb(add_certificates)
    certificates = ListVerb(list_certificates)
    give_portion = Verb(give_portion)
    take_portion_back = Verb(take_portion_back)
    retire = Verb(retire)
    set_factor = Verb(set_factor)
    factors = ListVerb(list_factors)
    set_pue = Verb(set_pue)
    pue = ListVerb(list_pue)
    set_embodied = Verb(set_embodied)
    embodied = ListVerb(list_embodied)


class Energy(EnergyVerbs, Group):
    """Meters, contracts and certificates; what hours of sites and jobs came to."""


class AsyncEnergy(EnergyVerbs, AsyncGroup):
    """Meters, contracts and certificates; what hours of sites and jobs came to."""
