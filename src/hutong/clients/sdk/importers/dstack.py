"""Turns a task or a service for dstack into a job file, and says of each key what became of it."""

import posixpath
import re
import shlex
from collections.abc import Callable, Mapping, Sequence

from hutong.clients.sdk.importers.body_notes import FINDINGS, logical_lines, note_findings, note_network
from hutong.clients.sdk.importers.draft import Card, Draft, Imported
from hutong.clients.sdk.importers.dstack_left_out import LEFT_OUT
from hutong.clients.sdk.importers.dstack_places import Places
from hutong.clients.sdk.importers.dstack_resources import put_resources
from hutong.clients.sdk.importers.dstack_sources import put_files, put_repos
from hutong.clients.sdk.importers.sbatch_script import Line
from hutong.clients.sdk.importers.variables import Value, set_names
from hutong.clients.sdk.jobfile import parse_job
from hutong.core.kernel.quantities import parse_seconds

_MOST_SECONDS = 30 * 86_400
_MOST_GRACE_S = 3600
_RESTARTS = 3
_NAME = re.compile(r"(?<![A-Za-z0-9_])(DSTACK_[A-Z0-9_]+)(?![A-Za-z0-9_])(?!=(?!=))")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_SECRET = re.compile(r"\$\{\{\s*secrets\.[A-Za-z0-9_-]+\s*\}\}")
_PORT = re.compile(r"(?a)(?:(?:\d+|\*):)?(\d{1,5})")
_OTHERS = {
    "dev-environment": "there are no dev environments: a task or a service",
    "fleet": "centers bring their machines themselves",
    "gateway": "the platform has its gateway",
    "volume": "there are no volumes: $HUTONG_CHECKPOINTS, outputs and inputs",
}
_VALUES = {
    "DSTACK_NODE_RANK": Value("$HUTONG_NODE_RANK", "$HUTONG_NODE_RANK"),
    "DSTACK_NODES_NUM": Value("$HUTONG_NUM_NODES", "$HUTONG_NUM_NODES"),
    "DSTACK_NODES_IPS": Value('"$HUTONG_NODE_IPS"', "$HUTONG_NODE_IPS"),
    "DSTACK_MASTER_NODE_IP": Value("$MASTER_ADDR", "$MASTER_ADDR"),
    "DSTACK_GPUS_PER_NODE": Value("$HUTONG_NUM_GPUS_PER_NODE", "$HUTONG_NUM_GPUS_PER_NODE"),
    "DSTACK_GPUS_NUM": Value("$((HUTONG_NUM_NODES * HUTONG_NUM_GPUS_PER_NODE))", "the cards of all nodes"),
    "DSTACK_RUN_ID": Value("$HUTONG_JOB_ID", "$HUTONG_JOB_ID"),
    "DSTACK_WORKING_DIR": Value('"$PWD"', "the work folder"),
    "DSTACK_REPO_DIR": Value('"$PWD"', "the work folder"),
}
_NOT_SET = {
    "DSTACK_MPI_HOSTFILE": "is not set: nodes do not log into each other; $HUTONG_NODE_IPS lists them",
}


def import_dstack(
    data: bytes,
    file: str,
    *,
    catalogue: Sequence[Card] = (),
    accelerators: Sequence[str] = (),
    folder: str = ".",
) -> Imported:
    """Return the job of a dstack configuration; raises JobFileError with each line that keeps it from one.

    `catalogue` says which cards a size like `24GB` may mean; `accelerators` are models to take instead.
    `folder` is where the file lies, seen from the job file.
    """
    loaded = parse_job(data, file, frozenset({"/env"}))
    draft = Draft(file)
    places = Places(loaded.document, loaded.positions, draft)
    document = loaded.document
    kind = _read_type(places)
    if not kind:
        return draft.finish(loaded.name)
    name = _put_name(places, loaded.name)
    put_resources(places, catalogue, accelerators)
    for key, read in _READERS.items():
        if document.get(key) is not None:
            read(places)
    put_files(places, folder)
    opening = put_repos(places, folder)
    _put_duration(places, kind)
    _note_rest(places)
    _put_run(places, name, opening)
    if kind == "service":
        _put_service(places)
    return draft.finish(name)


def _read_type(places: Places) -> str:
    """Return and put the type, empty if it is none that can be carried over."""
    kind = places.document.get("type")
    if kind in ("task", "service"):
        places.draft.put("type", kind, places.line("/type"))
        return str(kind)
    told = _OTHERS.get(kind, "type: task, or type: service") if isinstance(kind, str) else "type: task"
    message = "has no type: is it a dstack file?" if kind is None else "is no task and no service"
    places.refuse("/type", message, told)
    return ""


def _put_name(places: Places, fallback: str) -> str:
    name = places.document.get("name")
    places.draft.put("name", fallback.removesuffix("-dstack") if name is None else name, places.line("/name"))
    if isinstance(name, str):
        places.same("/name", "kept")
    return name if isinstance(name, str) else fallback


def _read_nodes(places: Places) -> None:
    nodes = places.document["nodes"]
    places.draft.put("num_nodes", nodes, places.line("/nodes"))
    places.same("/nodes", f"num_nodes: {nodes}: the commands start on every node, as with dstack")


def _read_env(places: Places) -> None:
    """Carry values; names without one are secrets, which is what they are nearly always."""
    value = places.document["env"]
    items: list[tuple[str, object, object]] = []
    if isinstance(value, Mapping):
        items = [(f"/env/{key}", key, member) for key, member in value.items()]
    elif isinstance(value, list):
        for index, item in enumerate(value):
            key, equals, text = item.partition("=") if isinstance(item, str) else ("", "", "")
            items.append((f"/env/{index}", key, text if equals else None))
    else:
        places.refuse("/env", "is no list and no mapping", "env: {SEED: 1}, or a list of NAME=VALUE")
    secrets: dict[str, str] = {}
    for path, name, member in items:
        if not isinstance(name, str) or not _ENV.fullmatch(name):
            places.refuse(path, "is no NAME=VALUE", "letters, digits and _, no digit first")
        elif member is None or (isinstance(member, str) and _SECRET.fullmatch(member.strip())):
            secrets[name] = path
        elif isinstance(member, str) and "${{" in member:
            places.refuse(path, f"{name} is filled in by dstack", "write the value, or name it in secrets")
        else:
            places.draft.put(f"envs/{name}", member, places.line(path))
            places.note_same(path, f"env {name}", f"envs: {name}")
    for name, path in secrets.items():
        message = (
            f"secrets: store it once with `hutong secret set {name}`, or take it out and give --env {name}"
        )
        places.note_changed(path, f"env {name}", message)
    if secrets:
        places.draft.put("secrets", list(secrets), places.line("/env"))


def _read_ports(places: Places) -> None:
    value = places.document["ports"]
    ports: list[int] = []
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        match = _PORT.fullmatch(str(item)) if isinstance(item, str | int) else None
        if match is None:
            places.refuse(f"/ports/{index}", "is no port", "like 8000, or 8001:8000")
        elif int(match[1]) not in ports:
            ports.append(int(match[1]))
    places.draft.put("ports", ports, places.line("/ports"))
    places.changed("/ports", "they are the job's own; none is forwarded to your machine")


def _read_stop_duration(places: Places) -> None:
    value = places.document["stop_duration"]
    seconds = _seconds(value)
    if value in ("off", False) or (seconds or 0) > _MOST_GRACE_S:
        places.draft.put("grace", "1h", places.line("/stop_duration"))
        places.changed("/stop_duration", "grace: 1h, the most there is")
    elif value is not True and seconds is None:
        places.refuse("/stop_duration", "is no duration", "like 5m")
    elif seconds is not None:
        places.draft.put("grace", f"{seconds}s", places.line("/stop_duration"))
        places.same("/stop_duration", f"grace: {seconds}s")


def _read_priority(places: Places) -> None:
    priority = places.document["priority"]
    places.draft.put("priority", priority, places.line("/priority"))
    places.same("/priority", "kept")


def _read_retry(places: Places) -> None:
    value = places.document["retry"]
    events = value.get("on_events") if isinstance(value, Mapping) else None
    if value is False:
        places.changed("/retry", "what a center causes is always tried again; the job's own errors are not")
    elif value is True or (isinstance(events, list) and "error" in events):
        places.draft.put(
            "resources/job_recovery", {"max_restarts_on_errors": _RESTARTS}, places.line("/retry")
        )
        message = f"max_restarts_on_errors: {_RESTARTS}: restarts are counted here, dstack bounds their time"
        places.changed("/retry", message)
    elif isinstance(events, list):
        places.same("/retry", "a job waits for free cards, and what a center causes is always tried again")
    else:
        places.refuse("/retry", "is no policy", "true, or on_events with no-capacity, interruption, error")


def _read_replicas(places: Places) -> None:
    replicas = places.document["replicas"]
    if isinstance(replicas, list):
        places.refuse("/replicas", "groups of replicas are not supported", "write each as a file of its own")
    elif replicas not in (1, "1"):
        places.changed("/replicas", "a service has one replica so far: submit it several times")
    else:
        places.same("/replicas", "a service has one replica")


def _read_shell(places: Places) -> None:
    if places.document["shell"] in ("sh", "bash", "/bin/sh", "/bin/bash"):
        places.same("/shell", "bash runs the commands")
    else:
        places.changed("/shell", "bash runs the commands")


_READERS: dict[str, Callable[[Places], None]] = {
    "nodes": _read_nodes,
    "env": _read_env,
    "ports": _read_ports,
    "stop_duration": _read_stop_duration,
    "priority": _read_priority,
    "retry": _read_retry,
    "replicas": _read_replicas,
    "shell": _read_shell,
}
_ELSEWHERE = frozenset(
    ("type", "name", "commands", "resources", "working_dir", "files", "repos", "max_duration", "port")
)


def _put_duration(places: Places, kind: str) -> None:
    value = places.document.get("max_duration")
    line, seconds = places.line("/max_duration"), _seconds(value)
    if value is None or value is True:
        if kind == "task":
            places.note_changed("/type", "no max_duration", "24h if nothing is said; with dstack, no end")
    elif value in ("off", False) and kind == "service":
        places.same("/max_duration", "a service runs until it is stopped")
    elif value in ("off", False) or (seconds or 0) > _MOST_SECONDS:
        places.draft.put("max_duration", "30d", line)
        places.changed("/max_duration", "30d, the most there is")
    elif not seconds:
        places.refuse("/max_duration", "is no duration", "like 2h")
    else:
        text = value if isinstance(value, str) else f"{seconds}s"
        places.draft.put("max_duration", text, line)
        places.same("/max_duration", "kept")


def _seconds(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return parse_seconds(value) if isinstance(value, str) and value.isascii() else None


def _put_service(places: Places) -> None:
    port = places.document.get("port")
    match = _PORT.fullmatch(str(port)) if isinstance(port, str | int) else None
    if match is None:
        places.refuse("/port", "a service needs the port it listens on", "port: 8000")
        return
    places.changed("/port", f"commands must listen on $HUTONG_HOST:$HUTONG_PORT, not on {match[1]}")


def _note_rest(places: Places) -> None:
    for key, value in places.document.items():
        if key in _READERS or key in _ELSEWHERE or value is None:
            continue
        if key in LEFT_OUT:
            places.note_left_out(f"/{key}", key, LEFT_OUT[key])
        else:
            hint = "correct it, or take it out if it belongs to a newer dstack"
            places.refuse(f"/{key}", f"a task of dstack has no key {key[:40]!r}", hint)


def _put_run(places: Places, name: str, opening: Sequence[str]) -> None:
    """Join the commands; dstack ends with the first that fails, which is what `set -e` does."""
    value = places.document.get("commands")
    commands = value if isinstance(value, list) else []
    if not commands or not all(isinstance(each, str) for each in commands):
        message = "is missing" if value is None else "is no list of commands"
        places.refuse(
            "/commands", message, "commands: [python train.py]; images with commands of their own do not run"
        )
        return
    lines = [
        Line(places.line(f"/commands/{index}"), text)
        for index, each in enumerate(commands)
        for text in str(each).splitlines()
    ]
    logical = logical_lines(lines)
    note_network(logical, places.draft)
    note_findings(logical, FINDINGS, places.draft)
    values = {**_VALUES, "DSTACK_RUN_NAME": Value(shlex.quote(name), "the job's name")}
    names = set_names(logical, _NAME, values, _NOT_SET, places.draft)
    several = len(commands) > 1 or bool(opening)
    if any("\n" in str(each).strip() for each in commands):
        message = "the script ends with the first line that fails, within a command of several lines too"
        places.changed("/commands", f"run: {message}")
    else:
        places.same("/commands", "run")
    before = [*names, *["set -e"] * several, *opening, *_working_dir(places)]
    text = "\n".join([*before, *(str(each).rstrip("\n") for each in commands)])
    places.draft.put("run", text + "\n", places.line("/commands"))


def _working_dir(places: Places) -> list[str]:
    value = places.document.get("working_dir")
    if value is None:
        return []
    if not isinstance(value, str) or posixpath.isabs(value) or value.startswith("~"):
        message = "commands start in the work folder: a center has no such path"
        places.note_left_out("/working_dir", "working_dir", message)
        return []
    places.same("/working_dir", f"cd {value}")
    return [f"cd {shlex.quote(value)}"]
