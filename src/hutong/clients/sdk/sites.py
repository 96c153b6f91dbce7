"""Calls about centres."""

from hutong.clients.sdk.call import Call, Listing, document, nothing, path_of, post, query_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import links as k
from hutong.wire import sites as s
from hutong.wire.accounts import Token
from hutong.wire.base import Page


def create_site(site: s.NewSite) -> Call[s.Site]:
    """Enter a centre as its operator declares it (operators)."""
    return post(path_of("sites"), shape(s.Site), site)


def get_site(site: str) -> Call[s.Site]:
    """Return one centre with its present condition."""
    return Call("GET", path_of("sites", site), shape(s.Site))


def list_sites(*, limit: int | None = None) -> Listing[s.Site]:
    """List the centres."""
    return Listing(path_of("sites"), shape(Page[s.Site]), most=limit)


def set_admission(site: str, admission: str) -> Call[s.Site]:
    """Say whether the centre takes new work: `active`, `drain` or `inactive` (operators)."""
    change = s.AdmissionChange.model_validate({"admission": admission})
    return Call("PUT", path_of("sites", site, "admission"), shape(s.Site), body=document(change))


def set_domains(site: str, change: s.DomainsChange) -> Call[s.Site]:
    """Say in which failure domains the centre is, or one of its pools (operators)."""
    return Call("PUT", path_of("sites", site, "domains"), shape(s.Site), body=document(change))


def set_electricity(site: str, change: s.ElectricityChange) -> Call[s.Site]:
    """Say what the centre pays for electricity by hour of day (operators)."""
    return Call("PUT", path_of("sites", site, "electricity"), shape(s.Site), body=document(change))


def add_maintenance(site: str, window: s.Maintenance) -> Call[s.Site]:
    """Announce a maintenance; one that begins at the same moment is replaced (operators)."""
    return Call("POST", path_of("sites", site, "maintenance"), shape(s.Site), body=document(window))


def cancel_maintenance(site: str) -> Call[s.Site]:
    """Cancel every maintenance that goes on or is to come (operators)."""
    return Call("DELETE", path_of("sites", site, "maintenance"), shape(s.Site))


def add_booking(site: str, booking: s.NewBooking) -> Call[s.Site]:
    """Book cards of a pool ahead; one of the same pool, holder and span is replaced (operators)."""
    return Call("POST", path_of("sites", site, "bookings"), shape(s.Site), body=document(booking))


def remove_booking(site: str, booking: str) -> Call[s.Site]:
    """Take a booking away (operators)."""
    return Call("DELETE", path_of("sites", site, "bookings", booking), shape(s.Site))


def add_power_limit(site: str, limit: s.NewPowerLimit) -> Call[s.Site]:
    """Limit a centre's power; a limit of the same span is replaced (operators)."""
    return Call("POST", path_of("sites", site, "power-limits"), shape(s.Site), body=document(limit))


def remove_power_limit(site: str, limit: str) -> Call[s.Site]:
    """Take a limit of a centre's power away (operators)."""
    return Call("DELETE", path_of("sites", site, "power-limits", limit), shape(s.Site))


def create_site_token(site: str) -> Call[Token]:
    """Make a token for the centre's agent; the secret is shown in this answer only (operators)."""
    return post(path_of("sites", site, "tokens"), shape(Token))


def set_link(link: k.NewLink) -> Call[k.Link]:
    """Declare the link between two ends, in place of the one that was there (operators)."""
    return Call("PUT", path_of("links"), shape(k.Link), body=document(link))


def list_links(*, limit: int | None = None) -> Listing[k.Link]:
    """List the links between centres, regions and the platform's store."""
    return Listing(path_of("links"), shape(Page[k.Link]), most=limit)


def remove_link(one: str, other: str) -> Call[None]:
    """Take the link between two ends away (operators)."""
    return Call("DELETE", path_of("links"), nothing, query=query_of(one=one, other=other))


class SiteVerbs:
    """Centres: what they have and how they are."""

    create = Verb(create_site)
    get = Verb(get_site)
    list = ListVerb(list_sites)
    set_admission = Verb(set_admission)
    set_domains = Verb(set_domains)
    set_electricity = Verb(set_electricity)
    add_maintenance = Verb(add_maintenance)
    cancel_maintenance = Verb(cancel_maintenance)
    add_booking = Verb(add_booking)
    remove_booking = Verb(remove_booking)
    add_power_limit = Verb(add_power_limit)
    remove_power_limit = Verb(remove_power_limit)
    set_link = Verb(set_link)
    list_links = ListVerb(list_links)
    remove_link = Verb(remove_link)
    create_token = Verb(create_site_token)


class Sites(SiteVerbs, Group):
    """Centres: what they have and how they are."""


class AsyncSites(SiteVerbs, AsyncGroup):
    """Centres: what they have and how they are."""
