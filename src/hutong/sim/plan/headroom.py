"""What breaks first: how far the work of a phase could grow with the nodes that a plan gives it."""

from dataclasses import replace

from hutong.sim.plan.file import PlanFile
from hutong.sim.plan.model import SMALL_MW, Found, Model, Stage

MOST = 16.0
"""Growth beyond this is not looked for."""

_STEPS = 12


def headroom(found: Found, plan: PlanFile, phase: int) -> tuple[float, tuple[str, ...]]:
    """Return by which factor the work of a phase could grow, and what breaks just beyond it.

    That is the cards within reach of a class of work, or the green share. The factor is found by halves,
    to a part in 250; nothing breaks below `MOST` where no name is told.
    """
    stage = found.stages[phase]
    fixed = tuple(
        replace(option, nodes=nodes, grows=False)
        for option, nodes in zip(found.options, stage.nodes, strict=True)
    )
    alone = plan.model_copy(update={"phases": (plan.phases[phase],)})

    def grown(factor: float) -> Found:
        return Model(alone, fixed, [stage.peak_p * factor]).solve()

    low, high, broken = 0.0, MOST, grown(MOST)
    if broken.feasible:
        return MOST, ()
    for _ in range(_STEPS):
        middle = (low + high) / 2
        tried = grown(middle)
        if tried.feasible:
            low = middle
        else:
            high, broken = middle, tried
    return low, _names(broken.stages[0])


def _names(stage: Stage) -> tuple[str, ...]:
    names = [f"cards within reach of {name}" for name in stage.short_of]
    return (*names, "green share") if stage.ungreen_mw >= SMALL_MW else tuple(names)
