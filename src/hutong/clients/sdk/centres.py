"""Calls about the registry of centres and about identifiers."""

from hutong.clients.sdk.call import Call, Listing, document, path_of, query_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import agreement as a
from hutong.wire import centres as c
from hutong.wire.base import Page


def list_centres(*, region: str = "", as_of: str = "", limit: int | None = None) -> Listing[c.Centre]:
    """List the centres as of a day."""
    return Listing(path_of("centres"), shape(Page[c.Centre]), query_of(region=region, as_of=as_of), limit)


def get_centre(centre: str, *, as_of: str = "") -> Call[c.Centre]:
    """Return a centre with the history of its phases."""
    return Call("GET", path_of("centres", centre), shape(c.Centre), query_of(as_of=as_of))


def create_centre(centre: c.NewCentre) -> Call[c.Centre]:
    """Register a centre (operators)."""
    return Call("POST", path_of("centres"), shape(c.Centre), body=document(centre))


def set_facts(centre: str, facts: c.CentreFacts) -> Call[c.Centre]:
    """Set the facts of a centre anew, its phases left alone (operators)."""
    return Call("PUT", path_of("centres", centre, "facts"), shape(c.Centre), body=document(facts))


def add_phase(centre: str, phase: c.NewPhase) -> Call[c.Centre]:
    """Add a phase to a centre (operators)."""
    return Call("POST", path_of("centres", centre, "phases"), shape(c.Centre), body=document(phase))


def add_change(centre: str, phase: str, change: c.NewPhaseChange) -> Call[c.Centre]:
    """Say that a phase came into its next state (operators)."""
    path = path_of("centres", centre, "phases", phase, "changes")
    return Call("POST", path, shape(c.Centre), body=document(change))


def add_plan(centre: str, phase: str, plan: c.NewPlan) -> Call[c.Centre]:
    """Say anew when a phase is to be in service (operators)."""
    path = path_of("centres", centre, "phases", phase, "plans")
    return Call("POST", path, shape(c.Centre), body=document(plan))


def withdraw(centre: str, phase: str, reason: str) -> Call[c.Centre]:
    """Say that a phase should not have been entered (operators)."""
    path = path_of("centres", centre, "phases", phase, "withdrawal")
    return Call("POST", path, shape(c.Centre), body=document(c.Reason(reason=reason)))


def import_centres(
    csv: str,
    *,
    source: str = "",
    dry_run: bool = False,
    skip_bad: bool = False,
    keep_duplicates: bool = False,
) -> Call[c.ImportedCentres]:
    """Import centres from CSV, all or none unless bad rows are skipped (operators)."""
    wanted = c.NewCentres(
        csv=csv, source=source, dry_run=dry_run, skip_bad=skip_bad, keep_duplicates=keep_duplicates
    )
    return Call("POST", path_of("centres", "import"), shape(c.ImportedCentres), body=document(wanted))


def roll_up(
    by: str = "region", *, as_of: str = "", states: tuple[str, ...] = (), region: str = ""
) -> Call[c.RollUp]:
    """Add up what centres have, kind by kind."""
    query = (*query_of(by=by, as_of=as_of, region=region), *(("state", each) for each in states))
    return Call("GET", path_of("capacity", "rollup"), shape(c.RollUp), query)


def plan(
    start: str, until: str, *, months: int | None = None, as_of: str = "", region: str = ""
) -> Call[c.PlanAgainstActual]:
    """Set plans beside what came of them."""
    more = query_of(until=until, months=months, as_of=as_of, region=region)
    return Call("GET", path_of("capacity", "plan"), shape(c.PlanAgainstActual), (("from", start), *more))


def reconcile(*, centre: str = "", as_of: str = "", region: str = "", cursor: str = "") -> Call[a.Agreements]:
    """Set what the registry says of connected centres beside what their sites declare, a page at a time."""
    query = query_of(centre=centre, as_of=as_of, region=region, cursor=cursor)
    return Call("GET", path_of("capacity", "reconciliation"), shape(a.Agreements), query)


def register(identifier: c.NewIdentifier) -> Call[c.Identifier]:
    """Register an identifier (operators)."""
    return Call("POST", path_of("identifiers"), shape(c.Identifier), body=document(identifier))


def resolve(identifier: str) -> Call[c.Identifier]:
    """Say what an identifier stands for."""
    return Call("GET", path_of("identifiers", identifier), shape(c.Identifier))


def list_identifiers(*, subject: str = "", limit: int | None = None) -> Listing[c.Identifier]:
    """List identifiers, those of one subject if it is named."""
    return Listing(path_of("identifiers"), shape(Page[c.Identifier]), query_of(subject=subject), limit)


def list_schemes() -> Call[Page[c.IdentifierScheme]]:
    """List the schemes that are installed."""
    return Call("GET", path_of("identifiers", "schemes"), shape(Page[c.IdentifierScheme]))


def transfer(identifier: str, holder: str, reason: str) -> Call[c.Identifier]:
    """Give an identifier to another holder (operators)."""
    body = document(c.Transfer(holder=holder, reason=reason))
    return Call("POST", path_of("identifiers", identifier, "transfer"), shape(c.Identifier), body=body)


def retire(identifier: str, reason: str, successor: str = "") -> Call[c.Identifier]:
    """Put an identifier out of use for ever (operators)."""
    body = document(c.Retirement(reason=reason, successor=successor))
    return Call("POST", path_of("identifiers", identifier, "retirement"), shape(c.Identifier), body=body)


class CentreVerbs:
    """The registry of centres: phases, import, sums, plans against what came of them."""

    list = ListVerb(list_centres)
    get = Verb(get_centre)
    create = Verb(create_centre)
    set_facts = Verb(set_facts)
    add_phase = Verb(add_phase)
    add_change = Verb(add_change)
    add_plan = Verb(add_plan)
    withdraw = Verb(withdraw)
    import_table = Verb(import_centres)
    roll_up = Verb(roll_up)
    plan = Verb(plan)
    reconcile = Verb(reconcile)


class IdentifierVerbs:
    """Identifiers of centres, sites and pools."""

    list = ListVerb(list_identifiers)
    schemes = Verb(list_schemes)
    register = Verb(register)
    resolve = Verb(resolve)
    transfer = Verb(transfer)
    retire = Verb(retire)


class Centres(CentreVerbs, Group):
    """The registry of centres."""


class AsyncCentres(CentreVerbs, AsyncGroup):
    """The registry of centres."""


class Identifiers(IdentifierVerbs, Group):
    """Identifiers of resources."""


class AsyncIdentifiers(IdentifierVerbs, AsyncGroup):
    """Identifiers of resources."""
