"""A report from what was gathered: with definitions, sources, coverage, and as a paper."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hutong.adapters.papers.paper import Column, Paper, Table
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.reports.kinds import Needs, check_by, definitions_of, needs_of, tables_of, title_of
from hutong.core.reports.report import Facts
from hutong.server.reports.gather import gather
from hutong.wire import reports as w
from hutong.wire.base import rfc3339

HOURS_MOST = 24 * 366 * 3
_SOURCES = (
    "usage records, transactions and jobs of this platform's book, added up by hour as they were written",
    "the registry of sites, noted when it changed; the registry of institutions and projects",
    "the registry of centres, with evidence for each phase",
    "hours of meters that are settled, where sites have meters",
    "hours that agents of sites sealed, where their files name a counter of cards",
    "the catalogue of accelerators of this release of Hutong",
)


def hours_of(start: str, end: str, zone: str) -> tuple[int, int]:
    """Return the UTC hours of days `[start, end)` of a zone; raises Refused.

    Where a zone is off by a part of an hour, days begin with the UTC hour in which they begin.
    """
    found, problems = [], []
    for name, text in (("start", start), ("end", end)):
        try:
            day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=ZoneInfo(zone))
            found.append(int(day.timestamp()) // 3600)
        except (ValueError, OverflowError):
            problems.append(Problem(f"/{name}", f"{text!r} is no day", "such as 2026-11-01"))
    if problems:
        raise Refused("bad_day", "that is not a span of days", tuple(problems))
    if found[0] < 0 or not 0 < found[1] - found[0] <= HOURS_MOST:
        problem = Problem("/end", "it must be after the start, at most three years later", "the next day")
        raise Refused("bad_span", "that is not a span of days", (problem,))
    return found[0], found[1]


def month_to_date(now_ms: int, zone: str) -> tuple[str, str]:
    """Return the days of this month until today, today included."""
    today = datetime.fromtimestamp(now_ms // 1000, UTC).astimezone(ZoneInfo(zone)).date()
    return today.replace(day=1).isoformat(), (today + timedelta(days=1)).isoformat()


def make(
    store: Store,
    kind: w.Kind,
    days: tuple[str, str],
    by: tuple[str, ...],
    *,
    zone: str,
    issuer: str,
    now_ms: int,
) -> w.Report:
    """Return a report of days `[start, end)` of the zone. Raises Refused."""
    check_by(kind, by)
    hours = hours_of(*days, zone)
    needs = needs_of(kind, by)
    facts = gather(store, hours, now_ms, needs)
    tables = tables_of(kind, facts, by)
    return w.Report(
        kind=kind,
        title=title_of(kind),
        issuer=issuer,
        start=days[0],
        end=days[1],
        zone=zone,
        by=by,
        made=rfc3339(now_ms),
        tables=tuple(w.ReportTable.model_validate(asdict(each)) for each in tables),
        definitions=definitions_of(kind),
        sources=_SOURCES,
        coverage=_coverage(facts, hours, needs),
    )


def _coverage(facts: Facts, hours: tuple[int, int], needs: Needs) -> tuple[str, ...]:
    """Say what the figures are made of, and what is missing."""
    upto_ms = min(facts.cut_ms, hours[1] * HOUR_MS)
    found = [f"everything that was written down until {rfc3339(facts.cut_ms)}"]
    if upto_ms < hours[1] * HOUR_MS:
        found.append("the span is not over: later figures of it will be others")
    first_ms = min((each.from_ms for each in facts.notes), default=0)
    if "notes" in needs.fields and not facts.notes:
        found.append("no pool was noted in it: what was installed is not known")
    elif first_ms > facts.span[0]:
        found.append(f"pools were first noted at {rfc3339(first_ms)}: before, nothing counts as installed")
    of_projects = (*facts.served, *(each for each in facts.used if each.project))
    if any(each.card_ms and not each.tenant.institution for each in of_projects):
        found.append("some use is of projects that the registry does not know")
    if "metered" in needs.fields:
        metered = {each.site for each in facts.metered}
        booked = sorted({each.site for each in facts.used if each.site} - metered)
        if booked:
            found.append(f"energy of these sites is booked by nameplate, not metered: {', '.join(booked)}")
    if "seen" in needs.fields:
        sampled = {each.site for each in facts.seen if each.counted_card_ms}
        unknown = sorted({each.site for each in facts.used if each.site and each.card_ms} - sampled)
        if unknown:
            found.append(f"how busy cards were is not known of: {', '.join(unknown)}")
    missing = sorted({each.accelerator for each in facts.used if each.accelerator} - facts.chips.keys())
    if missing:
        found.append(f"not in shares of domestic cards: {', '.join(missing)}")
    return tuple(found)


def paper_of(report: w.Report, edition: w.Edition | None = None) -> Paper:
    """Return a report as a paper."""
    about = [
        ("出具方 Issued by", report.issuer),
        ("期间 Period", f"{report.start} - {report.end} ({report.zone}, 不含末日 end not included)"),
        ("生成时间 Made", report.made),
    ]
    if edition is not None:
        about += [("编号 Number", edition.number), ("发布 Published", edition.published)]
        about += [("更正 Corrects", edition.replaces)] if edition.replaces else []
        about += [("摘要 Digest", edition.digest), ("签名 Signature (Ed25519)", edition.signature)]
    tables = tuple(
        Table(
            table.title,
            tuple(
                Column(f"{each.title}, {each.unit}" if each.unit else each.title, each.number, 3)
                for each in table.columns
            ),
            table.rows,
            table.total,
            table.chart,
        )
        for table in report.tables
    )
    notes = (
        *(f"定义 Definition: {each}" for each in report.definitions),
        *(f"来源 Source: {each}" for each in report.sources),
        *(f"覆盖 Coverage: {each}" for each in report.coverage),
    )
    return Paper(report.title, tuple(about), tables, notes)


def report_in(body: str) -> w.Report:
    """Return the report in the body of a published one."""
    return w.Report.model_validate(json.loads(body)["report"])
