"""Which running tasks to move so that those that wait have room: two tables in, steps out.

The columns are those of Alibaba's openb lists, and where each task runs. The search is that of
`core.placement.defragmentation`; a waiting task that fits as things are takes what node placement gives it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hutong.core.kernel.errors import Broken, Refused
from hutong.core.placement.arrays import Ints
from hutong.core.placement.defragmentation import Effort
from hutong.core.placement.ejections import JOB, M_MASK, M_NODE, M_TASK
from hutong.core.placement.fragmentation import CARD, CARD_MILLI, MAX_CARDS, S_CARDS, S_MILLI
from hutong.core.placement.node_scores import NodePolicy
from hutong.core.placement.nodes import NOWHERE, NodePlacer, Nodes, PodTypes
from hutong.sim.importers.table import Table, read_table, refuse
from hutong.sim.openb import mask_of

_NODE = ("sn", "cpu_milli", "memory_mib", "gpu")
_TASK = ("name", "cpu_milli", "memory_mib", "num_gpu", "node")
_MOST = 10**9  # products of it with all cards of a cluster stay far from overflow
_LARGEST = 50_000_000  # scores are kept for each node and each kind of task
_MODELS = 62
_NAMED = 5
_YES = {"": 1, "yes": 1, "true": 1, "1": 1, "no": 0, "false": 0, "0": 0}


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and the cards that a task has there."""

    node: str
    cards: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """A task that stops in one place and starts in another."""

    task: str
    was: Place
    to: Place


@dataclass(frozen=True, slots=True)
class Step:
    """How a waiting task gets its place: all `moves` first, together. No `place`: no way was found."""

    task: str
    place: Place | None
    moves: tuple[Move, ...]


class Fleet:
    """Nodes and tasks as two files say; `waiting` are the names of tasks that run nowhere, as they come."""

    def __init__(self, nodes_file: Path, tasks_file: Path) -> None:
        """Read both; raises Refused, which names the file, the line and what is wrong there."""
        nodes = read_table(nodes_file, _NODE)
        self._nodes = _named(nodes, "sn")
        models = [each.strip() for each in nodes.columns.get("model", [""] * len(nodes))]
        bits = {model: 1 << at for at, model in enumerate(sorted({each for each in models if each}))}
        if len(bits) > _MODELS:
            raise refuse(nodes_file, 0, f"at most {_MODELS} models of cards", f"{len(bits)}")
        sizes = Nodes(
            _whole(nodes, "cpu_milli", _MOST), _whole(nodes, "memory_mib", _MOST),
            _whole(nodes, "gpu", MAX_CARDS), np.array([bits.get(each, 0) for each in models], np.int64),
        )  # fmt: skip
        self._file, tasks = tasks_file, read_table(tasks_file, _TASK)
        self._names = list(_named(tasks, "name"))
        self._lines = tasks.lines
        types, self._kinds = _types(tasks, bits)
        if len(types) * len(sizes) > _LARGEST:
            text = f"{len(sizes):,} nodes and {len(types):,} kinds of tasks are too many to weigh together"
            raise Refused("moves", f"{text}; leave out nodes and tasks that have nothing to do with it")
        self._specs = types.table()
        self._placer = NodePlacer(sizes, types, NodePolicy.HUTONG)
        self.cards = int(sizes.cards.sum())
        # Of each task: kind, node (NOWHERE while it waits), mask of cards, and 1 if it may be moved.
        self._rows = np.column_stack(
            (self._kinds, _where(tasks, self._nodes), np.zeros(len(tasks), np.int64), _movable(tasks))
        )
        self._put_all(tasks)

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self._nodes)

    @property
    def waiting(self) -> list[str]:
        """The names of the tasks that run nowhere."""
        return [self._names[at] for at in np.flatnonzero(self._rows[:, 1] == NOWHERE)]

    @property
    def used(self) -> float:
        """The share of all cards that tasks hold."""
        free = int(self._placer.free[:, CARD:].sum())
        return 1 - free / (self.cards * CARD_MILLI) if self.cards else 0.0

    def make_room(self, names: Sequence[str], effort: Effort) -> list[Step]:
        """Find room for waiting tasks, one after the other; each is then counted as running there.

        Raises Refused for a name that is not that of a waiting task.
        """
        waiting = {name: at for at, name in enumerate(self._names) if self._rows[at, 1] == NOWHERE}
        for name in names:
            if name not in waiting:
                why = "runs already" if name in self._names else "is not in the file"
                raise Refused("moves", f"task {name!r} {why}; those that wait: {_some(list(waiting))}")
        in_vain: set[int] = set()
        return [self._try(waiting[name], effort, in_vain) for name in dict.fromkeys(names)]

    def _try(self, task: int, effort: Effort, in_vain: set[int]) -> Step:
        """Find room for one task; a search for its kind is not repeated before something has changed."""
        kind = int(self._kinds[task])
        if kind in in_vain:
            return Step(self._names[task], None, ())
        node, mask = self._placer.place(np.array([kind], np.int64))[0].tolist()
        moves: list[Move] = []
        if node == NOWHERE:
            run = np.flatnonzero(self._rows[:, 1] != NOWHERE)
            found = self._placer.room_for(kind, self._rows[run], effort)
            if not len(found):
                in_vain.add(kind)
                return Step(self._names[task], None, ())
            mine = found[:, M_TASK] == JOB
            others = found[~mine]
            node, mask = found[mine][0, [M_NODE, M_MASK]].tolist()
            moves = self._move(run[others[:, M_TASK]], others[:, [M_NODE, M_MASK]])
            self._placer.put(kind, node, mask)
        in_vain.clear()
        # Whoever has just been given a place is not moved for the next one.
        self._rows[task, 1:] = node, mask, 0
        return Step(self._names[task], self._place(task), tuple(moves))

    def _move(self, tasks: Ints, places: Ints) -> list[Move]:
        """Take tasks (M) off and put them on their new nodes and cards (M, 2)."""
        was = [self._place(task) for task in tasks.tolist()]
        for task in tasks.tolist():
            self._placer.release(int(self._kinds[task]), *self._rows[task, 1:3].tolist())
        self._rows[tasks, 1:3] = places
        for task in tasks.tolist():
            self._placer.put(int(self._kinds[task]), *self._rows[task, 1:3].tolist())
        return [
            Move(self._names[task], before, self._place(task))
            for task, before in zip(tasks.tolist(), was, strict=True)
        ]

    def _place(self, task: int) -> Place:
        node, mask = self._rows[task, 1:3].tolist()
        return Place(self._nodes[node], tuple(card for card in range(MAX_CARDS) if mask >> card & 1))

    def _put_all(self, tasks: Table) -> None:
        """Put what runs where it runs: first what says on which cards, then the others as they fit."""
        cards = tasks.columns.get("cards", [""] * len(tasks))
        run = np.flatnonzero(self._rows[:, 1] != NOWHERE).tolist()
        for task in sorted(run, key=lambda each: not cards[each].strip()):
            node, spec = int(self._rows[task, 1]), self._specs[self._kinds[task]]
            given = cards[task].strip()
            mask = _mask_of(tasks, task, given) if given else _fitting(self._placer.free[node], spec)
            try:
                self._placer.put(int(self._kinds[task]), node, mask)
            except Broken:
                name, there = self._names[task], self._nodes[node]
                asked = f"{spec[S_CARDS]} cards and processors of {there!r} with room for {name!r}"
                raise refuse(self._file, self._lines[task], asked, given or "too little") from None
            self._rows[task, 2] = mask


def _fitting(free: Ints, spec: Ints) -> int:
    """Return a mask of cards with room: those with the least room that is enough."""
    count, milli = int(spec[S_CARDS]), int(spec[S_MILLI])
    able = [card for card in range(MAX_CARDS) if free[CARD + card] >= max(milli, 1)]
    able.sort(key=lambda card: int(free[CARD + card]))
    return sum(1 << card for card in able[:count])


def _mask_of(tasks: Table, row: int, text: str) -> int:
    """Return cards that are written as `0 1 5`, as a mask."""
    words = text.split()
    if not all(each.isdecimal() and len(each) == 1 and int(each) < MAX_CARDS for each in words):
        raise refuse(tasks.path, tasks.lines[row], f"cards as 0 1 5, each below {MAX_CARDS}", text)
    return sum(1 << card for card in {int(each) for each in words})


def _named(table: Table, column: str) -> list[str]:
    """Return a column of names; each is there, and once."""
    names = [each.strip() for each in table.texts(column)]
    seen: set[str] = set()
    for line, name in zip(table.lines, names, strict=True):
        if not name or name in seen:
            raise refuse(table.path, line, f"a name of its own as {column}", name)
        seen.add(name)
    return names


def _whole(table: Table, column: str, most: int) -> Ints:
    values = table.whole(column, 0)
    if (values > most).any():
        row = int((values > most).argmax())
        raise refuse(
            table.path, table.lines[row], f"at most {most:,} as {column}", table.columns[column][row]
        )
    return values


def _types(tasks: Table, bits: Mapping[str, int]) -> tuple[PodTypes, Ints]:
    """Return the kinds of tasks that there are, and which each task is."""
    cards = _whole(tasks, "num_gpu", MAX_CARDS)
    full = np.full(len(tasks), CARD_MILLI, np.int64)
    milli = np.where(
        cards > 0, _whole(tasks, "gpu_milli", CARD_MILLI) if "gpu_milli" in tasks.columns else full, 0
    )
    wrong = (cards > 0) & ((milli == 0) | ((cards > 1) & (milli < CARD_MILLI)))
    if wrong.any():
        row = int(wrong.argmax())
        expected = f"{CARD_MILLI} as gpu_milli, or less of a single card"
        raise refuse(tasks.path, tasks.lines[row], expected, tasks.columns["gpu_milli"][row])
    specs = tasks.columns.get("gpu_spec", [""] * len(tasks))
    columns = (
        _whole(tasks, "cpu_milli", _MOST), _whole(tasks, "memory_mib", _MOST), cards, milli,
        np.array([mask_of(each, bits) for each in specs], np.int64),
    )  # fmt: skip
    distinct, kinds, counts = np.unique(
        np.stack(columns, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    cpu, memory, count, share, masks = distinct.T
    return PodTypes(cpu, memory, count, share, masks, counts.astype(np.int64)), kinds.reshape(-1).astype(
        np.int64
    )


def _where(tasks: Table, nodes: Sequence[str]) -> Ints:
    """Return the node of each task, NOWHERE for one that waits."""
    known = {name: at for at, name in enumerate(nodes)} | {"": NOWHERE}
    names = [each.strip() for each in tasks.texts("node")]
    for line, name in zip(tasks.lines, names, strict=True):
        if name not in known:
            raise refuse(tasks.path, line, "a node of the file of nodes, or nothing while it waits", name)
    return np.array([known[name] for name in names], np.int64)


def _movable(tasks: Table) -> Ints:
    texts = [each.strip().lower() for each in tasks.columns.get("movable", [""] * len(tasks))]
    for line, text in zip(tasks.lines, texts, strict=True):
        if text not in _YES:
            raise refuse(tasks.path, line, "yes or no as movable", text)
    return np.array([_YES[text] for text in texts], np.int64)


def _some(names: Sequence[str]) -> str:
    """Return the first names of many."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more if names else "none"
