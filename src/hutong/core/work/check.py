"""The check of a job: turns a parsed document into a spec, or names everything that is wrong with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hutong.core.kernel.arrays import NAMES, Array, read_array
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.pointers import extend
from hutong.core.work import check_words as w
from hutong.core.work.check_fields import Faults, Table, name_kind, open_table, read_text, show
from hutong.core.work.check_inputs import WORK_FOLDER, read_inputs, read_path
from hutong.core.work.check_resources import Catalogue, read_needs, read_ports
from hutong.core.work.spec import JobSpec, JobType, Wish

__all__ = ["MOST_DURATION_S", "OWN", "WORK_FOLDER", "Catalogue", "Own", "check_own", "check_spec"]

OWN = ("envs", "name", "run")
"""The keys, in order, that a job may have other values for than those it is alike."""
MOST_DURATION_S = 30 * 86_400
_TASK_S = 86_400
_NOTEBOOK_S = 8 * 3600
DEFAULT_NAME = "job"
OBJECTIVES = ("balanced", "fastest", "cheapest", "greenest")
LATENCY_CLASSES = ("batch", "interactive", "standard", "offline")
_SCRIPT_BYTES = 120 * 1024  # engines hand a script over as one argument; Linux ends those at 128 KiB
_VALUE_BYTES = 32 * 1024
_ALL_VALUES_BYTES = 512 * 1024
_MOST_ENVS = 200
_MOST_PAUSES = 3
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_SITE = re.compile(r"(?:\*|[a-z0-9][a-z0-9-]{0,62}\*?)")
_RESERVED = frozenset(
    (
        *("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "WORLD_SIZE", "RANK", "LOCAL_RANK"),
        *("LOCAL_WORLD_SIZE", "GROUP_RANK", "HOME", "PWD"),
    )
)
_TYPES = {
    "dev-environment": "write type: notebook, and let run start its server on $HUTONG_HOST:$HUTONG_PORT",
}


def check_spec(document: object, known: Catalogue) -> JobSpec:
    """Return the spec that a job file's document asks for.

    Raises Refused `bad_spec` whose problems name every fault by JSON pointer, with what would be right.
    """
    if not isinstance(document, Mapping):
        faults = Faults()
        faults.add("", f"a job is a mapping of keys to values, not {show(document)}", "run: python train.py")
        faults.settle()
    faults = Faults()
    top = open_table(document, "", w.TOP, faults)
    kind = JobType(top.choice("type", tuple(JobType), _TYPES))
    needs = read_needs(top, known)
    service = kind is JobType.SERVICE
    usual_s = _NOTEBOOK_S if kind is JobType.NOTEBOOK else _TASK_S
    envs = _read_envs(top)
    secrets = _read_secrets(top)
    _refuse_shared(top, envs, secrets)
    _refuse_doubles(top)
    array = _read_array(top, kind, (*dict(envs), *secrets))
    spec = JobSpec(
        name=_read_name(top),
        type=kind,
        num_nodes=_read_nodes(top),
        resources=needs.resources,
        run=_read_run(top),
        setup=top.text("setup", _SCRIPT_BYTES),
        envs=envs,
        secrets=secrets,
        inputs=read_inputs(top, secrets),
        outputs=_read_outputs(top),
        ports=read_ports(top) or needs.ports,
        max_duration_s=top.seconds(
            "max_duration", 0 if service else 1, MOST_DURATION_S, 0 if service else usual_s
        ),
        grace_s=top.seconds("grace", 0, 3600, 30),
        network=top.flag("network"),
        priority=top.whole("priority", -1000, 1000, needs.priority),
        retry=needs.retry,
        preemptible=top.flag("preemptible") or needs.preemptible,
        wish=_read_wish(top, needs.max_hourly_cost_micro, kind),
        array=array,
    )
    _refuse_pauses(top, spec)
    faults.settle()
    return spec


@dataclass(frozen=True, slots=True)
class Own:
    """What a job has for itself among those that are alike."""

    envs: tuple[tuple[str, str], ...]
    name: str
    run: str


def check_own(document: Mapping[str, object], like: JobSpec) -> Own | None:
    """Return the `OWN` part of a document whose other keys are those of `like`, a checked job.

    None where something is wrong: `check_spec` of the whole document says what.
    """
    faults = Faults()
    top = Table(document, "", faults)
    own = Own(_read_envs(top), _read_name(top), _read_run(top))
    _refuse_shared(top, own.envs, like.secrets)
    if faults or (like.array is not None and not dict(own.envs).keys().isdisjoint(NAMES)):
        return None
    return own


def _read_array(top: Table, kind: JobType, names: tuple[str, ...]) -> Array | None:
    value, path, faults = top.get("array"), top.at("array"), top.faults
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        faults.add(path, f"must be text, not {show(value)}", "array: 0-99")
        return None
    try:
        array = read_array(str(value))
    except Refused as error:
        faults.add(path, error.message, error.problems[0].hint)
        return None
    if kind is not JobType.TASK:
        faults.add(path, f"a {kind.value} cannot be an array", "leave it out, or write type: task")
    for name in sorted(set(names) & set(NAMES)):
        faults.add(path, f"{name} is set by the platform for each job of an array", "take it out of the file")
    return array


def _refuse_pauses(top: Table, spec: JobSpec) -> None:
    if not spec.wish.pauses:
        return
    path = f"{top.at('placement')}/pauses"
    if not spec.preemptible:
        top.faults.add(path, "a job that is paused is stopped at its checkpoint", "preemptible: true")
    if not spec.wish.defer_s:
        hint = "placement.defer: 12h says until when after its submission it goes on at the latest"
        top.faults.add(path, "nothing says how long the job may wait", hint)


def _refuse_doubles(top: Table) -> None:
    below = top.get("resources")
    for key in ("ports", "priority"):
        if top.get(key) is not None and isinstance(below, Mapping) and below.get(key) is not None:
            top.faults.add(top.at(key), f"resources.{key} is given too", "keep one of them")


def _read_name(top: Table) -> str:
    value = top.get("name")
    if value is None:
        return DEFAULT_NAME
    name = read_text(value, top.at("name"), 1024, top.faults)
    if value == "" or (name and not _NAME.fullmatch(name)):
        hint = "1 to 63 of a-z, A-Z, 0-9, '-', '_' and '.', beginning and ending with a letter or digit"
        top.faults.add(top.at("name"), f"{show(value)} is no name of a job", hint)
    return name


def _read_nodes(top: Table) -> int:
    if top.get("num_nodes") is not None and top.get("nodes") is not None:
        top.faults.add(top.at("nodes"), "num_nodes is given too", "nodes is another name of it: keep one")
    key = "nodes" if top.get("num_nodes") is None else "num_nodes"
    return top.whole(key, 1, 10_000, 1)


def _read_run(top: Table) -> str:
    value = top.get("run")
    if value is None or (isinstance(value, str) and not value.strip()):
        top.faults.add(
            top.at("run"), "is missing or empty", "the commands of the job, like run: python train.py"
        )
        return ""
    return top.text("run", _SCRIPT_BYTES)


def _read_envs(top: Table) -> tuple[tuple[str, str], ...]:
    value = top.get("envs")
    path, faults = top.at("envs"), top.faults
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        faults.add(path, f"must be a mapping of names to values, not {name_kind(value)}", "envs: {SEED: 1}")
        return ()
    if len(value) > _MOST_ENVS:
        faults.add(
            path, f"has {len(value)} entries", f"at most {_MOST_ENVS}; put the rest in a file in workdir"
        )
        return ()
    found: list[tuple[str, str]] = []
    for name, item in value.items():
        if not isinstance(name, str) or not _ENV.fullmatch(name):
            said = show(name.partition("=")[0] if isinstance(name, str) else name)
            faults.add(path, f"{said} is no name of a variable", "letters, digits and _, no digit first")
            continue
        _refuse_reserved(name, extend(path, name), faults)
        found.append((name, _read_value(name, item, extend(path, name), faults)))
    if sum(len(each.encode()) for _, each in found) > _ALL_VALUES_BYTES:
        faults.add(path, "the values are too long together", f"at most {_ALL_VALUES_BYTES} bytes in all")
    return tuple(found)


def _read_value(name: str, value: object, path: str, faults: Faults) -> str:
    """Return the text of a variable; it may be a secret in the wrong place, so no message repeats it."""
    match value:
        case None:
            faults.add(path, f"{name} has no value", f'give one with --env {name}=.. or write {name}: ""')
        case bool():
            return "true" if value else "false"
        case int() | float():
            text = show(value)
            if text.strip("-")[:1].isdigit():
                return text
            faults.add(path, "is no number that can be written down", "put the text in quotes")
        case str():
            return read_text(value, path, _VALUE_BYTES, faults)
        case _:
            faults.add(
                path, f"must be text or a number, not {show(value)}", "put JSON in quotes, as one text"
            )
    return ""


def _refuse_reserved(name: str, path: str, faults: Faults) -> None:
    if name in _RESERVED or name.startswith(("HUTONG_", "SKYPILOT_")):
        faults.add(path, f"{name} is set by the platform", "leave it out, or take another name")


def _read_secrets(top: Table) -> tuple[str, ...]:
    """Return the names of secrets. Whatever is no name may be a value: no message repeats it."""
    value, path, faults = top.get("secrets"), top.at("secrets"), top.faults
    if isinstance(value, Mapping):
        if len(value) > _MOST_ENVS:
            faults.add(path, f"has {len(value)} entries", f"at most {_MOST_ENVS}")
            return ()
        hint = "values never go in the file: store it by this name, and leave the value out here"
        items: list[tuple[str, object]] = []
        for name, item in value.items():
            named = isinstance(name, str) and _ENV.fullmatch(name)
            items.append((extend(path, name) if named else path, name))
            if item is not None:
                faults.add(items[-1][0], "has a value", hint)
    elif value is not None and not isinstance(value, list | tuple):
        faults.add(path, f"must be a list of names, not {name_kind(value)}", "secrets: [HF_TOKEN]")
        return ()
    else:
        items = list(top.items("secrets", _MOST_ENVS, "names"))
    names: list[str] = []
    for at, name in items:
        if not isinstance(name, str) or not _ENV.fullmatch(name):
            faults.add(at, "is no name of a secret; values never go in the file", "secrets: [HF_TOKEN]")
        elif name in names:
            faults.add(at, f"{name} is there twice", "name it once")
        else:
            _refuse_reserved(name, at, faults)
            names.append(name)
    return tuple(names)


def _refuse_shared(top: Table, envs: tuple[tuple[str, str], ...], secrets: tuple[str, ...]) -> None:
    for name, _ in envs:
        if name in secrets:
            hint = "keep it in secrets only: values in envs can be read by the whole project"
            top.faults.add(extend(top.at("envs"), name), f"{name} is a secret too", hint)


def _read_outputs(top: Table) -> str:
    value = top.get("outputs")
    if isinstance(value, Mapping) and value:
        hint = "name one folder: outputs: results"
        top.faults.add(top.at("outputs"), "SkyPilot's mapping of sizes is not supported", hint)
    return "" if value is None or isinstance(value, Mapping) else read_path(top, "outputs", required=False)


def _read_wish(top: Table, max_hourly_cost_micro: int | None, kind: JobType) -> Wish:
    table = top.table("placement", w.PLACEMENT)
    if table.get("sites") is not None and table.get("centres") is not None:
        table.faults.add(table.at("centres"), "sites is given too", "centres is another name of it: keep one")
    sites = table.table("centres" if table.get("sites") is None else "sites", w.SITES)
    table.choice("on_centre_loss", ("wait",), {"restart": "wait: a center out of reach never kills a job"})
    start_before_s = table.seconds("start_before", 1, MOST_DURATION_S, 0)
    hint = "ids of centers, like bj-north; a * at the end stands for any ending"
    allow, deny = (
        sites.words(key, 100, "site names", lambda name: bool(_SITE.fullmatch(name)), hint)
        for key in ("allow", "deny")
    )
    if set(allow) & set(deny):
        both = min(set(allow) & set(deny))
        table.faults.add(sites.at("deny"), f"{both} is in allow too", "keep it in one of the lists")
    latency = table.choice("latency_class", LATENCY_CLASSES)
    if kind is JobType.NOTEBOOK and table.get("latency_class") is None:
        latency = "interactive"  # somebody sits before it
    return Wish(
        objective=table.choice("objective", OBJECTIVES),
        latency_class=latency,
        allow=allow,
        deny=deny,
        start_before_s=start_before_s or None,
        defer_s=table.seconds("defer", 0, MOST_DURATION_S, 0),
        pauses=table.whole("pauses", 0, _MOST_PAUSES, 0),
        isolation=table.flag("isolation"),
        max_hourly_cost_micro=max_hourly_cost_micro,
    )
