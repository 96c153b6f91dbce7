"""Works out what each node needs from the many ways to ask sbatch for nodes, tasks, cards and memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hutong.clients.sdk.importers.draft import Card, Draft, count
from hutong.clients.sdk.importers.sbatch_options import Option
from hutong.clients.sdk.importers.sbatch_values import (
    CARD_VENDORS,
    BadValue,
    Cards,
    Nodes,
    read_cards,
    read_gres,
    read_megabytes,
    read_nodes,
    read_number,
    write_megabytes,
)

Value = TypeVar("Value")
NO_CARDS = "asks for no cards, so --accelerator replaces nothing"
USED = frozenset(
    {
        *("nodes", "ntasks", "ntasks-per-node", "ntasks-per-gpu", "cpus-per-task", "cpus-per-gpu", "mincpus"),
        *("gres", "gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket", "sockets-per-node"),
        *("mem", "mem-per-cpu", "mem-per-gpu", "tres-per-task"),
    }
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The shape of a job. `cpus` are those of each node and `cpus_per_task` what was asked; 0: nothing said.

    `tasks_said` says that the script asked for a number of tasks; `megabytes` is of each node.
    """

    nodes: int
    tasks_per_node: int
    tasks: int
    tasks_said: bool
    cpus_per_task: int
    cpus: int
    cards: int
    megabytes: int


class _Reader:
    """Reads options by name; a value that is wrong is noted with its line and counts as not said."""

    def __init__(self, options: Mapping[str, Option], draft: Draft) -> None:
        self.options = options
        self.draft = draft

    def get(self, name: str, read: Callable[[str], Value]) -> Value | None:
        option = self.options.get(name)
        if option is None:
            return None
        try:
            return read(option.value or "")
        except BadValue as error:
            self.draft.refuse(option.line, f"{option.source[:60]}: {error.message}", error.hint)
            return None

    def line(self, *names: str) -> int:
        """Return the line of the first of these options that is there."""
        return next((self.options[name].line for name in names if name in self.options), 1)

    def source(self, *names: str) -> str:
        return next((self.options[name].source for name in names if name in self.options), "")


def read_layout(
    options: Mapping[str, Option], draft: Draft, catalogue: Sequence[Card], wanted: Sequence[str]
) -> Layout:
    """Put `num_nodes` and `resources` into the draft and return the shape of the job.

    `wanted` are models that the user names in place of the script's.
    """
    reader = _Reader(options, draft)
    nodes, per_node, tasks = _tasks(reader)
    cards = _cards(reader, nodes, per_node)
    per_card = reader.get("ntasks-per-gpu", read_number)
    if per_card and cards and "ntasks-per-node" not in options and "ntasks" not in options:
        per_node = per_card * cards.number
        tasks = per_node * nodes
        draft.same(
            reader.line("ntasks-per-gpu"), reader.source("ntasks-per-gpu"), f"tasks of each node: {per_node}"
        )
    if cards:
        _put_cards(reader, cards, catalogue, wanted)
    elif wanted:
        draft.refuse(1, NO_CARDS, "add resources.accelerators to the job file")
    per_task = reader.get("cpus-per-task", read_number) or 0
    cpus = _put_cpus(reader, per_node, per_task, cards)
    megabytes = _put_memory(reader, cpus, cards)
    if "tres-per-task" in options:
        hint = "write --cpus-per-task, --gpus-per-task and --mem instead"
        draft.refuse(reader.line("tres-per-task"), "--tres-per-task is not understood", hint)
    said = bool({"ntasks", "ntasks-per-node", "ntasks-per-gpu"} & set(options))
    return Layout(nodes, per_node, tasks, said, per_task, cpus, cards.number if cards else 0, megabytes)


def _tasks(reader: _Reader) -> tuple[int, int, int]:
    """Return nodes, tasks on each and tasks in all, and put `num_nodes`."""
    draft = reader.draft
    asked = reader.get("nodes", read_nodes)
    tasks = reader.get("ntasks", read_number)
    per_node = reader.get("ntasks-per-node", read_number)
    line, source = reader.line("nodes", "ntasks"), reader.source("nodes", "ntasks")
    nodes = asked.least if asked else 1
    if asked and tasks and tasks < nodes:
        draft.changed(line, source, f"num_nodes: {tasks}: sbatch too uses no more nodes than tasks")
        nodes = tasks
        draft.put("num_nodes", nodes, line)
    elif asked:
        _put_nodes(draft, asked, line, source)
    elif tasks and per_node:
        nodes = -(-tasks // per_node)
        _put_nodes(draft, Nodes(nodes, exact=True), line, source)
    elif tasks and tasks > 1:
        message = f"num_nodes: 1: the {tasks} tasks share a node; sbatch may spread them (say --nodes)"
        draft.changed(line, source, message)
    elif tasks:
        draft.same(line, source, "one task on one node")
    per_node = per_node or (-(-tasks // nodes) if tasks else 1)
    for name in ("ntasks", "ntasks-per-node"):
        if name in reader.options and source != reader.source(name):
            draft.same(reader.line(name), reader.source(name), f"tasks of each node: {per_node}")
    return nodes, per_node, tasks or per_node * nodes


def _put_nodes(draft: Draft, asked: Nodes, line: int, source: str) -> None:
    draft.put("num_nodes", asked.least, line)
    if not asked.exact:
        draft.changed(
            line, source, f"num_nodes: {asked.least}: the least that would do; a range is not possible"
        )
    elif asked.least > 1:
        message = (
            f"num_nodes: {asked.least}: `run` starts on every node; sbatch starts the script on the first"
        )
        draft.changed(line, source, message)
    else:
        draft.same(line, source, "num_nodes: 1")


def _cards(reader: _Reader, nodes: int, tasks_per_node: int) -> Cards | None:
    """Return the cards of each node; all the options that ask for cards must say the same."""
    draft = reader.draft
    found: list[tuple[str, Cards]] = []
    gres = reader.get("gres", read_gres)
    if gres:
        cards, others = gres
        if cards:
            found.append(("gres", cards))
        for other in others:
            draft.left_out(
                reader.line("gres"), other, "only cards are counted here: ask in words, or do without"
            )
    per_node = reader.get("gpus-per-node", read_cards)
    if per_node:
        found.append(("gpus-per-node", per_node))
    for name, factor in (("gpus-per-task", tasks_per_node), ("gpus-per-socket", _sockets(reader))):
        each = reader.get(name, read_cards)
        if each and factor:
            found.append((name, Cards(each.device, each.model, each.number * factor)))
    in_all = reader.get("gpus", read_cards)
    if in_all and in_all.number % nodes:
        hint = "say how many on each node: --gpus-per-node"
        message = f"{in_all.number} cards do not divide over {nodes} nodes"
        draft.refuse(reader.line("gpus"), message, hint, "/resources/accelerators")
    elif in_all:
        found.append(("gpus", Cards(in_all.device, in_all.model, in_all.number // nodes)))
    if not found:
        return None
    name, first = found[0]
    for other, cards in found[1:]:
        if cards.number != first.number or (cards.model and first.model and cards.model != first.model):
            message = f"asks for {cards.number} cards a node, line {reader.line(name)} for {first.number}"
            draft.refuse(reader.line(other), message, "say it once", "/resources/accelerators")
        first = Cards(first.device, first.model or cards.model, first.number)
        draft.same(reader.line(other), reader.source(other), "said already")
    return first


def _sockets(reader: _Reader) -> int:
    """Return the sockets of a node, which --gpus-per-socket needs."""
    if "gpus-per-socket" not in reader.options:
        return 0
    sockets = reader.get("sockets-per-node", read_number)
    if sockets is None:
        hint = "say --sockets-per-node too, as sbatch asks for, or --gpus-per-node"
        message = "--gpus-per-socket: how many sockets has a node?"
        reader.draft.refuse(reader.line("gpus-per-socket"), message, hint, "/resources/accelerators")
    return sockets or 0


def _put_cards(reader: _Reader, cards: Cards, catalogue: Sequence[Card], wanted: Sequence[str]) -> None:
    names = ("gres", "gpus-per-node", "gpus-per-task", "gpus-per-socket", "gpus")
    line, source, draft = reader.line(*names), reader.source(*names), reader.draft
    vendor = CARD_VENDORS[cards.device]
    models = [*wanted] or [cards.model] * bool(cards.model)
    if not models:
        models = [card.model for card in catalogue if card.vendor == vendor]
    if not models:
        hint = "name a card: --accelerator NAME"
        message = f"{source[:60]} does not say which card, and no center has one of {vendor}"
        draft.refuse(line, message, hint, "/resources/accelerators")
        return
    value = count(dict.fromkeys(models, cards.number))
    draft.put("resources/accelerators", value, line)
    said = ", ".join(f"{model}:{cards.number}" for model in models)
    if wanted and cards.model:
        draft.changed(line, source, f"accelerators: {said}, as you asked, in place of {cards.model}")
    elif wanted or cards.model:
        draft.same(line, source, f"accelerators: {said}")
    else:
        message = f"accelerators: any of {said}: the script does not say which; --accelerator NAME does"
        draft.changed(line, source, message)


def _put_cpus(reader: _Reader, tasks_per_node: int, per_task: int, cards: Cards | None) -> int:
    """Put and return the cores of each node, 0 if the script does not say."""
    said = [name for name in ("cpus-per-task", "cpus-per-gpu", "mincpus") if name in reader.options]
    tasks_said = bool({"ntasks", "ntasks-per-node"} & set(reader.options))
    cpus = max(
        tasks_per_node * (per_task or 1) if per_task or tasks_said else 0,
        (reader.get("cpus-per-gpu", read_number) or 0) * (cards.number if cards else 0),
        reader.get("mincpus", read_number) or 0,
    )
    if cpus:
        names = (*said, "ntasks-per-node", "ntasks")
        reader.draft.put("resources/cpus", cpus, reader.line(*names))
    for name in said:
        reader.draft.same(reader.line(name), reader.source(name), f"cpus: {cpus} (of each node)")
    return cpus


def _put_memory(reader: _Reader, cpus: int, cards: Cards | None) -> int:
    """Put and return the memory of each node in MiB, 0 if the script does not say."""
    draft = reader.draft
    most = 0
    for name, factor in (
        ("mem", 1),
        ("mem-per-cpu", cpus or 1),
        ("mem-per-gpu", cards.number if cards else 1),
    ):
        megabytes = reader.get(name, read_megabytes)
        line, source = reader.line(name), reader.source(name)
        if megabytes is None:
            continue
        if megabytes == 0:
            draft.left_out(line, source, "all memory of a node cannot be asked for: say how much you need")
            continue
        if megabytes * factor > most:
            most = megabytes * factor
            draft.put("resources/memory", write_megabytes(most), line)
        draft.same(line, source, f"memory: {write_megabytes(megabytes * factor)} (of each node, at least)")
    return most
