"""The accounts of a scheduling pass: institutions, projects, their shares, their use and their quotas.

Where a quota limits what each person of a project may hold, they have accounts below it that only bound.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set

import numpy as np

from hutong.core.accounts.quotas import ANY, INSTITUTION, PROJECT, Allotment, Quota
from hutong.core.book.shares import of_institution, of_project
from hutong.core.book.snapshot import Snapshot
from hutong.core.kernel.ids import ProjectId
from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.board import Account, Bounds
from hutong.core.placement.request import PoolView

_NONE = Quota("", "")
_ALL, _UNNAMED = 0, 1
_CHIPS_MAX = 60  # what is barred is told by the bits of one integer
_PERSON = "person"
_Holder = tuple[str, str, str]
"""A kind of account, its name, and an accelerator."""


class Accounts:
    """Institutions, projects, then people, in the order of the pass.

    A project without an institution stands alone. Institutions that are promised something are among them
    though they wait for nothing: it may be kept. `rows` has the accounts by index; `waiting` are the
    (project, person) for whom something waits.
    """

    def __init__(
        self, shot: Snapshot, waiting: Iterable[tuple[ProjectId, str]], views: Sequence[PoolView]
    ) -> None:
        everybody = sorted(set(waiting))
        projects = sorted({project for project, _ in everybody})
        self._quotas = {quota.id: quota for quota in shot.quotas}
        self._owners = shot.institutions
        owners = [self._owners.get(project, "") for project in projects]
        promised = [quota.name for quota in shot.quotas if quota.kind == INSTITUTION and quota.allotments]
        institutions = sorted({each for each in (*owners, *promised) if each})
        limited = {ProjectId(quota.name) for quota in shot.quotas if quota.limits_people}
        people = [each for each in everybody if each[0] in limited]
        self._projects = {project: at for at, project in enumerate(projects, len(institutions))}
        self._people = {each: at for at, each in enumerate(people, len(institutions) + len(projects))}
        self._bounded = any(quota.allotments for quota in shot.quotas)
        self._flavour = {chip: at for at, chip in enumerate(_chips(shot.quotas, views), _UNNAMED + 1)}
        self._held = self._add_up(shot, views)
        above = {name: at for at, name in enumerate(institutions)}
        self.rows = [
            self._row(INSTITUTION, name, -1, shot.served.get(of_institution(name), 0))
            for name in institutions
        ]
        self.rows += [
            self._row(PROJECT, project, above.get(owner, -1), shot.served.get(of_project(project), 0))
            for project, owner in zip(projects, owners, strict=True)
        ]
        self.rows += [self._person(project, person) for project, person in people]
        self._names = [
            *(f"{INSTITUTION} {name}" for name in institutions),
            *(f"{PROJECT} {name}" for name in projects),
            *(person for _, person in people),
        ]
        self._at = {name: at for at, name in enumerate(self._names[: len(institutions) + len(projects)])}

    def of(self, project: ProjectId, person: str) -> int:
        """Return the account to which a job counts, by index: a person's where people are limited."""
        return self._people.get((project, person), self._projects[project])

    @property
    def roots(self) -> list[int]:
        """The accounts that have none above them."""
        return [at for at, row in enumerate(self.rows) if row.parent < 0]

    def of_running(self, project: ProjectId, person: str) -> int:
        """Return the nearest account, of those of the pass, to which a running job counts; -1 for none."""
        known = self._people.get((project, person), self._projects.get(project, -1))
        return known if known >= 0 else self.index_of(f"{INSTITUTION}/{self._owners.get(project, '')}")

    def index_of(self, holder: str) -> int:
        """Return the index of an account by `kind/name`, -1 for one that asks for nothing."""
        return self._at.get(holder.replace("/", " ", 1), -1)

    def above(self, account: int) -> frozenset[int]:
        """Return an account and those above it."""
        found = []
        while account >= 0:
            found.append(account)
            account = self.rows[account].parent
        return frozenset(found)

    def flavours(self, views: Sequence[PoolView]) -> Ints | None:
        """Return the flavour of each pool, or None where nobody has a quota."""
        if not self._bounded:
            return None
        return np.array([self._flavour.get(view.accelerator, _UNNAMED) for view in views], np.int64)

    def chips_of(self, bars: int, chips: Set[str]) -> tuple[str, ...]:
        """Return those of these accelerators that the bits of a pass bar."""
        return tuple(sorted(chip for chip in chips if bars >> self._flavour.get(chip, _UNNAMED) & 1))

    def beyond(self, project: ProjectId, chip: str) -> bool:
        """True if a project's institution holds more of an accelerator than it is promised, and of all.

        Nobody does where nothing is promised to anybody.
        """
        owner = self._owners.get(project, "")
        quota = self._quotas.get(f"{INSTITUTION}/{owner}", _NONE)
        promised = {each.accelerator: each.nominal for each in quota.allotments}
        return self._bounded and all(
            self._held[INSTITUTION, owner, each] > promised.get(each, 0)
            for each in (ANY, chip if chip in self._flavour else "")
        )

    def told(self, account: int, chips: Sequence[str], least: Ints, quotas: Ints) -> tuple[str, str]:
        """Return a code and a sentence for a job that its quotas keep waiting, whatever it asked for.

        `least` are the fewest cards of each flavour that it takes, `quotas` the bounds as the pass left them:
        the limit that is named is one that bars it now.
        """
        while account >= 0:
            for chip in chips:
                flavour = self._flavour.get(chip, _UNNAMED)
                need = int(least[flavour])
                for at, what in ((_ALL, "cards"), (flavour, chip)):
                    held, most = int(quotas[account, at, c.CARDS_HELD]), int(quotas[account, at, c.CEILING])
                    if held + need > most:
                        return "quota", self._sentence(account, what, held, most, need)
            account = self.rows[account].parent
        return "quota", f"free {' and '.join(chips)} are promised to others; wait until more are free"

    def _sentence(self, account: int, what: str, held: int, most: int, need: int) -> str:
        """Say whose limit it is, what is held now and needed, and the smallest change that would help."""
        row = self.rows[account]
        each = "" if row.ranks else f" that each person of {self._names[row.parent]} may hold"
        text = f"{self._names[account]} holds {held} of at most {most} {what}{each}, needs {need}"
        change = f"wait until {held + need - most} of them are given back"
        if need > most:
            change = f"ask for at most {most}" if most else "ask an operator for a higher limit"
        elif held < most:
            change = f"ask for at most {most - held} now, or {change}"
        return f"{text}; {change}"

    def _row(self, kind: str, name: str, parent: int, served_ms: int) -> Account:
        quota = self._quotas.get(f"{kind}/{name}", _NONE)
        told = {each.accelerator: each for each in quota.allotments}
        bounds = tuple((at, self._bounds((kind, name, chip), told)) for chip, at in self._all_flavours())
        return Account(quota.share_milli, parent, served_ms // 1000, bounds)

    def _person(self, project: ProjectId, person: str) -> Account:
        most = {
            each.accelerator: each.each_person for each in self._quotas[f"{PROJECT}/{project}"].allotments
        }
        bounds = []
        for chip, at in self._all_flavours():
            ceiling = most.get(chip)
            held = self._held[_PERSON, f"{project}/{person}", chip]
            bounds.append((at, Bounds(held, ceiling=c.NEVER if ceiling is None else ceiling)))
        return Account(parent=self._projects[project], bounds=tuple(bounds), ranks=False)

    def _all_flavours(self) -> Sequence[tuple[str, int]]:
        return [(ANY, _ALL), ("", _UNNAMED), *self._flavour.items()] if self._bounded else []

    def _bounds(self, holder: _Holder, told: Mapping[str, Allotment]) -> Bounds:
        held, mine = self._held[holder], told.get(holder[-1])
        if mine is None:
            return Bounds(held)
        return Bounds(held, mine.nominal, c.NEVER if mine.ceiling is None else mine.ceiling, mine.kept_back)

    def _add_up(self, shot: Snapshot, views: Sequence[PoolView]) -> Counter[_Holder]:
        """Return the cards that each account holds: of all accelerators, and of each that has a flavour."""
        held: Counter[_Holder] = Counter()
        if not shot.holdings and not shot.person_holdings:
            return held
        chip_of = {(view.site, view.pool): view.accelerator for view in views}

        def count(kind: str, name: str, site: str, pool: str, cards: int) -> None:
            chip = chip_of.get((site, pool), "")
            held[kind, name, ANY] += cards
            held[kind, name, chip if chip in self._flavour else ""] += cards

        for each in shot.holdings:
            count(PROJECT, each.project, each.site, each.pool, each.cards)
            count(INSTITUTION, self._owners.get(each.project, ""), each.site, each.pool, each.cards)
        for mine in shot.person_holdings:
            count(_PERSON, f"{mine.project}/{mine.person}", mine.site, mine.pool, mine.cards)
        return held


def _chips(quotas: Sequence[Quota], views: Sequence[PoolView]) -> list[str]:
    """Return the accelerators that have a flavour of their own: those that quotas name.

    Where one names all together, all do, as far as there is room: a job may take more cards of one than of
    another, and what it would take of each must be known.
    """
    allotted = {each.accelerator for quota in quotas for each in quota.allotments}
    named = allotted - {ANY}
    others = {view.accelerator for view in views} - named if ANY in allotted else ()
    return [*sorted(named), *sorted(others)][:_CHIPS_MAX]
