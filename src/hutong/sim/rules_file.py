"""The file of `--rules`: quotas, bookings, limits of power and maintenance for a simulated run."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from hutong.core.accounts import quotas as q
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.quantities import parse_seconds
from hutong.sim.settled import Agreed, Booking, Maintenance, PowerLimit, Preemptible
from hutong.wire.base import Shape
from hutong.wire.quotas import NewQuota

Name = Annotated[str, Field(min_length=1, max_length=200)]
_END = "a time since the begin of the trace as 36h or 2d, and after `from`"


class _Quota(NewQuota):
    """As `hutong quota set` takes it; a project is a group of the trace, a person one of its users."""

    kind: Literal["institution", "project"]
    name: Name


class _Booking(Shape):
    """Cards of a pool, kept for a project or an institution."""

    pool: Name
    cards: Annotated[int, Field(ge=1, le=10_000_000)]
    begins: Annotated[str, Field(alias="from")] = "0s"
    ends: Annotated[str, Field(alias="to")]
    holder: Annotated[str, Field(pattern=r"^(project|institution)/.+$")]


class _PowerLimit(Shape):
    """The most that a site's jobs may draw; without `to` it has no end."""

    site: Name
    limit_kw: Annotated[int, Field(ge=0, le=10_000_000)]
    begins: Annotated[str, Field(alias="from")] = "0s"
    ends: Annotated[str | None, Field(alias="to")] = None
    stop_jobs: bool = False
    announced: str = "0s"


class _Maintenance(Shape):
    """A site is worked on; with `stop_jobs` what still runs when it begins is stopped."""

    site: Name
    begins: Annotated[str, Field(alias="from")]
    ends: Annotated[str, Field(alias="to")]
    stop_jobs: bool = False
    announced: str = "0s"


class _Preemptible(Shape):
    """Which jobs may be stopped for others or for power: all of some groups, and a part of the others."""

    projects: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    share: Annotated[str, Field(pattern=r"^(100|\d{1,2})%$")] = "0%"
    grace: str = "30s"


class RulesFile(Shape):
    """All that may be settled before a run."""

    institutions: Annotated[dict[Name, tuple[Name, ...]], Field(default_factory=dict)]
    quotas: Annotated[tuple[_Quota, ...], Field(max_length=1000)] = ()
    bookings: Annotated[tuple[_Booking, ...], Field(max_length=1000)] = ()
    power_limits: Annotated[tuple[_PowerLimit, ...], Field(max_length=1000)] = ()
    maintenance: Annotated[tuple[_Maintenance, ...], Field(max_length=1000)] = ()
    preemptible: Annotated[_Preemptible, Field(default_factory=_Preemptible)]


def read_rules(path: Path) -> Agreed:
    """Return what a file of rules says; raises Refused, field by field."""
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = RulesFile.model_validate(document if document is not None else {})
    except OSError as error:
        raise Refused("rules", f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused("rules", f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        faults = (Problem("/" + "/".join(map(str, each["loc"])), each["msg"]) for each in error.errors())
        raise Refused("rules", f"{path} is not a file of rules", tuple(faults)) from error
    return agreed_of(found)


def agreed_of(found: RulesFile) -> Agreed:
    """Return what a file says; raises Refused for times that are none."""
    problems: list[Problem] = []

    def seconds(path: str, text: str, least: int) -> int:
        at = parse_seconds(text)
        if at is None or at < least:
            problems.append(Problem(path, f"{text!r} is not {_END if least else 'a time as 90s, 36h or 2d'}"))
        return at or 0

    def span(path: str, begins: str, ends: str | None) -> tuple[int, int]:
        from_s = seconds(f"{path}/from", begins, 0)
        return from_s, 0 if ends is None else seconds(f"{path}/to", ends, from_s + 1)

    def announced(path: str, text: str, from_s: int) -> int:
        at = seconds(f"{path}/announced", text, 0)
        if at > from_s:
            problems.append(Problem(f"{path}/announced", f"{text!r} is after `from`"))
        return at

    booked = [span(f"/bookings/{at}", of.begins, of.ends) for at, of in enumerate(found.bookings)]
    limited = [span(f"/power_limits/{at}", of.begins, of.ends) for at, of in enumerate(found.power_limits)]
    closed = [span(f"/maintenance/{at}", of.begins, of.ends) for at, of in enumerate(found.maintenance)]
    limits_told = [
        announced(f"/power_limits/{at}", of.announced, from_s)
        for at, (of, (from_s, _)) in enumerate(zip(found.power_limits, limited, strict=True))
    ]
    windows_told = [
        announced(f"/maintenance/{at}", of.announced, from_s)
        for at, (of, (from_s, _)) in enumerate(zip(found.maintenance, closed, strict=True))
    ]
    told = found.preemptible
    grace_s = seconds("/preemptible/grace", told.grace, 0)
    if problems:
        raise Refused("rules", "the file has times that are none", tuple(problems))
    return Agreed(
        tuple(found.institutions.items()),
        tuple(
            q.Quota(
                each.kind, each.name, each.share_milli,
                tuple(q.Allotment(**of.model_dump()) for of in each.allotments),
            )
            for each in found.quotas
        ),
        tuple(
            Booking(each.pool, each.cards, from_s, until_s, each.holder)
            for each, (from_s, until_s) in zip(found.bookings, booked, strict=True)
        ),
        tuple(
            PowerLimit(each.site, each.limit_kw, from_s, until_s, each.stop_jobs, at_s)
            for each, (from_s, until_s), at_s in zip(found.power_limits, limited, limits_told, strict=True)
        ),
        Preemptible(told.projects, 10_000 * int(told.share[:-1]), grace_s),
        tuple(
            Maintenance(each.site, from_s, until_s, each.stop_jobs, at_s)
            for each, (from_s, until_s), at_s in zip(found.maintenance, closed, windows_told, strict=True)
        ),
    )  # fmt: skip
