"""Puts what a dstack file asks of a machine into the job file: cores, memory, cards."""

from collections.abc import Mapping, Sequence

from hutong.clients.sdk.importers.draft import Card, count
from hutong.clients.sdk.importers.dstack_gpu import (
    BadAsk,
    Gpu,
    Least,
    choose_cards,
    read_count,
    read_gpu,
    read_size,
)
from hutong.clients.sdk.importers.dstack_places import Places
from hutong.clients.sdk.importers.sbatch_layout import NO_CARDS
from hutong.clients.sdk.importers.sbatch_values import write_megabytes

_CPUS = 2  # what dstack takes where nothing is said
_MEGABYTES = 8 * 1024


def put_resources(places: Places, catalogue: Sequence[Card], wanted: Sequence[str]) -> None:
    """Put `resources`, and note every part of it; `wanted` are models in place of those in the file."""
    value = places.document.get("resources")
    if value is not None and not isinstance(value, Mapping):
        places.refuse("/resources", "is no mapping", "resources: {gpu: H100:8}")
        return
    told: Mapping[str, object] = value or {}
    _put_gpu(places, told.get("gpu"), catalogue, wanted)
    _put_cpu(places, told.get("cpu"))
    _put_memory(places, told.get("memory"))
    for key, member in told.items():
        path = f"/resources/{key}"
        if key in {"gpu", "cpu", "memory"} or member is None:
            continue
        if key == "shm_size":
            places.same(path, "a job may use the node's shared memory")
        elif key == "disk":
            places.note_left_out(
                path, "resources.disk", "pools do not declare disks yet: write to the work folder"
            )
        else:
            places.refuse(path, f"there is no {key[:40]!r} here", "cpu, memory, gpu, shm_size, disk")


def _put_cpu(places: Places, value: object) -> None:
    path = "/resources/cpu"
    try:
        if isinstance(value, str) and ":" in value:  # `arm:4..`: the architecture comes with the card
            value = value.partition(":")[2]
        if isinstance(value, Mapping) and "count" in value:
            value = value["count"]
        least = Least(_CPUS) if value is None else read_count(value, "cpu")
    except BadAsk as error:
        places.refuse(path, error.message, error.hint)
        return
    if not least.value:
        return
    places.draft.put("resources/cpus", f"{least.value}+", places.line(path))
    if value is None:
        return
    _say(places, path, f"cpus: {least.value}+", least)


def _put_memory(places: Places, value: object) -> None:
    path = "/resources/memory"
    try:
        least = Least(_MEGABYTES) if value is None else read_size(value, "memory")
    except BadAsk as error:
        places.refuse(path, error.message, error.hint)
        return
    if not least.value:
        return
    text = write_megabytes(least.value)
    places.draft.put("resources/memory", text, places.line(path))
    if value is None:
        message = f"cpus: {_CPUS}+, memory: {text}: what dstack takes for each that is not said"
        places.note_same("/resources", "resources", message)
        return
    _say(places, path, f"memory: {text}", least)


def _say(places: Places, path: str, text: str, least: Least) -> None:
    if least.capped:
        places.changed(path, f"{text}, at least: there is no upper end here")
    else:
        places.same(path, text)


def _put_gpu(places: Places, value: object, catalogue: Sequence[Card], wanted: Sequence[str]) -> None:
    path = "/resources/gpu"
    if value is None:
        if wanted:
            places.refuse(path, NO_CARDS, "add resources.accelerators to the job file")
        return
    try:
        gpu = read_gpu(value)
    except BadAsk as error:
        places.refuse(path, error.message, error.hint)
        return
    number = gpu.count.value
    if not number:
        places.note_left_out(path, "resources.gpu", "it may be none, so none is asked for")
        return
    models = [*wanted] or choose_cards(gpu, catalogue)
    if not models:
        message = "no center has such a card" if gpu.names or catalogue else "does not say which card"
        places.refuse(path, message, "name a card, like gpu: H100:8, or take another with --accelerator NAME")
        return
    places.draft.put("resources/accelerators", count(dict.fromkeys(models, number)), places.line(path))
    _say_gpu(places, path, gpu, models, bool(wanted))


def _say_gpu(places: Places, path: str, gpu: Gpu, models: Sequence[str], wanted: bool) -> None:
    said = ", ".join(f"{model}:{gpu.count.value}" for model in models)
    why: list[str] = []
    if wanted:
        why.append("as you asked")
    elif not gpu.names:
        size = f" with {write_megabytes(gpu.memory.value)} or more" if gpu.memory.value else ""
        why.append(f"every card of {gpu.vendor or 'NVIDIA'}{size}; --accelerator NAME takes another")
    elif gpu.memory.value:
        why.append("the card's memory is that of its model")
    if gpu.count.capped and not gpu.count.exact:
        why.append("the least number")
    if gpu.ignored:
        why.append(f"without {' and '.join(gpu.ignored)}")
    if why:
        places.changed(path, f"accelerators: {said}: {'; '.join(why)}")
    else:
        places.same(path, f"accelerators: {said}")
