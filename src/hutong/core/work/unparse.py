"""Writes a spec as a job file's document again: the reverse of the check."""

from hutong.core.kernel.money import format_micro
from hutong.core.work.check import WORK_FOLDER
from hutong.core.work.check_fields import show_seconds
from hutong.core.work.check_resources import CPU
from hutong.core.work.spec import Ask, Input, JobSpec, Resources

_GB = 10**9


def unparse(spec: JobSpec) -> dict[str, object]:
    """Return a document that the check turns into the same spec; what is empty is left out.

    `deployment` and `images` are no words of the job file and are left out too.
    """
    document: dict[str, object] = {
        "name": spec.name,
        "type": spec.type.value,
        "num_nodes": spec.num_nodes,
        "resources": _resources(spec),
        "envs": dict(spec.envs),
        "secrets": list(spec.secrets),
        "workdir": next(({"digest": each.digest} for each in spec.inputs if _is_workdir(each)), {}),
        "inputs": [_input(each) for each in spec.inputs if not _is_workdir(each)],
        "outputs": spec.outputs,
        "ports": list(spec.ports),
        "setup": spec.setup,
        "run": spec.run,
        "max_duration": show_seconds(spec.max_duration_s),
        "grace": show_seconds(spec.grace_s),
        "network": spec.network,
        "priority": spec.priority,
        "preemptible": spec.preemptible or "",
        "placement": _placement(spec),
        "array": "" if spec.array is None else str(spec.array),
    }
    return {key: value for key, value in document.items() if value not in ("", [], {})}


def _input(each: Input) -> dict[str, str]:
    match each.kind:
        case "url":
            return {"mount": each.mount, "url": each.url, "store": each.store}
        case "shared":
            return {"mount": each.mount, "shared": each.shared}
    return {"mount": each.mount, "digest": each.digest, "kind": each.kind}


def _is_workdir(each: Input) -> bool:
    return each.mount == WORK_FOLDER


def _resources(spec: JobSpec) -> dict[str, object]:
    needs, retry = spec.resources, spec.retry
    document: dict[str, object] = {}
    if needs.asks != (Ask(CPU, needs.cpus or 1),):
        document["accelerators"] = _accelerators(needs)
    if needs.cpus:
        document["cpus"] = needs.cpus
    if needs.memory_bytes:
        whole, rest = divmod(needs.memory_bytes, _GB)
        kilo, part = divmod(needs.memory_bytes, 1000)
        document["memory"] = f"{kilo}.{part:03d}KB" if rest else f"{whole}GB"
    if spec.wish.max_hourly_cost_micro is not None:
        document["max_hourly_cost"] = format_micro(spec.wish.max_hourly_cost_micro)
    recovery: dict[str, object] = {}
    if retry.max_restarts_on_errors:
        recovery["max_restarts_on_errors"] = retry.max_restarts_on_errors
    if retry.recover_on_exit_codes:
        recovery["recover_on_exit_codes"] = list(retry.recover_on_exit_codes)
    if retry.avoid_domains:
        recovery["avoid_domains"] = list(retry.avoid_domains)
    if recovery:
        document["job_recovery"] = recovery
    return document


def _accelerators(needs: Resources) -> object:
    if len(needs.asks) == 1:
        return f"{needs.asks[0].accelerator}:{needs.asks[0].cards_per_node}"
    if needs.ordered:
        return [f"{ask.accelerator}:{ask.cards_per_node}" for ask in needs.asks]
    return {ask.accelerator: ask.cards_per_node for ask in needs.asks}


def _placement(spec: JobSpec) -> dict[str, object]:
    wish = spec.wish
    sites = {key: list(names) for key, names in (("allow", wish.allow), ("deny", wish.deny)) if names}
    document: dict[str, object] = {"objective": wish.objective, "latency_class": wish.latency_class}
    if sites:
        document["sites"] = sites
    if wish.start_before_s is not None:
        document["start_before"] = show_seconds(wish.start_before_s)
    if wish.defer_s:
        document["defer"] = show_seconds(wish.defer_s)
    if wish.pauses:
        document["pauses"] = wish.pauses
    if wish.isolation:
        document["isolation"] = True
    return document
