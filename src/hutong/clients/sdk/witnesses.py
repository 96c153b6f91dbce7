"""Calls about what sites' cards did, and about the chains in which their agents seal it."""

from hutong.clients.sdk.call import Call, document, path_of, query_of, shape
from hutong.clients.sdk.verbs import Verb
from hutong.wire import sealed as s
from hutong.wire import utilisation as u


def read_utilisation(start: str = "", end: str = "", site: str = "") -> Call[u.Utilisation]:
    """Return the levels of each pool over UTC days `[start, end)`, by default of yesterday."""
    query = query_of(**{"from": start or None, "to": end or None, "site": site or None})
    return Call("GET", path_of("utilisation"), shape(u.Utilisation), query)


def read_findings(day: str = "", site: str = "") -> Call[u.Findings]:
    """Look at a UTC day (else yesterday) of one site or all for contradictions between witnesses."""
    query = query_of(day=day or None, site=site or None)
    return Call("GET", path_of("findings"), shape(u.Findings), query)


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
    findings = Verb(read_findings)
    keys = Verb(list_keys)
    add_key = Verb(add_key)
    retire_key = Verb(retire_key)
    check = Verb(check_sealed)
