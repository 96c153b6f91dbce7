"""Certificates of renewable electricity (GEC, REC, GO): bought, given to a use, and retired, each once.

One certificate is one megawatt-hour and has a serial number in its scheme: it is registered here once. A
portion gives some of them to a site's use of a month; it is retired once, for that site. Those that say the
hour in which they were made meet the site's use of that hour, others its use of the month. What came with a
contract whose deliveries are matched by the hour proves those, and adds nothing.
"""

from dataclasses import dataclass, replace

from hutong.core.energy.contracts import Source
from hutong.core.kernel.days import month_of
from hutong.core.kernel.errors import Conflict, NotFound, Problem, Refused
from hutong.core.kernel.quantities import HOUR_MS

CERTIFICATE = "certificate"
SERIALS = "certificate_serials"
"""The kind of a document that has which serial numbers of a scheme are known."""
MWH_J = 3_600_000_000
PORTIONS_MAX = 500
RETIRED = "certificate_use"
"""The kind of a document that says what is retired for a site's use of a month."""
RANGES_MAX = 5000


@dataclass(frozen=True, slots=True)
class Portion:
    """Certificates given to a site's use in a month (months since January 1970); retired at a time, or 0."""

    id: str
    site: str
    month: int
    mwh: int
    retired_ms: int = 0
    reference: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Certificates with serial numbers in a row, of energy made in `[from, until)` UTC ms.

    `contract` is the contract with whose deliveries they came; empty if they were bought alone.
    """

    id: str
    scheme: str
    series: str
    first: int
    last: int
    source: Source
    region: str
    from_ms: int
    until_ms: int
    expires_ms: int
    bought_from: str
    contract: str = ""
    synthetic: bool = False
    portions: tuple[Portion, ...] = ()

    @property
    def mwh(self) -> int:
        """How many there are."""
        return self.last - self.first + 1

    @property
    def free_mwh(self) -> int:
        """How many are given to no use yet."""
        return self.mwh - sum(each.mwh for each in self.portions)

    @property
    def hour(self) -> int | None:
        """The hour since 1970 that they are of, if they say it (granular certificates); else None."""
        first = self.from_ms // HOUR_MS
        return first if (self.until_ms - 1) // HOUR_MS == first else None

    @property
    def retired_mwh(self) -> int:
        """How many are retired."""
        return sum(each.mwh for each in self.portions if each.retired_ms)


@dataclass(frozen=True, slots=True)
class Serials:
    """The serial numbers of a series that are known, as ranges in order: none is registered twice."""

    scheme: str
    series: str
    ranges: tuple[tuple[int, int], ...] = ()

    @property
    def id(self) -> str:
        """Its name in the registry."""
        return f"{self.scheme}/{self.series}"


@dataclass(frozen=True, slots=True)
class RetiredFor:
    """How many certificates are retired for a site's use of a month, but those that prove a contract's.

    `hours` has those of them that say their hour, in that month and the site's region: (hour, MWh) in order.
    """

    site: str
    month: int
    mwh: int = 0
    hours: tuple[tuple[int, int], ...] = ()

    @property
    def id(self) -> str:
        """Its name in the registry."""
        return f"{self.site}/{self.month:05d}"


def register(known: Serials, made: Certificates) -> Serials:
    """Return the serial numbers with those of new certificates; raises Conflict if one is known."""
    for first, last in known.ranges:
        if made.first <= last and first <= made.last:
            message = (
                f"serial numbers {max(first, made.first)} to {min(last, made.last)} are registered already"
            )
            raise Conflict("serial_known", message, (Problem("/first", message, "each certificate once"),))
    if len(known.ranges) >= RANGES_MAX:
        raise Conflict("too_many", f"series {known.id} has {RANGES_MAX} ranges already: begin another")
    return replace(known, ranges=tuple(sorted((*known.ranges, (made.first, made.last)))))


def give(there: Certificates, portion: Portion, now_ms: int) -> Certificates:
    """Give some to a site's use of a month. A repeat under the same id changes nothing."""
    same = _find(there, portion.id)
    if same is not None:
        if replace(same, retired_ms=0, reference="", by="") == portion:
            return there
        raise Conflict("exists", f"portion {portion.id} is there already, and is another one")
    if portion.mwh > there.free_mwh:
        raise _wrong("/mwh", f"only {there.free_mwh} MWh are not given to a use", "fewer")
    if now_ms >= there.expires_ms:
        raise _wrong("/id", f"certificates {there.id} have expired", "others")
    if len(there.portions) >= PORTIONS_MAX:
        raise Conflict("too_many", f"certificates {there.id} have {PORTIONS_MAX} portions already")
    return replace(there, portions=(*there.portions, portion))


def take_back(there: Certificates, name: str) -> Certificates:
    """Take a portion back that is not retired."""
    portion = _portion(there, name)
    if portion.retired_ms:
        raise Conflict("retired", f"portion {name} is retired: it never comes back")
    return replace(there, portions=tuple(each for each in there.portions if each.id != name))


def retire(there: Certificates, name: str, reference: str, by: str, now_ms: int) -> Certificates:
    """Retire a portion, under its number in the scheme's own register. Twice is a Conflict."""
    portion = _portion(there, name)
    if portion.retired_ms:
        raise Conflict("retired", f"portion {name} is retired already, under {portion.reference!r}")
    if now_ms >= there.expires_ms:
        raise _wrong("/portion", f"certificates {there.id} have expired", "others")
    done = replace(portion, retired_ms=now_ms, reference=reference, by=by)
    return replace(there, portions=tuple(done if each is portion else each for each in there.portions))


def count(told: RetiredFor, there: Certificates, name: str, region: str) -> RetiredFor:
    """Return what is retired for a use with a portion of these; what proves a contract adds nothing.

    `region` is the site's: what was made elsewhere, or in another month, meets no hour of its use.
    """
    portion = _portion(there, name)
    if there.contract:
        return told
    after = replace(told, mwh=told.mwh + portion.mwh)
    hour = there.hour
    if hour is None or there.region != region or month_of(hour // 24) != portion.month:
        return after
    hours = dict(told.hours)
    hours[hour] = hours.get(hour, 0) + portion.mwh
    return replace(after, hours=tuple(sorted(hours.items())))


def check(made: Certificates, now_ms: int) -> None:
    """Raise Refused unless these can be certificates."""
    if not 0 <= made.first <= made.last:
        raise _wrong("/last", "serial numbers run from the first to the last", "first <= last")
    if not made.from_ms < made.until_ms <= now_ms:
        raise _wrong("/until", "the energy was made in a time that has been", "from < until <= now")
    if made.expires_ms <= now_ms:
        raise _wrong("/expires", "they have expired already", "certificates that can still be retired")


def _find(there: Certificates, name: str) -> Portion | None:
    return next((each for each in there.portions if each.id == name), None)


def _portion(there: Certificates, name: str) -> Portion:
    found = _find(there, name)
    if found is None:
        raise NotFound("not_found", f"certificates {there.id} have no portion {name!r}")
    return found


def _wrong(path: str, message: str, hint: str) -> Refused:
    return Refused("bad_certificate", message, (Problem(path, message, hint),))
