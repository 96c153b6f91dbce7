"""The reports there are: what each is made of, by what it may be grouped, and what its figures mean."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hutong.core.kernel.errors import Problem, Refused
from hutong.core.reports import capacity, service, use
from hutong.core.reports.report import PARTS, Facts, Table


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of report; `parts` are by what it may be grouped, `usual` by what it is where nobody says.

    `needs` are the fields of `Facts` that it is made of, `reads` what it tells apart however it is grouped.
    """

    title: str
    make: Callable[[Facts, tuple[str, ...]], tuple[Table, ...]]
    definitions: tuple[str, ...]
    needs: frozenset[str]
    parts: frozenset[str] = frozenset()
    usual: tuple[str, ...] = ()
    reads: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Needs:
    """What a report is made of: fields of `Facts`, and the names by which sums of use and of work are read.

    `tenants`: whether it tells apart whose anything was.
    """

    fields: frozenset[str]
    use: tuple[str, ...]
    work: tuple[str, ...]
    tenants: bool


_SPAN = (
    "Use counts in the hours in which it was, not where a job ended; what was corrected counts corrected, in"
    " the hours in which it had been."
)
_SUPPLY = (
    "Installed: every card of every registered pool, from when the platform first noted it. Available:"
    " installed without planned maintenance, sites that took no work and cards that are only declared; faults"
    " are not taken off."
)
_REGISTERED = (
    "Registered: what the registry says centres had in service on the last day of the span, or today while it"
    " is not over, connected to the platform or not, at its likely value. Evidence: a source that was looked"
    " at; else it is declared only."
    " It is another question than what was installed here, and is never added to it."
)
_ALLOCATED = (
    "Allocated: card-hours that jobs had, whether the cards were busy or not. A card is what is billed, of"
    " whatever model; card-hours of unlike models are a count, no measure of computing power."
)
_AGREED = (
    "Registered against declared: phases of connected centres that are in service must be declared by their"
    " sites, those that are accepted may be. Computing power is that of declared cards by the catalogue's"
    " figure; it differs where the intervals do not meet. Shown are differences: `more` or `less` is"
    " declared, `unsure` where what nobody said may explain it, `unlike` where figures are not compared."
)
_TENANT = (
    "The kind of an institution is the one it had at the time of use. Its district are the first six digits"
    " of its place in its unified social credit code (GB 32100-2015, GB/T 2260): where it is registered."
)
_WAIT = (
    "A wait is from the submission to when the platform heard of the first start, with staging and the queue"
    " of the centre. Percentiles are by Kaplan-Meier: jobs that still wait, or left unstarted, count as"
    " waiting until then. They are upper ends of buckets that are an eighth wide. Empty, with `more than`: so"
    " few have started that it cannot be known yet. Jobs that their owner let wait for better hours are left"
    " out. Jobs have no dependencies on this platform, so none is waited for."
)
_DOMESTIC = (
    "Domestic: by the vendor, as the catalogue says. P-hours weigh cards by the dense FP16 figure that bills"
    " and placement use; figures of unlike basis (nominal, measured) are never added."
)
_GREEN = (
    "Energy is that of jobs by nameplate power, PUE and the hours they ran; green by the declared hourly"
    " supply of each site. It is no certificate."
)
_METERED = (
    "Metered: all energy of a site in the hours in which it has meters, with what was idle and the building,"
    " so it is never added to that of jobs; of such a site it is the figure to quote. Green in it was matched"
    " with contracts or certificates in the very hour; carbon by location and by market (GHG Protocol"
    " Scope 2)."
)
_SERVED = (
    "Served: had cards in the span. First-time: never had used anything before. A person who works in"
    " projects of two groups counts in both; people are counted by UTC day, and never named."
)
_SUBSIDY = "Granted: put on vouchers and awards. Redeemed: what of them paid for use, less what came back."
_UNMET = (
    "Unmet: jobs submitted in the span that ended without ever starting, with the last reason why they"
    " were not placed, and jobs that wait at the cut. Card-hours are what they asked for: cards times"
    " walltime, an hour where there is none. What the API refuses at once (a job that no site could ever"
    " run) is not here."
)
_LEVELS = tuple(f"{level}: {meaning}" for level, (_, meaning) in use.LEVELS.items())
_USES = frozenset(PARTS)

_USED = frozenset({"used", "notes"})
_USE_NAMES = {"site": "site", "accelerator": "sku"}
_WORK_NAMES = {"accelerator": "asked"}
_OF_TENANTS = frozenset({"kind", "district", "institution", "project"})
_WITH_TENANTS = frozenset({"moved", "served", "firsts"})

KINDS: Mapping[str, Kind] = {
    "supply": Kind(
        "供给 Supply",
        capacity.supply,
        (_SUPPLY, _REGISTERED, _AGREED),
        frozenset({"notes", "registered", "agreed"}),
    ),
    "use": Kind("用量 Use", use.use, (*_LEVELS, _SPAN, _TENANT), _USED | {"seen"}, _USES, ("site",)),
    "waits": Kind(
        "等待时间 Waits",
        service.waits,
        (_WAIT,),
        frozenset({"told", "waiting"}),
        frozenset({"accelerator", "size", "kind"}),
        ("accelerator",),
        frozenset({"what", "bucket"}),
    ),
    "served": Kind(
        "服务对象 Who was served",
        service.served,
        (_SERVED, _TENANT, _ALLOCATED),
        frozenset({"served", "firsts", "people"}),
    ),
    "domestic": Kind(
        "国产占比 Domestic share",
        capacity.domestic,
        (_DOMESTIC, _ALLOCATED, _SUPPLY),
        _USED,
        reads=frozenset({"accelerator"}),
    ),
    "green": Kind(
        "绿电占比 Green share",
        capacity.green,
        (_GREEN, _METERED, _SPAN),
        frozenset({"used", "metered"}),
        _USES,
        ("site",),
    ),
    "subsidy": Kind("补贴 Subsidy", service.subsidy, (_SUBSIDY, _TENANT), frozenset({"moved"})),
    "unmet": Kind(
        "未满足需求 Unmet demand",
        service.unmet,
        (_UNMET,),
        frozenset({"told", "waiting"}),
        reads=frozenset({"what", "why"}),
    ),
}
NODE = "node"
NAMES = (*KINDS, NODE)


def tables_of(kind: str, facts: Facts, by: tuple[str, ...]) -> tuple[Table, ...]:
    """Return the tables of a report; `node`, the upward report of a regional node, has those of all."""
    if kind == NODE:
        return tuple(table for each in KINDS.values() for table in each.make(facts, each.usual))
    return KINDS[kind].make(facts, by or KINDS[kind].usual)


def definitions_of(kind: str) -> tuple[str, ...]:
    """Return what the figures of a report mean."""
    kinds = KINDS.values() if kind == NODE else (KINDS[kind],)
    return tuple(dict.fromkeys(text for each in kinds for text in each.definitions))


def needs_of(kind: str, by: tuple[str, ...]) -> Needs:
    """Return what a report is made of: no more than it tells apart, so that the book adds up the rest."""
    kinds = KINDS.values() if kind == NODE else (KINDS[kind],)
    use: set[str] = set()
    work: set[str] = set()
    tenants = False
    for each in kinds:
        parts = {*(by or each.usual), *each.reads}
        if "used" in each.needs:
            use |= {_USE_NAMES.get(part, "project") for part in parts}
        if "told" in each.needs:
            work |= {_WORK_NAMES.get(part, part) for part in parts}
        tenants |= bool(parts & _OF_TENANTS or each.needs & _WITH_TENANTS)
    fields = frozenset[str]().union(*(each.needs for each in kinds))
    return Needs(fields, tuple(sorted(use)), tuple(sorted(work)), tenants)


def title_of(kind: str) -> str:
    """Return the title of a report."""
    return "区域节点上报 Upward report of a regional node" if kind == NODE else KINDS[kind].title


def check_by(kind: str, by: tuple[str, ...]) -> None:
    """Raise Refused if a report cannot be grouped so."""
    parts = KINDS[kind].parts if kind != NODE else frozenset()
    wrong = [each for each in by if each not in parts]
    if wrong or len(by) > 2 or len(set(by)) < len(by):
        known = ", ".join(sorted(parts)) or "nothing"
        problem = Problem("?by", f"{kind} is not grouped by {', '.join(by)}", f"at most two of: {known}")
        raise Refused("bad_query", problem.message, (problem,))
