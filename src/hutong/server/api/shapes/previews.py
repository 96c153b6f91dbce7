"""What would happen to a job now: the live decision over the live snapshot, nothing stored."""

from dataclasses import replace

from hutong.core.accounts.budgets import Action
from hutong.core.accounts.registry import Project
from hutong.core.book.runs import workload_of
from hutong.core.book.snapshot import Limits, Snapshot
from hutong.core.control.preview import Preview, preview
from hutong.core.kernel.ids import ProjectId
from hutong.core.work.spec import JobSpec
from hutong.server.api.shapes.receipts import alternatives
from hutong.server.budgets import binding
from hutong.server.debts import owed_micro
from hutong.server.prices import tenant_of
from hutong.server.registry import read
from hutong.server.services import Services
from hutong.wire.base import Money
from hutong.wire.jobs import Check


def check_shape(
    here: Services, spec: JobSpec, project: ProjectId, person: str, *, fresh: bool = False
) -> Check:
    """Return what the loop would decide about this spec of a person's if it were the first in the queue.

    `fresh`: as if it came just now, when one that may be deferred is given its hour.
    """
    found, _ = look_ahead(here, spec, project, person, fresh=fresh)
    choice = found.decision.choice
    return Check(
        choice=f"{choice.site}/{choice.pool}" if choice else "",
        reason=found.text,
        alternatives=alternatives(found.decision, found.pools, found.request, found.policy),
        worst_case=None if found.worst_case_micro is None else Money.of(found.worst_case_micro),
        fundable=found.fundable,
        policy=found.policy.name,
        never=found.never,
    )


def look_ahead(
    here: Services, spec: JobSpec, project: ProjectId, person: str, *, fresh: bool = False
) -> tuple[Preview, Snapshot]:
    """Return what would be decided about a spec that came first, and what that rests on."""
    now_ms = here.clock()
    limits = Limits(due=0, queue=0, workloads=(workload_of(project, spec),))
    snapshot = here.store.snapshot(now_ms, limits)
    owed = owed_micro(here.store, project)
    snapshot = replace(snapshot, lots={project: here.store.lots(project)}, debts={project: owed})
    record = here.store.get("project", project)
    owners = {project: read(Project, record).institution} if record else {}
    snapshot = replace(snapshot, institutions={**snapshot.institutions, **owners})
    bound = binding(here.store, project, owners.get(project, ""), person, Action.BLOCK_NEW, now_ms)
    snapshot = replace(snapshot, budgets=bound)
    if snapshot.prices.timelines:
        tenant = tenant_of(here.store, project, now_ms)
        kinds = dict(snapshot.prices.kinds)
        if tenant.kind is not None:
            kinds[tenant.institution] = tenant.kind
        prices = replace(snapshot.prices, kinds=tuple(sorted(kinds.items())))
        snapshot = replace(snapshot, prices=prices)
    return preview(snapshot, spec, project, here.rules, person, fresh=fresh), snapshot
