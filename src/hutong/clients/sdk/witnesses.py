"""Calls about what sites' cards did, and about the chains in which their agents seal it."""

from hutong.clients.sdk.call import Call, Listing, document, path_of, post, query_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import sealed as s
from hutong.wire import utilisation as u
from hutong.wire.base import Page


def read_utilisation(start: str = "", end: str = "", site: str = "") -> Call[u.Utilisation]:
    """Return the levels of each pool over UTC days `[start, end)`, by default of yesterday."""
    query = query_of(**{"from": start or None, "to": end or None, "site": site or None})
    return Call("GET", path_of("utilisation"), shape(u.Utilisation), query)


def look_for_findings(day: str = "", site: str = "") -> Call[u.Findings]:
    """Look at a UTC day (else yesterday) of one site or all for contradictions between witnesses."""
    query = query_of(day=day or None, site=site or None)
    return Call("GET", path_of("findings", "look"), shape(u.Findings), query)


def list_findings(
    site: str = "", *, waiting: bool = True, limit: int | None = None
) -> Listing[u.KeptFinding]:
    """List kept findings by site and day: those that wait, or all."""
    query = query_of(site=site or None, waiting="true" if waiting else "false")
    return Listing(path_of("findings"), shape(Page[u.KeptFinding]), query, most=limit)


def list_own_findings(*, limit: int | None = None) -> Listing[u.KeptFinding]:
    """List the findings that wait at the site whose agent's token asks."""
    return Listing(path_of("agent", "findings"), shape(Page[u.KeptFinding]), most=limit)


def read_finding(finding: str) -> Call[u.KeptFinding]:
    """Return a finding with all that was written about it."""
    return Call("GET", path_of("findings", finding), shape(u.KeptFinding))


def explain_finding(finding: str, explanation: u.NewExplanation) -> Call[u.KeptFinding]:
    """Write down what a centre said of a finding (operators)."""
    return post(path_of("findings", finding, "explanation"), shape(u.KeptFinding), explanation)


def explain_own_finding(finding: str, explanation: u.NewExplanation) -> Call[u.KeptFinding]:
    """Explain a finding as the site whose agent's token asks."""
    return post(path_of("agent", "findings", finding, "explanation"), shape(u.KeptFinding), explanation)


def decide_finding(finding: str, decision: u.NewFindingDecision) -> Call[u.KeptFinding]:
    """Settle or confirm a finding (operators)."""
    return post(path_of("findings", finding, "decision"), shape(u.KeptFinding), decision)


def list_keys(site: str) -> Call[s.SiteKeys]:
    """Return the keys with which a site's agents seal."""
    return Call("GET", path_of("sites", site, "keys"), shape(s.SiteKeys))


def add_key(site: str, public: str) -> Call[s.SiteKey]:
    """Register a public key of a site's agent (operators)."""
    body = document(s.NewSiteKey(public=public))
    return Call("PUT", path_of("sites", site, "keys"), shape(s.SiteKey), body=body)


def retire_key(site: str, key: str) -> Call[s.SiteKey]:
    """Let a key seal no more (operators)."""
    return Call("DELETE", path_of("sites", site, "keys", key), shape(s.SiteKey))


def check_sealed(site: str, after: str = "") -> Call[s.SealedCheck]:
    """Check a site's chain from its beginning, or after a head that was noted."""
    path = path_of("sites", site, "sealed", "check")
    return Call("GET", path, shape(s.SealedCheck), query_of(after=after or None))


class WitnessVerbs:
    """Calls about witnesses."""

    utilisation = Verb(read_utilisation)
    look = Verb(look_for_findings)
    findings = ListVerb(list_findings)
    own_findings = ListVerb(list_own_findings)
    finding = Verb(read_finding)
    explain = Verb(explain_finding)
    explain_own = Verb(explain_own_finding)
    decide = Verb(decide_finding)
    keys = Verb(list_keys)
    add_key = Verb(add_key)
    retire_key = Verb(retire_key)
    check = Verb(check_sealed)


class Witnesses(WitnessVerbs, Group):
    """Utilisation in four levels, and what sites seal."""


class AsyncWitnesses(WitnessVerbs, AsyncGroup):
    """Utilisation in four levels, and what sites seal."""
