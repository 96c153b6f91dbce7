"""The openb trace (Alibaba cluster-trace-gpu-v2023) and the experiment that FGD's published table came from.

The experiment (hkust-adsl/kubernetes-scheduler-simulator, Apache-2.0; nothing of its code is here): the
pods of a list arrive in random order, then more pods drawn from the list, one by one with replacement,
until together they ask for 130 % of the cluster's cards. Nobody leaves. Where the list alone asks for more,
random pods are left out. Our random numbers are not Go's, so a seed here is another sample of the same
experiment, not the same run.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hutong.core.kernel.errors import Problem, Refused
from hutong.core.placement.arrays import Ints
from hutong.core.placement.defragmentation import Effort
from hutong.core.placement.ejections import M_NODE, M_TASK, WAITS
from hutong.core.placement.node_scores import NodePolicy
from hutong.core.placement.nodes import NOWHERE, NodePlacer, Nodes, PodTypes

_MILLI = 1000


@dataclass(frozen=True, slots=True)
class Workload:
    """A list of pods on a cluster: `kinds` (P) are indexes into `types`, which also count them."""

    nodes: Nodes
    types: PodTypes
    kinds: Ints

    @property
    def capacity_milli(self) -> int:
        """All cards of the cluster, in milli."""
        return int(self.nodes.cards.sum()) * _MILLI


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a stream of pods (P): arrived and allocated milli-cards after each, where each went."""

    arrived_milli: Ints
    allocated_milli: Ints
    placed: Ints
    capacity_milli: int
    spent_ns: int = 0

    def curve(self) -> list[float]:
        """Return the allocation in % at each whole % of arrival from 0, as the published table has it.

        A point is the mean over the pods whose arrival rounds to it; where none does, over those within one
        %.
        """
        arrived = np.rint(self.arrived_milli * 100 / self.capacity_milli)
        allocated = np.round(self.allocated_milli * 100 / self.capacity_milli, 2)
        points: list[float] = []
        for percent in range(int(arrived[-1]) + 1):
            here = allocated[arrived == percent]
            if not len(here):
                here = allocated[np.abs(arrived - percent) <= 1]
            points.append(float(here.mean()) if len(here) else float("nan"))
        return points


def read_workload(nodes_file: Path, pods_file: Path) -> Workload:
    """Read a node list and a pod list; raises Refused, which names file, line and what is wrong there."""
    rows = _read(nodes_file, ("cpu_milli", "memory_mib", "gpu"))
    models = sorted({row["model"] for row in rows if row.get("model")})
    bits = {model: 1 << index for index, model in enumerate(models)}
    nodes = Nodes(
        _column(nodes_file, rows, "cpu_milli"),
        _column(nodes_file, rows, "memory_mib"),
        _column(nodes_file, rows, "gpu"),
        np.array([bits.get(row.get("model", ""), 0) for row in rows], dtype=np.int64),
    )
    pods = _read(pods_file, ("cpu_milli", "memory_mib", "num_gpu", "gpu_milli"))
    columns = [_column(pods_file, pods, name) for name in ("cpu_milli", "memory_mib", "num_gpu", "gpu_milli")]
    columns[3] = np.where(columns[2] > 0, columns[3], 0)
    columns.append(np.array([mask_of(row.get("gpu_spec", ""), bits) for row in pods], dtype=np.int64))
    table = np.stack(columns, axis=1)
    distinct, kinds, counts = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    cpu, memory, cards, milli, masks = distinct.T
    types = PodTypes(cpu, memory, cards, milli, masks, counts.astype(np.int64))
    return Workload(nodes, types, kinds.reshape(-1).astype(np.int64))


def inflate(workload: Workload, percent: int, seed: int) -> Ints:
    """Return a stream of pods, as indexes of types, that asks for that percentage of the cluster's cards."""
    random = np.random.default_rng(seed)
    asked = workload.types.cards * workload.types.milli
    target = workload.capacity_milli * percent // 100
    stream = random.permutation(workload.kinds).tolist()
    total = int(asked[stream].sum())
    while total > target:
        total -= int(asked[stream.pop(int(random.integers(len(stream))))])
    while True:
        kind = int(workload.kinds[random.integers(len(workload.kinds))])
        # FGD's rule for the last one: what a pod asks of one card must still fit below the target.
        if total + int(workload.types.milli[kind]) > target:
            return np.array(stream, dtype=np.int64)
        total += int(asked[kind])
        stream.append(kind)


def experiment(
    workload: Workload, policy: NodePolicy, seed: int, percent: int = 130, clock_ns: Callable[[], int] = int
) -> Outcome:
    """Run one seed of one policy: it makes the stream, the order of the nodes, and what `random` draws.

    `clock_ns` times the placing alone; without one, no time is told.
    """
    stream = inflate(workload, percent, seed)
    random = np.random.default_rng((seed, 1))
    order = random.permutation(len(workload.nodes)).astype(np.int64)
    draws = random.integers(1 << 62, size=len(stream), dtype=np.int64)
    placer = NodePlacer(workload.nodes, workload.types, policy, order)
    start_ns = clock_ns()
    placed = placer.place(stream, draws)
    spent_ns = clock_ns() - start_ns
    asked = (workload.types.cards * workload.types.milli)[stream]
    allocated = np.cumsum(np.where(placed[:, 0] >= 0, asked, 0))
    return Outcome(np.cumsum(asked), allocated, placed, workload.capacity_milli, spent_ns)


@dataclass(frozen=True, slots=True)
class Moved:
    """A run in which room is made for pods that fit nowhere: how many searches, and which found a way.

    `moves` are pods that got another place, `stopped` those that got none. The time is that of the searches.
    """

    outcome: Outcome
    searches: int
    found: int
    moves: int
    stopped: int


def defragmented(
    workload: Workload,
    policy: NodePolicy,
    seed: int,
    effort: Effort,
    percent: int = 130,
    clock_ns: Callable[[], int] = int,
) -> Moved:
    """Run one seed of `experiment`, where a pod with cards that fits nowhere has other pods moved for it.

    Any pod may be moved. A search that found nothing is not repeated before something has changed.
    """
    stream = inflate(workload, percent, seed)
    order = np.random.default_rng((seed, 1)).permutation(len(workload.nodes)).astype(np.int64)
    asked = workload.types.cards * workload.types.milli
    placer = NodePlacer(workload.nodes, workload.types, policy, order)
    running = _Running(placer, stream, asked, effort, clock_ns)
    allocated = np.empty(len(stream), np.int64)
    for pod in range(len(stream)):
        if not running.place(pod) and asked[stream[pod]]:
            running.make_room(pod)
        allocated[pod] = running.milli
    outcome = Outcome(
        np.cumsum(asked[stream]), allocated, running.placed, workload.capacity_milli, running.spent_ns
    )
    return Moved(outcome, running.searches, running.found, running.moves, running.stopped)


class _Running:
    """The pods that run: `placed` (P, 2) is node and cards of each, NOWHERE for those that do not."""

    def __init__(
        self, placer: NodePlacer, stream: Ints, asked: Ints, effort: Effort, clock_ns: Callable[[], int]
    ) -> None:
        self.placed = np.full((len(stream), 2), NOWHERE, np.int64)
        self.milli = self.searches = self.found = self.moves = self.stopped = self.spent_ns = 0
        self._placer, self._stream, self._asked = placer, stream, asked
        self._effort, self._clock_ns = effort, clock_ns
        self._in_vain: set[int] = set()

    def place(self, pod: int) -> bool:
        """Place a pod where it fits; False if it fits nowhere."""
        self.placed[pod] = self._placer.place(self._stream[pod : pod + 1])[0]
        if self.placed[pod, 0] == NOWHERE:
            return False
        self.milli += int(self._asked[self._stream[pod]])
        self._in_vain.clear()
        return True

    def make_room(self, pod: int) -> None:
        """Move others for a pod, and place it, if a way is found."""
        kind = int(self._stream[pod])
        if kind in self._in_vain:
            return
        run = np.flatnonzero(self.placed[:pod, 0] >= 0)
        tasks = np.column_stack((self._stream[run], self.placed[run], np.ones(len(run), np.int64)))
        start_ns = self._clock_ns()
        moves = self._placer.room_for(kind, tasks, self._effort)
        self.spent_ns += self._clock_ns() - start_ns
        self.searches += 1
        if not len(moves):
            self._in_vain.add(kind)
            return
        self._in_vain.clear()
        self.found += 1
        who = np.where(moves[:, M_TASK] >= 0, run[moves[:, M_TASK]], pod)
        for each in who[who != pod].tolist():
            self._placer.release(int(self._stream[each]), *self.placed[each].tolist())
            self.milli -= int(self._asked[self._stream[each]])
        self.placed[who] = moves[:, M_NODE:]
        for each in who.tolist():
            if self.placed[each, 0] == WAITS:
                self.stopped += 1
                continue
            self._placer.put(int(self._stream[each]), *self.placed[each].tolist())
            self.milli += int(self._asked[self._stream[each]])
            self.moves += each != pod


def mask_of(text: str | None, bits: Mapping[str, int]) -> int:
    """Return models that are written as `A|B` as a mask, 0 for any; a model without a bit is none there."""
    names = [name for name in (text or "").split("|") if name]
    # A model that the cluster has none of keeps its own bit, so that "only that one" does not become "any".
    return sum(bits.get(name, 1 << 62) for name in set(names)) if names else 0


def _read(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused("unreadable_trace", f"{path} cannot be read: {error}") from error
    missing = [name for name in columns if not rows or name not in rows[0]]
    if missing:
        raise Refused("bad_trace", f"{path} has no column {missing[0]}, or no rows")
    return rows


def _column(path: Path, rows: list[dict[str, str]], name: str) -> npt.NDArray[np.int64]:
    values = []
    for line, row in enumerate(rows, start=2):
        text = row[name]
        if text is None or not text.isdecimal():
            problem = Problem(f"/{line}/{name}", f"{text!r} is not a whole number of at least 0")
            raise Refused(
                "bad_trace", f"{path}, line {line}: {name} is {text!r}, not a whole number", (problem,)
            )
        values.append(int(text))
    return np.array(values, dtype=np.int64)
