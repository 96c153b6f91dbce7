"""What is settled before a run: quotas, bookings, limits of power and maintenance, of people and pools."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hutong.core.accounts.quotas import ANY, INSTITUTION, PROJECT, Quota
from hutong.core.book.snapshot import Snapshot
from hutong.core.capacity import sites
from hutong.core.control.accounts import Accounts
from hutong.core.control.power import MILLIWATTS
from hutong.core.energy.account import card_milliwatts
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.ids import ProjectId
from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.board import Account, Booked, Caps
from hutong.core.placement.columns import PPM
from hutong.core.placement.judge import Mask
from hutong.core.placement.laying import TOLD_COLUMNS, spans
from hutong.core.placement.request import PoolView
from hutong.sim.trace import Trace

# Columns of `Settled.limits`: the site, from when until when (NEVER: no end), milliwatts, known since when.
LIMIT_SITE, LIMIT_FROM, LIMIT_UNTIL, LIMIT_MW, LIMIT_TOLD, SETTLED_LIMIT_COLUMNS = range(6)


@dataclass(frozen=True, slots=True)
class Booking:
    """Cards of a pool for a holder (`project/NAME` or `institution/NAME`), in `[from_s, until_s)`."""

    pool: str
    cards: int
    from_s: int
    until_s: int
    holder: str


@dataclass(frozen=True, slots=True)
class PowerLimit:
    """The most that a site's jobs may draw in `[from_s, until_s)`; no end if that is 0.

    With `stop_jobs`, preemptible jobs are stopped until it holds. Nobody knows of it before `announced_s`.
    """

    site: str
    limit_kw: int
    from_s: int
    until_s: int = 0
    stop_jobs: bool = False
    announced_s: int = 0


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A site is worked on in `[from_s, until_s)`: nothing is placed that may still run when it begins.

    With `stop_jobs`, what runs all the same is stopped then. Nobody knows of it before `announced_s`.
    """

    site: str
    from_s: int
    until_s: int
    stop_jobs: bool = False
    announced_s: int = 0


@dataclass(frozen=True, slots=True)
class Preemptible:
    """Which jobs may be stopped for others or for power: those of some projects, and a share of the others.

    `grace_s` is how long a job that saves goes on to hold its cards once it is stopped.
    """

    projects: tuple[str, ...] = ()
    share_ppm: int = 0
    grace_s: int = 30

    def of(self, trace: Trace) -> Mask:
        """Return which jobs of a trace these are: the same ones in every run."""
        mine = [at for at, name in enumerate(trace.groups) if name in self.projects]
        drawn = np.random.default_rng(1).integers(0, PPM, len(trace)) < self.share_ppm
        found: Mask = np.isin(trace.group, mine) | drawn
        return found


NOBODY = Preemptible()


@dataclass(frozen=True, slots=True)
class Agreed:
    """All that is settled, times in seconds of the trace's clock. Groups of the trace are projects.

    `institutions` are (name, its projects); a project of none stands alone.
    """

    institutions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    quotas: tuple[Quota, ...] = ()
    bookings: tuple[Booking, ...] = ()
    power_limits: tuple[PowerLimit, ...] = ()
    preemptible: Preemptible = NOBODY
    maintenance: tuple[Maintenance, ...] = ()

    @property
    def is_free(self) -> bool:
        """True if there is no quota, booking, limit or maintenance."""
        return not (self.quotas or self.bookings or self.power_limits or self.maintenance)

    @property
    def moments_s(self) -> tuple[int, ...]:
        """When any of it is announced, begins or ends, the begin of the trace left out."""
        found = {at for each in self.bookings for at in (each.from_s, each.until_s)}
        for power in self.power_limits:
            found |= {power.announced_s, power.from_s, power.until_s}
        for window in self.maintenance:
            found |= {window.announced_s, window.from_s, window.until_s}
        return tuple(sorted(found - {0}))


@dataclass(frozen=True, slots=True)
class Settled:
    """The same as tables for one trace on some pools; times are milliseconds.

    `account_of` is the account of each job, `flavours` are those of the pools or None without quotas,
    `holders` the project and the institution (-2 for none) that each account counts to. `told` are the
    bookings by pool, as `laying` has them with the pool behind; `limits` are in the order of `site_of`, the
    number of each pool's site; `draw` is what a card of each pool draws, milliwatts. `moments_s` are when
    something begins or ends. `preemptible` says of each job whether it may be stopped, within `grace_s`.
    `shed` are the limits for which jobs are stopped and `maintenance` what its name says, each as (site,
    known since when, what a site of the live platform would have).
    """

    accounts: tuple[Account, ...]
    account_of: Ints
    flavours: Ints | None
    holders: Ints
    told: Ints
    limits: Ints
    site_of: Ints
    draw: Ints
    moments_s: tuple[int, ...]
    preemptible: Mask
    grace_s: int
    shed: tuple[tuple[int, int, sites.PowerLimit], ...] = ()
    maintenance: tuple[tuple[int, int, sites.Maintenance], ...] = ()

    @property
    def stops_jobs(self) -> bool:
        """True if some of the jobs may be stopped before they have ended."""
        return bool(self.preemptible.any()) or any(each.stop_jobs for _, _, each in self.maintenance)

    @property
    def is_free(self) -> bool:
        """True if there is no quota, booking, limit or maintenance."""
        many = len(self.told) + len(self.limits) + len(self.maintenance)
        return self.flavours is None and not many

    @property
    def booked(self) -> Booked | None:
        """Room for the rows of bookings, None without any: each may have one for every begin in its pool."""
        if not len(self.told):
            return None
        many = int((np.unique(self.told[:, TOLD_COLUMNS], return_counts=True)[1] ** 2).sum())
        nothing = np.zeros_like(self.draw)
        return Booked(np.zeros((many, c.BOOKING_COLUMNS), np.int64), nothing, nothing)

    @property
    def caps(self) -> Caps | None:
        """Room for the rows of limits, None without any."""
        if not len(self.limits):
            return None
        nothing = np.zeros_like(self.draw)
        rows = np.zeros((2 * len(self.limits), c.LIMIT_COLUMNS), np.int64)
        return Caps(rows, nothing, nothing, self.draw)


def settle(agreed: Agreed, trace: Trace, views: Sequence[PoolView], names: Sequence[str]) -> Settled:
    """Return the tables of what is settled; `names` are those of the pools.

    Raises Refused, field by field, for what names nobody or nothing, and for more than there is.
    """
    problems = [*_in_people(agreed, trace), *_in_quotas(agreed, views), *_in_places(agreed, views, names)]
    if problems:
        raise Refused("rules", "the rules do not fit the trace or the pools", tuple(problems))
    owners = {ProjectId(each): name for name, projects in agreed.institutions for each in projects}
    jobs = [
        (ProjectId(trace.groups[group] if group >= 0 else ""), trace.users[user] if user >= 0 else "")
        for group, user in zip(trace.group.tolist(), trace.user.tolist(), strict=True)
    ]
    shot = Snapshot(0, (), (), (), {}, quotas=agreed.quotas, institutions=owners)
    accounts = Accounts(shot, jobs, views)
    known = {each: accounts.of(*each) for each in set(jobs)}
    at_sites = sorted({view.site for view in views})
    return Settled(
        tuple(accounts.rows),
        np.array([known[each] for each in jobs], np.int64),
        accounts.flavours(views),
        _holders(accounts),
        _told(agreed.bookings, list(names), accounts.index_of),
        _limits(agreed.power_limits, at_sites),
        np.array([at_sites.index(view.site) for view in views], np.int64),
        np.array([card_milliwatts(view.accelerator, view.pue_milli) for view in views], np.int64),
        agreed.moments_s,
        agreed.preemptible.of(trace),
        agreed.preemptible.grace_s,
        tuple(
            (at_sites.index(each.site), 1000 * each.announced_s, _live_limit(each))
            for each in agreed.power_limits
            if each.stop_jobs
        ),
        tuple(
            (at_sites.index(each.site), 1000 * each.announced_s, _live_maintenance(each))
            for each in agreed.maintenance
        ),
    )


def _live_limit(of: PowerLimit) -> sites.PowerLimit:
    return sites.PowerLimit("", of.limit_kw, 1000 * of.from_s, 1000 * of.until_s, "", of.stop_jobs)


def _live_maintenance(of: Maintenance) -> sites.Maintenance:
    return sites.Maintenance(1000 * of.from_s, 1000 * of.until_s, "", of.stop_jobs)


def _holders(accounts: Accounts) -> Ints:
    found = np.full((len(accounts.rows), 2), -2, np.int64)
    for at, row in enumerate(accounts.rows):
        chain = [at, row.parent] if row.ranks else [row.parent, accounts.rows[row.parent].parent]
        found[at] = [each if each >= 0 else -2 for each in chain]
    return found


def _told(bookings: Sequence[Booking], names: list[str], account_of: Callable[[str], int]) -> Ints:
    booked: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    for each in bookings:
        span = 1000 * each.from_s, 1000 * each.until_s, each.cards
        booked[each.pool, each.holder].append(span)
    rows = [
        (account_of(holder), cards, from_ms, until_ms, 0, account_of(holder), names.index(pool))
        for (pool, holder), told in booked.items()
        for from_ms, until_ms, cards in spans(told)
    ]
    rows.sort(key=lambda row: (row[-1], row[2], row[3]))
    return np.array(rows, np.int64).reshape(len(rows), TOLD_COLUMNS + 1)


def _limits(limits: Sequence[PowerLimit], at_sites: list[str]) -> Ints:
    rows = sorted(
        (
            at_sites.index(each.site),
            1000 * each.from_s,
            1000 * each.until_s or c.NEVER,
            each.limit_kw * MILLIWATTS,
            1000 * each.announced_s,
        )
        for each in limits
    )
    return np.array(rows, np.int64).reshape(len(rows), SETTLED_LIMIT_COLUMNS)


def _in_people(agreed: Agreed, trace: Trace) -> Iterator[Problem]:
    groups, institutions = set(trace.groups), {name for name, _ in agreed.institutions}
    known = ", ".join(trace.groups[:8]) or "none"
    of: dict[str, str] = {}
    for name, projects in agreed.institutions:
        for each in projects:
            if each not in groups:
                yield Problem(
                    f"/institutions/{name}", f"{each!r} is no group of the trace; there are {known}"
                )
            if of.setdefault(each, name) != name:
                yield Problem(f"/institutions/{name}", f"{each!r} belongs to {of[each]} already")
    named = [
        (f"/preemptible/projects/{at}", f"{PROJECT}/{each}")
        for at, each in enumerate(agreed.preemptible.projects)
    ]
    named += [(f"/quotas/{at}/name", each.id) for at, each in enumerate(agreed.quotas)]
    named += [(f"/bookings/{at}/holder", each.holder) for at, each in enumerate(agreed.bookings)]
    for path, holder in named:
        kind, _, name = holder.partition("/")
        if kind == PROJECT and name not in groups:
            yield Problem(path, f"{name!r} is no group of the trace; there are {known}")
        if kind == INSTITUTION and name not in institutions:
            yield Problem(path, f"{name!r} is not among the institutions; add it there with its projects")


def _in_quotas(agreed: Agreed, views: Sequence[PoolView]) -> Iterator[Problem]:
    chips = {ANY, *(view.accelerator for view in views)}
    seen: set[str] = set()
    owned = {each for _, projects in agreed.institutions for each in projects}
    for at, quota in enumerate(agreed.quotas):
        if quota.id in seen:
            yield Problem(f"/quotas/{at}", f"{quota.id} has a quota above; give one with all allotments")
        seen.add(quota.id)
        told = [each.accelerator for each in quota.allotments]
        for place, chip in enumerate(told):
            path = f"/quotas/{at}/allotments/{place}/accelerator"
            if chip not in chips:
                yield Problem(path, f"no pool has {chip!r}; there are {', '.join(sorted(chips))}")
            if quota.kind == PROJECT and quota.name not in owned and quota.allotments[place].lend is not None:
                text = "a project of no institution keeps nothing back; name its institution, or leave it out"
                yield Problem(f"/quotas/{at}/allotments/{place}/lend", text)
            if quota.kind == INSTITUTION and quota.allotments[place].each_person is not None:
                path = f"/quotas/{at}/allotments/{place}/each_person"
                yield Problem(path, "people are limited in a project; give its quota each_person")
            if chip in told[:place]:
                yield Problem(path, f"{chip!r} has an allotment above; give one for each accelerator")


def _in_places(agreed: Agreed, views: Sequence[PoolView], names: Sequence[str]) -> Iterator[Problem]:
    sizes = {name: view.nodes * view.cards_per_node for name, view in zip(names, views, strict=True)}
    for at, booking in enumerate(agreed.bookings):
        if booking.pool not in sizes:
            yield Problem(f"/bookings/{at}/pool", f"no pool {booking.pool!r}; there are {', '.join(names)}")
            continue
        there = sum(
            each.cards for each in agreed.bookings
            if each.pool == booking.pool and each.from_s <= booking.from_s < each.until_s
        )  # fmt: skip
        if there > sizes[booking.pool]:
            text = f"{there} cards of {booking.pool} are booked when it begins; it has {sizes[booking.pool]}"
            yield Problem(f"/bookings/{at}/cards", text)
        rival = next((each for each in agreed.bookings[:at] if _are_kin(agreed, booking, each)), None)
        if rival is not None:
            text = f"{rival.holder} has cards of {booking.pool} booked in that time above; book once for both"
            yield Problem(f"/bookings/{at}/holder", text)
    known = {view.site for view in views}
    metered = {view.site for view in views if card_milliwatts(view.accelerator, view.pue_milli)}
    for at, limit in enumerate(agreed.power_limits):
        if limit.site not in known:
            text = f"no site {limit.site!r}; there are {', '.join(sorted(known))}"
            yield Problem(f"/power_limits/{at}/site", text)
        elif limit.site not in metered:
            text = f"nobody knows what cards of {limit.site!r} draw; limits are of a scenario's centres"
            yield Problem(f"/power_limits/{at}/site", text)
    for at, window in enumerate(agreed.maintenance):
        if window.site not in known:
            text = f"no site {window.site!r}; there are {', '.join(sorted(known))}"
            yield Problem(f"/maintenance/{at}/site", text)


def _are_kin(agreed: Agreed, one: Booking, other: Booking) -> bool:
    """True for an institution's booking and one of its projects' that overlap: live one is refused."""
    within = {
        f"{INSTITUTION}/{name}": {f"{PROJECT}/{each}" for each in of} for name, of in agreed.institutions
    }
    kin = one.holder in within.get(other.holder, ()) or other.holder in within.get(one.holder, ())
    return kin and one.pool == other.pool and one.from_s < other.until_s and other.from_s < one.until_s
