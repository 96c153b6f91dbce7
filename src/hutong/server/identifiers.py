"""Identifiers in the store, and the schemes that are installed: those that ship, and plug-ins.

A plug-in names an object with the shape of `Scheme` as an entry point of `hutong.identifier_schemes`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType

from hutong.core.book.store import Record, Store
from hutong.core.capacity.centres import Centre
from hutong.core.capacity.identifiers import BUILT_IN, Event, Identifier, Scheme, kind_of
from hutong.core.capacity.sites import Site
from hutong.core.kernel.errors import Broken, Conflict, Later, NotFound, Problem, Refused
from hutong.server.audited import untold
from hutong.server.registry import document, load, read

KIND = "identifier"
COUNTER = "identifier_counter"
GROUP = "hutong.identifier_schemes"
_TRIES = 50


@dataclass(frozen=True, slots=True)
class Count:
    """How many codes a scheme has made."""

    number: int


@cache
def schemes() -> MappingProxyType[str, Scheme]:
    """Return the schemes that ship and those of plug-ins; raises Broken for a plug-in that cannot be used."""
    found = dict(BUILT_IN)
    for point in entry_points(group=GROUP):
        try:
            scheme: Scheme = point.load()
            name = scheme.name
            usable = all(callable(getattr(scheme, each)) for each in ("issue", "canonical", "fault"))
        except (ImportError, AttributeError) as error:
            raise Broken(f"the identifier scheme {point.value} cannot be used: {error}") from error
        if name in found or not usable or ":" in name:
            raise Broken(f"the identifier scheme {point.value} has a name that is taken or no name, {name!r}")
        found[name] = scheme
    return MappingProxyType(found)


def scheme_of(name: str) -> Scheme:
    """Return an installed scheme; raises Refused."""
    found = schemes().get(name)
    if found is None:
        problem = Problem("/scheme", f"no scheme {name!r} is installed", ", ".join(sorted(schemes())))
        raise Refused("unknown_scheme", problem.message, (problem,))
    return found


def name_of(store: Store, subject: str) -> tuple[str, str]:
    """Return the name and region of what an identifier stands for; raises NotFound where there is none."""
    kind, id, *pool = [*subject.split("/"), ""][:3]
    if kind == "centre":
        centre = load(store, "centre", id, Centre)
        return centre.name, centre.region
    site = load(store, "site", id, Site)
    if kind == "site":
        return site.name_en, site.region
    if site.pool(pool[0]) is None:
        raise NotFound("not_found", f"site {id!r} has no pool {pool[0]!r}")
    return f"{site.name_en}, {pool[0]}", site.region


def find(store: Store, name: str) -> Identifier:
    """Return an identifier by its full name, or by a code of our own scheme; raises NotFound."""
    scheme, _, code = name.partition(":") if ":" in name else ("hutong", "", name)
    installed = schemes().get(scheme)
    record = store.get(KIND, f"{scheme}:{installed.canonical(code) if installed else code}")
    if record is None:
        raise NotFound("not_found", f"no identifier {name!r} is registered")
    return read(Identifier, record)


def register(store: Store, subject: str, scheme: Scheme, code: str, event: Event) -> Identifier:
    """Give a subject an identifier; one that it has in the scheme is returned as it is.

    Raises Refused for a code that is none, Conflict for one that is or was another's.
    """
    kind = kind_of(subject)
    name_of(store, subject)
    wanted = scheme.canonical(code) if code else ""
    if wanted and scheme.issues:
        problem = Problem("/code", f"the scheme {scheme.name!r} makes its codes itself", "leave it out")
        raise Refused("code_given", problem.message, (problem,))
    if wanted and (fault := scheme.fault(wanted, kind)):
        problem = Problem("/code", f"{wanted!r}: {fault}", scheme.about)
        raise Refused("bad_code", problem.message, (problem,))
    for _ in range(_TRIES):
        there = store.find(KIND, f"{scheme.name} {subject}")
        if there is not None:
            return _same(read(Identifier, there), wanted)
        try:
            return _write(store, subject, kind, scheme, wanted, event)
        except Conflict:
            if wanted and store.get(KIND, f"{scheme.name}:{wanted}") is not None:
                raise Conflict("exists", f"{scheme.name}:{wanted} is or was another's") from None
    raise Later("many identifiers are being registered", 1)


def amend_identifier(store: Store, name: str, change: Callable[[Identifier], Identifier]) -> Identifier:
    """Change an identifier as it is when nobody else does; a retired one frees its subject for another."""
    id = find(store, name).id
    for _ in range(_TRIES):
        record = store.get(KIND, id)
        if record is None:
            raise NotFound("not_found", f"no identifier {name!r} is registered")
        before = read(Identifier, record)
        after = change(before)
        if after == before:
            return before
        lookup = "" if after.retired else record.lookup
        try:
            store.put(replace(record, doc=document(after), lookup=lookup), expect=record.version)
        except Conflict:
            continue
        return after
    raise Later(f"identifier {name} is being changed by others", 1)


def _same(there: Identifier, wanted: str) -> Identifier:
    if wanted and wanted != there.code:
        raise Conflict("exists", f"{there.subject} has {there.id} already: retire that first")
    return there


def _write(store: Store, subject: str, kind: str, scheme: Scheme, wanted: str, event: Event) -> Identifier:
    writes: list[tuple[Record, int | None]] = []
    code = wanted
    if not code:
        counter = untold(store).get(COUNTER, scheme.name)
        number = (read(Count, counter).number if counter else 0) + 1
        code = scheme.canonical(scheme.issue(kind, number))
        doc = document(Count(number))
        writes.append((Record(COUNTER, scheme.name, doc), counter.version if counter else 0))
    made = Identifier(scheme.name, code, subject, event.holder, (event,))
    record = Record(KIND, made.id, document(made), parent=subject, lookup=f"{scheme.name} {subject}")
    store.put_all([*writes, (record, 0)])
    return made
