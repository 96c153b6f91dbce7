"""Checks of the meters that an agent is to read: what they show now, and that the platform takes it."""

from collections.abc import Callable, Iterator, Sequence

from hutong.adapters.engines.inspection import Check, bad, ok, warn
from hutong.agent.meter_sources import MeterSource
from hutong.core.kernel.errors import Later, Refused
from hutong.wire.meters import Meter


def check_meters(
    sources: Sequence[MeterSource], known: Callable[[], Sequence[Meter]], site: str
) -> Iterator[Check]:
    """Yield what each meter shows; `known` asks the platform for those that it takes from the agent."""
    if not sources:
        return
    try:
        there = {each.id: each for each in known()}
    except (Later, Refused) as error:
        yield warn("meters", f"the platform does not say which it takes: {error}", "see the check of it")
        yield from (_check(each, None) for each in sources)
        return
    for source in sources:
        if source.meter in there:
            yield _check(source, there[source.meter])
        else:
            mend = f"hutong energy meters add {source.meter} --site {site} --register --by-agent ..."
            yield bad(f"meter {source.meter}", "the platform takes no readings of it from this agent", mend)


def _check(source: MeterSource, there: Meter | None) -> Check:
    title = f"meter {source.meter}"
    try:
        value = source.read()
    except (Later, Refused) as error:
        return bad(title, f"it cannot be read: {error}", "run the command, or look at the file, yourself")
    unit = "mL" if source.water else "J"
    seen = f"it shows {value} {unit}"
    if there is None:
        return ok(title, seen)
    if there.ends is not None:
        return bad(title, f"the platform has it as ended at {there.ends}", "take it out of the file")
    if source.water != (there.measures == "water"):
        return bad(title, f"{seen}, and it is registered for {there.measures}", "correct unit")
    if there.wraps_at and value >= there.wraps_at:
        mend = "correct unit, or register the meter anew with the right --wraps-at"
        return bad(title, f"{seen}, and it is registered as 0 again at {there.wraps_at} {unit}", mend)
    return ok(title, seen)
