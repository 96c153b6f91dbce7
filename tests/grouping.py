"""How workers of `--dist loadgroup` share tests: modules stay whole, what waits runs beside what computes.

The tests of an `xdist_group` share a worker, and so do those of a module unless they are `slow` and have no
fixture of the module: what they share is started once. So do the examples of all documents. (xdist 3.8 names
groups as pytest 9.2 no longer reads it; hence the ids here.)
"""

import pytest
from _pytest.nodeid import NodeId
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

ALONE = "slow"
DOCUMENTS = ".md"
# Longest first: a group is one worker's from its first test to its last.
GROUPS = ("ray", "kubernetes", "up", "heavy", "centres", "slurm", "year", ALONE)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Append `@group` to the ids that a worker reports, and put groups first, then slow tests."""
    if not config.getoption("loadgroup", default=False):
        return
    for item in items:
        group = _group_of(item)
        if group and not item.nodeid.endswith(f"@{group}"):
            item._id = NodeId.parse(f"{item.nodeid}@{group}")
    items.sort(key=lambda item: _place(_group_of(item)))


def _group_of(item: pytest.Item) -> str:
    groups = sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")})
    if item.path.suffix == DOCUMENTS:
        return "documents"
    if groups or not item.get_closest_marker("slow"):
        return "_".join(groups)
    defined = getattr(item, "_fixtureinfo").name2fixturedefs.values()  # noqa: B009 - there is no public way
    shares = any(each.scope == "module" and each.baseid for found in defined for each in found)
    return f"{item.path.stem}-{ALONE}" if shares else ALONE


def _place(group: str) -> int:
    if not group:
        return len(GROUPS) + 1
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


@pytest.hookimpl(tryfirst=True, optionalhook=True)  # where xdist is switched off
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> "TwoEnds | None":
    """Hand out work by the rules of this module where `--dist loadgroup` is asked for."""
    return TwoEnds(config, log) if config.getoption("dist") == "loadgroup" else None


class TwoEnds(LoadGroupScheduling):
    """Half the workers begin with groups and slow tests, which wait for engines; half with the modules.

    So the cores are busy while engines are waited for, and no long test is left for the end.
    """

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # the order is that of `pytest_collection_modifyitems`
        self._from_the_end: dict[WorkerController, bool] = {}

    def _split_scope(self, nodeid: str) -> str:
        scope = super()._split_scope(nodeid)
        if scope == nodeid:  # of no group: its module
            return nodeid.split("::", 1)[0]
        return nodeid if scope == ALONE else scope

    def _assign_work_unit(self, node: WorkerController) -> None:
        from_the_end = self._from_the_end.setdefault(node, len(self._from_the_end) % 2 == 1)
        if from_the_end:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)
