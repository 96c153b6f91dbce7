"""Checks what a job asks of each node: cards and their alternatives, cores, memory, retries, price."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hutong.core.kernel.errors import Refused
from hutong.core.kernel.money import parse_micro
from hutong.core.kernel.pointers import extend
from hutong.core.kernel.quantities import parse_bytes
from hutong.core.work import check_words as w
from hutong.core.work.check_fields import Faults, Table, closest, is_key, open_table, read_whole, show
from hutong.core.work.spec import Ask, Resources, Retry

CPU = "CPU"
MOST_CARDS = 1024
MOST_MEMORY_BYTES = 10**14
_MOST_ASKS = 32
_MOST_PORTS = 32
_MOST_RESTARTS = 100
_CORES = re.compile(r"([0-9]{1,6})\+?")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,3})?)\s*([KMGTP]i?B?)?\+?", re.IGNORECASE)
_KIND = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_KIND_HINT = "small letters, digits and hyphens, like building, power or region"
_ONE = "name and number, like H100:8"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The accelerators that a job may name: `resolve` returns a name's canonical model, None if unknown."""

    resolve: Callable[[str], str | None]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Needs:
    """What the `resources` block says; `ports` and `priority` may also stand at the top level."""

    resources: Resources
    ports: tuple[int, ...] = ()
    priority: int = 0
    max_hourly_cost_micro: int | None = None
    retry: Retry = field(default_factory=Retry)
    preemptible: bool = False


def read_needs(top: Table, known: Catalogue) -> Needs:
    """Return the needs of each node from the `resources` block of a job."""
    table = top.table("resources", w.RESOURCES)
    cpus, memory_bytes = _read_cpus(table), _read_memory(table)
    asks, ordered = _read_asks(table, known)
    if not asks:
        asks = (Ask(CPU, cpus or 1),)
    elif cpus and any(ask.accelerator == CPU for ask in asks):
        table.faults.add(
            table.at("cpus"), "the cores are already asked for as the accelerator CPU", "drop one"
        )
    return Needs(
        Resources(asks, ordered and len(asks) > 1, cpus, memory_bytes),
        read_ports(table),
        table.whole("priority", -1000, 1000, 0),
        _read_cost(table),
        _read_retry(table),
        preemptible=table.flag("use_spot"),
    )


def _refuse_spot(table: Table) -> None:
    if table.flag("use_spot"):
        hint = "preemptible: true for the whole job"
        table.faults.add(table.at("use_spot"), "an alternative cannot be preemptible by itself", hint)


def _read_cpus(table: Table) -> int:
    value = table.get("cpus")
    if isinstance(value, str) and (match := _CORES.fullmatch(value.strip())):
        value = int(match[1])
    return 0 if value is None else read_whole(value, table.at("cpus"), 1, MOST_CARDS, table.faults)


def _read_memory(table: Table) -> int:
    value, path = table.get("memory"), table.at("memory")
    if value is None:
        return 0
    text = value.strip() if isinstance(value, str) else ""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole or (isinstance(value, float) and math.isfinite(value)):
        text = show(value)
    match = _SIZE.fullmatch(text) if text.isascii() else None
    size = parse_bytes(match[1] + (match[2] or "GB")) if match else None
    if size is None:
        table.faults.add(path, f"{show(value)} is not a size", "gigabytes, like 64, 64+ or 64GB")
    elif not 1 <= size <= MOST_MEMORY_BYTES:
        table.faults.add(path, f"{show(value)} is out of range", "more than 0, at most 100TB")
    else:
        return size
    return 0


def _read_asks(table: Table, known: Catalogue) -> tuple[tuple[Ask, ...], bool]:
    given = [key for key in ("accelerators", "any_of", "ordered") if table.get(key) is not None]
    if not given:
        return (), False
    key = given[-1]
    entries = _open_alternatives(table, key) if key != "accelerators" else []
    if len(given) > 1 and (given[0] != "accelerators" or any(map(_names_cards, entries)) or len(given) > 2):
        table.faults.add(table.at(given[1]), f"{given[0]} is given too", "name the alternatives in one place")
        return (), False
    if given[0] == "accelerators":  # what each of the alternatives wants, if there are any
        found = _read_accelerators(table.get(given[0]), table.at(given[0]), known, table.faults)
        ordered = isinstance(table.get(given[0]), list | tuple)
        return _distinct(found, table.at(given[0]), table.faults), ordered
    found = []
    for entry in entries:
        asks = _read_accelerators(entry.get("accelerators"), entry.at("accelerators"), known, table.faults)
        if not _names_cards(entry):
            table.faults.add(entry.path, "names no accelerators", f"accelerators: {_ONE}")
        if key == "ordered" and len(asks) > 1:
            table.faults.add(entry.at("accelerators"), "is a choice inside an order", "one card per entry")
        found += asks
    return _distinct(found, table.at(key), table.faults), key == "ordered"


def _open_alternatives(table: Table, key: str) -> list[Table]:
    entries = []
    for path, item in table.items(key, _MOST_ASKS, "alternatives"):
        if isinstance(item, Mapping):
            entries.append(open_table(item, path, w.ALTERNATIVE, table.faults))
            _refuse_spot(entries[-1])
        else:
            open_table(item, path, w.ALTERNATIVE, table.faults)
    return entries


def _names_cards(entry: Table) -> bool:
    return entry.get("accelerators") is not None


def _read_accelerators(value: object, path: str, known: Catalogue, faults: Faults) -> list[Ask]:
    """Read `H100:8`, `{H100: 8, A100: 8}`, `{H100:8, A100:8}` or a list of these forms with one card."""
    asks: list[Ask | None] = []
    if value is None:
        return []
    if isinstance(value, str):
        asks.append(_read_ask(value, None, path, known, faults))
    elif isinstance(value, Mapping | list | tuple) and not 0 < len(value) <= _MOST_ASKS:
        faults.add(path, f"names {len(value)} accelerators", f"between 1 and {_MOST_ASKS}, like {_ONE}")
    elif isinstance(value, Mapping):
        for name, number in value.items():
            asks.append(_read_ask(name, number, extend(path, name) if is_key(name) else path, known, faults))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            at = extend(path, index)
            if isinstance(item, Mapping) and len(item) == 1:
                asks += _read_accelerators(item, at, known, faults)
            else:
                asks.append(_read_ask(item, None, at, known, faults))
    else:
        faults.add(path, f"{show(value)} names no accelerator", _ONE)
    return [ask for ask in asks if ask is not None]


def _read_ask(name: object, number: object, path: str, known: Catalogue, faults: Faults) -> Ask | None:
    if not is_key(name):
        faults.add(path, f"{show(name)} names no accelerator", _ONE)
        return None
    chip, colon, count = name.partition(":")
    if colon and number is not None:
        faults.add(path, "the number of cards is given twice", f"either {chip}: 8 or {chip}:8")
        return None
    model = known.resolve(chip.strip())
    if model is None:
        near = closest(chip.strip(), known.names)
        hint = f"did you mean {near}?" if near else f"one of {', '.join(known.names[:20])}"
        faults.add(path, f"no center has an accelerator {show(chip.strip())}", hint)
        return None
    asked = count.strip() if colon else 1 if number is None else number
    return Ask(model, read_whole(asked, path, 1, MOST_CARDS, faults))


def _distinct(asks: list[Ask], path: str, faults: Faults) -> tuple[Ask, ...]:
    models = [ask.accelerator for ask in asks]
    for model in dict.fromkeys(models):
        if models.count(model) > 1:
            faults.add(path, f"{model} is named {models.count(model)} times", "name each model once")
    if len(asks) > _MOST_ASKS:
        faults.add(path, f"names {len(asks)} alternatives", f"at most {_MOST_ASKS}")
    return tuple(asks)


def read_ports(table: Table) -> tuple[int, ...]:
    """Return the `ports` of a mapping: one number, or a list of them."""
    value = table.get("ports")
    if value is None:
        return ()
    if isinstance(value, str | int | float):
        items: tuple[tuple[str, object], ...] = ((table.at("ports"), value),)
    else:
        items = table.items("ports", _MOST_PORTS, "ports")
    ports: list[int] = []
    for path, item in items:
        if isinstance(item, str) and "-" in item.strip("-"):
            table.faults.add(path, "a range of ports is not supported", "list each port")
            continue
        port = read_whole(item, path, 1, 65_535, table.faults)
        if port in ports:
            table.faults.add(path, f"port {port} is there twice", "name it once")
        ports.append(port)
    return tuple(ports)


def _read_cost(table: Table) -> int | None:
    value, path = table.get("max_hourly_cost"), table.at("max_hourly_cost")
    if value is None:
        return None
    text = value if isinstance(value, str) else ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = show(value)
    try:
        amount = parse_micro(text, path)
    except Refused:
        amount = 0
    if amount <= 0:
        table.faults.add(
            path, f"{show(value)} is not an amount of yuan above 0", "a decimal, like 120 or 99.50"
        )
        return None
    return amount


def _read_retry(table: Table) -> Retry:
    value = table.get("job_recovery")
    if isinstance(value, str):
        _check_strategy(value, table.at("job_recovery"), table.faults)
        return Retry()
    recovery = table.table("job_recovery", w.RECOVERY)
    strategy = recovery.get("strategy")
    if strategy is not None:
        _check_strategy(strategy, recovery.at("strategy"), table.faults)
    codes = recovery.get("recover_on_exit_codes")
    if codes is None or isinstance(codes, list | tuple):
        items = recovery.items("recover_on_exit_codes", 255, "exit codes")
    else:
        items = ((recovery.at("recover_on_exit_codes"), codes),)
    return Retry(
        recovery.whole("max_restarts_on_errors", 0, _MOST_RESTARTS, 0),
        tuple(sorted({read_whole(item, path, 1, 255, table.faults) for path, item in items})),
        recovery.words("avoid_domains", 16, "kinds of failure domains", _is_kind, _KIND_HINT),
    )


def _is_kind(text: str) -> bool:
    return bool(_KIND.fullmatch(text))


def _check_strategy(value: object, path: str, faults: Faults) -> None:
    if not isinstance(value, str) or value.upper() not in {"EAGER_NEXT_REGION", "NONE"}:
        hint = "leave it out, or EAGER_NEXT_REGION: every new attempt is placed afresh among all centers"
        faults.add(path, f"the strategy {show(value)} is not supported", hint)
