"""Pure: like nodes of a Slurm cluster as pools, from what scontrol says of its nodes and partitions."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hutong.adapters.engines.inspection import FoundPool, Setting, card_name, pool_ids
from hutong.adapters.engines.slurm.nodes import Node
from hutong.core.capacity.accelerators import find_accelerator

# Devices that are cards; others, such as `nic`, `mps` or `tmpdisk`, are something else.
CARDS = frozenset({"gpu", "npu", "mlu", "dcu", "xpu", "gcu", "ppu"})
_VISIBLE = {"cann": "ASCEND_RT_VISIBLE_DEVICES", "neuware": "MLU_VISIBLE_DEVICES"}
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition; `limit` is its MaxTime in Slurm's words."""

    name: str
    default: bool
    up: bool
    limit: str


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes that differ in nothing that a job can tell; `gres` is the device, nothing for plain nodes."""

    gres: str
    cards: int
    cpus: int
    memory_mb: int
    partitions: frozenset[str]
    nodes: tuple[Node, ...] = ()

    @property
    def word(self) -> str:
        """What the cluster calls its cards."""
        return self.gres.partition(":")[2] or self.gres or "cpu"


def _field(line: str, name: str) -> str:
    found = re.search(rf"(?:^|\s){name}=(\S*)", line)
    return "" if found is None or found[1] == "(null)" else found[1]


def partitions(text: str) -> dict[str, Partition]:
    """Return the partitions of `scontrol --oneliner show partition` by name."""
    found = {}
    for line in text.splitlines():
        name = _field(line, "PartitionName")
        if name:
            up = _field(line, "State") == "UP"
            found[name] = Partition(name, _field(line, "Default") == "YES", up, _field(line, "MaxTime"))
    return found


def groups(all_nodes: Iterable[Node]) -> list[Group]:
    """Return like nodes together: those with cards by kind of card, then plain ones; largest first."""
    found: dict[Group, list[Node]] = {}
    for node in all_nodes:
        for device, count in cards_of(node) or [("", node.cpus)]:
            empty = Group(device, count, node.cpus, node.memory_mb, node.partitions)
            found.setdefault(empty, []).append(node)
    whole = [replace(group, nodes=tuple(mine)) for group, mine in found.items() if group.partitions]
    return sorted(whole, key=lambda each: (not each.gres, -each.cards * len(each.nodes), each.gres))


def cards_of(node: Node) -> list[tuple[str, int]]:
    """Return the devices of a node that are cards, with their counts."""
    return [
        (each, count) for each, count in node.devices.items() if each.partition(":")[0] in CARDS and count
    ]


def choose(names: Iterable[str], known: Mapping[str, Partition]) -> str:
    """Return the partition that is proposed: one that is up, the default one, the first by name."""

    def rank(name: str) -> tuple[bool, bool, str]:
        told = known.get(name)
        return (told is None or not told.up, told is None or not told.default, name)

    return min(names, key=rank, default="")


def pools(found: Sequence[Group], known: Mapping[str, Partition], *, memory_counts: bool) -> list[FoundPool]:
    """Return a pool for each group, with the settings that submit to it and what must be looked at."""
    names = pool_ids(card_name(group.word) if group.gres else "cpu" for group in found)
    return [
        _pool(name, group, found, known, memory_counts=memory_counts)
        for name, group in zip(names, found, strict=True)
    ]


def _pool(
    name: str, group: Group, others: Sequence[Group], known: Mapping[str, Partition], *, memory_counts: bool
) -> FoundPool:
    model = card_name(group.word) if group.gres else "CPU"
    card = find_accelerator(model)
    partition = choose(group.partitions, known)
    review = list(_doubts(group))
    if card is None:
        review.append(
            f"{group.word!r} is not in the catalogue of accelerators: put the model's name there instead"
        )
    elif card.dies > 1:
        review.append(f"a {model} has {card.dies} dies: check that Slurm counts cards, not dies")
    constraint, doubt = _constraint(group, partition, others)
    settings = [
        Setting("partition", partition, "; ".join(_doubts_of(group, partition, known))),
        *([Setting("gres", group.gres)] if group.gres else []),
        *([Setting("constraint", constraint, doubt)] if constraint or doubt else []),
        Setting("cpus_per_card", group.cpus // group.cards),
        *([Setting("memory_mb_per_card", group.memory_mb // group.cards)] if memory_counts else []),
    ]
    visible = _VISIBLE.get(card.stack) if card else None
    if visible:
        settings.append(Setting("visible", visible, "leave it out if this Slurm sets it by itself"))
    return FoundPool(
        id=name,
        accelerator=model,
        nodes=len(group.nodes),
        cards_per_node=group.cards,
        cpus_per_node=group.cpus,
        memory_bytes_per_node=group.memory_mb * _MIB,
        settings=tuple(settings),
        review=tuple(review),
    )


def _doubts(group: Group) -> Iterable[str]:
    down = [node.name for node in group.nodes if not node.up]
    if down:
        some = f"{len(down)} of its {len(group.nodes)} nodes"
        yield f"{some} take no work now, such as {down[0]}; they are counted"
    if any(node.threads > 1 for node in group.nodes) and not group.gres:
        yield "its CPUs are hardware threads, and each is offered as one core"
    if len({device for node in group.nodes for device, _ in cards_of(node)}) > 1:
        yield "its nodes have cards of another kind too: the two pools share their cores and memory"


def _doubts_of(group: Group, partition: str, known: Mapping[str, Partition]) -> Iterable[str]:
    if len(group.partitions) > 1:
        names = ", ".join(sorted(group.partitions))
        yield f"its nodes are in {names}"
    told = known.get(partition)
    if told and not told.up:
        yield "it is not up"
    if told and told.limit not in {"", "UNLIMITED"}:
        yield f"it refuses jobs longer than {told.limit}"


def _constraint(group: Group, partition: str, others: Sequence[Group]) -> tuple[str, str]:
    """Return a feature that keeps this pool's jobs off another's nodes, where the device alone does not."""
    rivals = [
        each
        for each in others
        if each is not group and partition in each.partitions and (each.gres == group.gres or not group.gres)
    ]
    if not rivals:
        return "", ""
    common = frozenset.intersection(*(node.features for node in group.nodes))
    theirs = frozenset[str]().union(*(node.features for each in rivals for node in each.nodes))
    own = sorted(common - theirs)
    if own:
        return own[0], ""
    what = "the same device" if group.gres else "cores too"
    return "", f"other nodes of {partition} have {what}, and no feature tells them apart: jobs may go there"
