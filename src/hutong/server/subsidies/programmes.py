"""Subsidy programmes from their folder: data in YAML, checked clause by clause when it is read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import ValidationError

from hutong.core.accounts.registry import InstitutionKind
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.money import MICRO
from hutong.core.ledger.subsidies import programme as p
from hutong.wire import subsidies as w

_YEARS = (2000, 2060)
_NEEDS = {
    "claimant": ("parties",),
    "applicant-kind": ("kinds",),
    "clean-credit": ("years",),
    "contract-term": ("months",),
    "threshold": ("petaflops", "precision", "sparse"),
    "rate": ("percent",),
    "cap-per-voucher": ("yuan",),
    "cap-per-year": ("yuan", "counts"),
    "pool-per-year": ("yuan",),
    "eligible-lines": ("lines",),
    "evidence": ("items",),
    "redeem-by": ("days",),
}


@dataclass(frozen=True, slots=True)
class Rules:
    """A programme as it is written, as it is judged by, and the digest that names this very text."""

    document: w.SubsidyProgramme
    programme: p.Programme
    digest: str


def load_programmes(folder: Path) -> Mapping[str, Rules]:
    """Return every programme in `folder` (`*.yaml`) by id. Raises Refused that names file and field."""
    found: dict[str, Rules] = {}
    for path in sorted(folder.glob("*.yaml")):
        rules = read_programme(path)
        if rules.programme.id in found:
            raise _refused(str(path), "id", f"another file already defines {rules.programme.id!r}")
        found[rules.programme.id] = rules
    return MappingProxyType(found)


def read_programme(path: Path) -> Rules:
    """Return the programme of a file."""
    try:
        document = w.SubsidyProgramme.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _refused(str(path), "", f"not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise _refused(str(path), "/".join(str(part) for part in first["loc"]), first["msg"]) from error
    return make_rules(document, str(path))


def make_rules(document: w.SubsidyProgramme, where: str = "", at: str = "") -> Rules:
    """Return a programme's rules; raises Refused that names the field, below `at`, that is wrong."""
    read = tuple(
        _clause(field.alias or name, getattr(document.clauses, name), where, at)
        for name, field in w.Clauses.model_fields.items()
    )
    offset_ms = _offset_ms(document.zone, where, at)
    c = document.clauses
    days = {}
    for key, text in (("from", c.contract_signed.from_), ("until", c.contract_signed.until)):
        days[key] = (
            None if text is None else _day_ms(text, offset_ms, where, f"{at}clauses/contract-signed/{key}")
        )
    if days["from"] is not None and days["until"] is not None and days["until"] <= days["from"]:
        raise _refused(where, f"{at}clauses/contract-signed/until", "it is not after `from`")
    counts = tuple(p.Counts(each) for each in c.cap_per_year.counts) or (p.Counts.ISSUE,)
    if document.pays == "charge" and p.Counts.CLAIM in counts:
        text = "a programme that pays as charges are made has no claims to count"
        raise _refused(where, f"{at}clauses/cap-per-year/counts", text)
    least = c.threshold.petaflops
    programme = p.Programme(
        id=document.id,
        name_zh=document.name.zh,
        name_en=document.name.en,
        zone=document.zone,
        offset_ms=offset_ms,
        pays=p.Pays(document.pays),
        clauses=read,
        claimants=tuple(p.Party(each) for each in c.claimant.parties) or tuple(p.Party),
        rates=tuple((InstitutionKind(kind), percent * 10_000) for kind, percent in c.rate.by_kind.items()),
        other_rate_ppm=(c.rate.percent or 0) * 10_000,
        kinds=tuple(InstitutionKind(each) for each in c.applicant_kind.kinds) or None,
        signed_from_ms=days["from"],
        signed_until_ms=days["until"],
        term_months=c.contract_term.months,
        unrelated=_holds(c.unrelated_provider),
        clean_credit_years=c.clean_credit.years,
        threshold=None
        if least is None
        else p.Threshold(least * 1000, c.threshold.precision or "FP16", bool(c.threshold.sparse)),
        one_per_contract=_holds(c.one_per_contract),
        cap_voucher_micro=_micro(c.cap_per_voucher),
        cap_year_micro=_micro(c.cap_per_year),
        pool_year_micro=_micro(c.pool_per_year),
        counts=counts,
        lines=c.eligible_lines.lines or None,
        evidence=c.evidence.items,
        no_double=_holds(c.no_double_subsidy),
        redeem_days=c.redeem_by.days,
    )
    text = json.dumps(document.model_dump(mode="json", by_alias=True), sort_keys=True)
    return Rules(document, programme, sha256(text.encode()).hexdigest())


def _clause(name: str, clause: w.Clause, where: str, at: str) -> p.Clause:
    """Return what is said of a clause; unknown, it says nothing more, else all that it needs."""
    path = f"{at}clauses/{name}"
    given = clause.model_dump(exclude={"status", "about", "source"})
    said = {key for key, value in given.items() if value not in (None, (), {})}
    if clause.status == "unknown":
        for key in sorted(said):
            raise _refused(
                where, f"{path}/{key.rstrip('_')}", "the status is `unknown`, and yet it says something"
            )
    else:
        for key in _NEEDS.get(name, ()):
            if getattr(clause, key) in (None, ()):
                raise _refused(
                    where, f"{path}/{key}", "it is missing: say it, or set the status to `unknown`"
                )
        if name == "contract-signed" and not said:
            raise _refused(where, f"{path}/from", "say `from`, `until` or both")
        if clause.source is None and clause.status != "assumed":
            raise _refused(where, f"{path}/source", "say where it stands, or set the status to `assumed`")
    source = clause.source
    return p.Clause(
        name=p.Name(name),
        about=clause.about,
        status=p.Status(clause.status),
        source=source.address if source else "",
        dated=source.dated if source else "",
    )


def _holds(clause: w.Clause) -> bool:
    return clause.status != "unknown"


def _micro(cap: w.Cap) -> int | None:
    return None if cap.yuan is None else cap.yuan * MICRO


def _offset_ms(zone: str, where: str, at: str) -> int:
    """Return how far a zone is ahead of UTC; refused where that changes: years are cut at one offset."""
    try:
        there = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _refused(where, f"{at}zone", f"there is no zone {zone!r}, such as Asia/Shanghai") from error
    moments = (datetime(year, month, 1, tzinfo=UTC) for year in range(*_YEARS) for month in (1, 4, 7, 10))
    offsets = {moment.astimezone(there).utcoffset() for moment in moments}
    offset = offsets.pop()
    if offsets or offset is None:
        raise _refused(where, f"{at}zone", f"{zone!r} changes its clocks; a zone of one offset is needed")
    return int(offset.total_seconds()) * 1000


def _day_ms(text: str, offset_ms: int, where: str, path: str) -> int:
    try:
        day = datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise _refused(where, path, f"{text!r} is not a day of the calendar") from error
    return int(day.timestamp()) * 1000 - offset_ms


def _refused(where: str, field: str, message: str) -> Refused:
    hint = "see policies/subsidies/beijing-2023.yaml"
    problem = Problem(f"/{field}", message, hint)
    place = f"{where}: {field}: " if where else f"{field}: "
    return Refused("bad_programme", f"{place}{message}", (problem,))
