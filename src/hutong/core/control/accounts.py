"""The accounts of a scheduling pass: institutions, projects, their shares, their use and their quotas."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set

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


class Accounts:
    """Institutions, then projects, in the order of the pass. A project without an institution stands alone.

    Institutions that are promised something are among them though they wait for nothing: it may be kept.
    `projects` has the index of each project's account, `rows` the accounts by index.
    """

    def __init__(self, shot: Snapshot, projects: Sequence[ProjectId], views: Sequence[PoolView]) -> None:
        self._quotas = {quota.id: quota for quota in shot.quotas}
        self._owners = shot.institutions
        waiting = [self._owners.get(project, "") for project in projects]
        promised = [quota.name for quota in shot.quotas if quota.kind == INSTITUTION and quota.allotments]
        self.institutions = sorted({each for each in (*waiting, *promised) if each})
        self.projects = {project: len(self.institutions) + at for at, project in enumerate(projects)}
        self._bounded = any(quota.allotments for quota in shot.quotas)
        chips = sorted({each.accelerator for quota in shot.quotas for each in quota.allotments} - {ANY})
        self._flavour = {chip: at for at, chip in enumerate(chips, _UNNAMED + 1)}
        self._held = self._add_up(shot, views)
        above = {name: at for at, name in enumerate(self.institutions)}
        self.rows = [
            self._row(INSTITUTION, name, -1, shot.served.get(of_institution(name), 0))
            for name in self.institutions
        ]
        self.rows += [
            self._row(PROJECT, project, above.get(owner, -1), shot.served.get(of_project(project), 0))
            for project, owner in zip(projects, waiting, strict=True)
        ]

    def index_of(self, holder: str) -> int:
        """Return the index of an account by `kind/name`, -1 for one that asks for nothing."""
        kind, _, name = holder.partition("/")
        if kind == PROJECT:
            return self.projects.get(ProjectId(name), -1)
        return self.institutions.index(name) if name in self.institutions else -1

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
        """True if a project's institution holds more of an accelerator than it is promised, and of all."""
        owner = self._owners.get(project, "")
        quota = self._quotas.get(f"{INSTITUTION}/{owner}", _NONE)
        promised = {each.accelerator: each.nominal for each in quota.allotments}
        return all(
            self._held[INSTITUTION, owner, each] > promised.get(each, 0)
            for each in (ANY, chip if chip in self._flavour else "")
        )

    def told(self, project: ProjectId, chips: Sequence[str]) -> tuple[str, str]:
        """Return a code and a sentence for a job that its quotas keep waiting, whatever it asked for."""
        owner = self._owners.get(project, "")
        for kind, name in ((PROJECT, str(project)), (INSTITUTION, owner)):
            quota = self._quotas.get(f"{kind}/{name}", _NONE)
            for each in quota.allotments:
                if each.ceiling is not None and each.accelerator in {ANY, *chips}:
                    held = self._held[kind, name, each.accelerator]
                    text = f"{kind} {name} holds {held} of at most {each.ceiling} {_cards(each)}"
                    return "quota", f"{text}; wait until some of its own jobs end"
        return "quota", f"free {' and '.join(chips)} are promised to others; wait until more are free"

    def _row(self, kind: str, name: str, parent: int, served_ms: int) -> Account:
        quota = self._quotas.get(f"{kind}/{name}", _NONE)
        told = {each.accelerator: each for each in quota.allotments}
        flavours = [(ANY, _ALL), ("", _UNNAMED), *self._flavour.items()] if self._bounded else []
        bounds = tuple((flavour, self._bounds(kind, name, chip, told)) for chip, flavour in flavours)
        return Account(quota.share_milli, parent, served_ms // 1000, bounds)

    def _bounds(self, kind: str, name: str, chip: str, told: Mapping[str, Allotment]) -> Bounds:
        held, mine = self._held[kind, name, chip], told.get(chip)
        if mine is None:
            return Bounds(held)
        return Bounds(held, mine.nominal, c.NEVER if mine.ceiling is None else mine.ceiling, mine.kept_back)

    def _add_up(self, shot: Snapshot, views: Sequence[PoolView]) -> Counter[tuple[str, str, str]]:
        """Return the cards that each account holds: of all accelerators, and of each that a quota names."""
        chip_of = {(view.site, view.pool): view.accelerator for view in views}
        held: Counter[tuple[str, str, str]] = Counter()
        for each in shot.holdings:
            chip = chip_of.get((each.site, each.pool), "")
            flavour = chip if chip in self._flavour else ""
            owner = self._owners.get(each.project, "")
            for kind, name in ((PROJECT, str(each.project)), (INSTITUTION, owner)):
                held[kind, name, ANY] += each.cards
                held[kind, name, flavour] += each.cards
        return held


def _cards(allotment: Allotment) -> str:
    return "cards" if allotment.accelerator == ANY else allotment.accelerator
