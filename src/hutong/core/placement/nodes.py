"""Which node of a pool, and which of its cards, a pod goes to: six known policies and our own, compiled.

All of it is integer arithmetic and takes no randomness: ties go to the first node in an order that the caller
gives, and the policy `random` uses numbers that the caller drew. A pod that fits somewhere is always placed.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from hutong.core.kernel.errors import Refused
from hutong.core.placement.compiled import Ints, compiled
from hutong.core.placement.fragmentation import (
    CARD,
    CARD_MILLI,
    CARDS,
    CPU,
    MAX_CARDS,
    MEMORY,
    MODEL,
    S_CARDS,
    S_CPU,
    S_MEMORY,
    S_MILLI,
    S_MODELS,
    S_WEIGHT,
    fragments,
    sigmoid_steps,
    stepped,
)

NOWHERE = -1
# What FGD's simulator takes for the largest node: 128 cores and 8 cards.
_MAX_CPU, _MAX_GPU = 128_000, 8_000
_GPU_CPU = _MAX_CPU // _MAX_GPU


class NodePolicy(IntEnum):
    """How nodes are scored; the formulas are beside the kernels."""

    RANDOM = 0
    DOT_PRODUCT = 1
    GPU_CLUSTERING = 2
    GPU_PACKING = 3
    BEST_FIT = 4
    FGD = 5
    HUTONG = 6


_RANDOM, _DOT, _CLUSTERING, _PACKING, _BEST_FIT, _FGD, _HUTONG = (int(policy) for policy in NodePolicy)


@compiled
def fits(free: Ints, fixed: Ints, spec: Ints) -> bool:
    """True if a node's free (10) and fixed (2) rows can take a pod's spec (6)."""
    if free[CPU] < spec[S_CPU] or free[MEMORY] < spec[S_MEMORY]:
        return False
    if spec[S_CARDS] == 0:
        return True
    if spec[S_MODELS] != 0 and spec[S_MODELS] & fixed[MODEL] == 0:
        return False
    count = 0
    for card in range(MAX_CARDS):
        if free[CARD + card] >= spec[S_MILLI]:
            count += 1
    return count >= spec[S_CARDS]


@compiled
def _tightest(free: Ints, milli: int) -> int:
    """Return the card with the least left that suffices, the first of equals."""
    chosen = -1
    for card in range(MAX_CARDS):
        left = free[CARD + card]
        if left >= milli and (chosen < 0 or left < free[CARD + chosen]):
            chosen = card
    return chosen


@compiled
def _packing(free: Ints, fixed: Ints, spec: Ints) -> int:
    """Shared cards first (100 less a tenth of their free percents), then free cards of a used node, then others."""
    if spec[S_CARDS] == 0:
        return 0
    whole = 0
    for card in range(MAX_CARDS):
        if free[CARD + card] == CARD_MILLI:
            whole += 1
    if whole == fixed[CARDS]:
        return max(33 - whole, whole)
    if spec[S_MILLI] == CARD_MILLI:
        return max(50 - spec[S_CARDS], 33)
    left = free[CARD + _tightest(free, spec[S_MILLI])]
    if left == CARD_MILLI:
        return 49
    return max(100 - left // 10 // 10, 50)


@compiled
def _plain(policy: int, free: Ints, fixed: Ints, tags: Ints, spec: Ints) -> int:
    """Score a node that fits, 0..100, by the rules of FGD's simulator that know no demand."""
    left = 0
    for card in range(MAX_CARDS):
        left += free[CARD + card]
    asked = spec[S_CARDS] * spec[S_MILLI]
    if policy == _BEST_FIT:
        # 100 (1 - cpu/2/max - gpu/2/max) of what would be left over.
        waste = free[CPU] - spec[S_CPU] + _GPU_CPU * (left - asked)
        return (2 * _MAX_CPU - waste) * 100 // (2 * _MAX_CPU)
    if policy == _DOT:
        # 100 (1 - half the product of what is free and what is asked, each over its maximum).
        product = free[CPU] * spec[S_CPU] + _GPU_CPU * _GPU_CPU * left * asked
        return (2 * _MAX_CPU * _MAX_CPU - product) * 100 // (2 * _MAX_CPU * _MAX_CPU)
    if policy == _PACKING:
        return _packing(free, fixed, spec)
    if policy == _CLUSTERING and spec[S_CARDS] > 0:
        # 25 points for a full node, on a base by what else runs there: only the like, also the like, nothing, others.
        kinds = 0
        for tag in range(tags.shape[0]):
            if tags[tag] > 0:
                kinds += 1
        alike = tags[_tag(spec)] > 0
        base = (75 if kinds == 1 else 50) if alike else (25 if kinds == 0 else 0)
        return 25 * (_MAX_GPU - left) // _MAX_GPU + base
    return 0


@compiled
def _tag(spec: Ints) -> int:
    """Return the kind of a pod with cards: 0 if it shares one, else how many it takes."""
    return spec[S_CARDS] if spec[S_MILLI] == CARD_MILLI else 0


@compiled
def _gradient(
    policy: int, free: Ints, fixed: Ints, spec: Ints, demand: Ints, steps: Ints, trial: Ints
) -> int:
    """Return 16 x score + card for a node that fits, by how much less fragmented the pod would leave it."""
    for card in range(MAX_CARDS):
        trial[card] = free[CARD + card]
    before = fragments(free[CPU], trial, fixed[MODEL], demand)
    cpu = free[CPU] - spec[S_CPU]
    milli = spec[S_MILLI]
    if spec[S_CARDS] != 1 or milli == CARD_MILLI:
        wanted = spec[S_CARDS]
        for card in range(MAX_CARDS):
            if wanted > 0 and trial[card] == CARD_MILLI:
                trial[card] = 0
                wanted -= 1
        return 16 * stepped(before - fragments(cpu, trial, fixed[MODEL], demand), steps)
    best, chosen = -1, 0
    for card in range(MAX_CARDS):
        left = free[CARD + card]
        if left < milli:
            continue
        twin = False  # a card with as much left as an earlier one cannot score better
        for other in range(card):
            if free[CARD + other] == left:
                twin = True
        if twin:
            continue
        trial[card] = left - milli
        score = stepped(before - fragments(cpu, trial, fixed[MODEL], demand), steps)
        trial[card] = left
        if score > best:
            best, chosen = score, card
    return 16 * best + chosen


@compiled
def _take(free: Ints, tags: Ints, spec: Ints, card: int) -> int:
    """Take a pod's share of a node, a shared one on `card`; return the cards as a bit mask."""
    free[CPU] -= spec[S_CPU]
    free[MEMORY] -= spec[S_MEMORY]
    if spec[S_CARDS] == 0:
        return 0
    tags[_tag(spec)] += 1
    if spec[S_MILLI] < CARD_MILLI:
        free[CARD + card] -= spec[S_MILLI]
        return 1 << card
    mask, wanted = 0, spec[S_CARDS]
    for whole in range(MAX_CARDS):
        if wanted > 0 and free[CARD + whole] == CARD_MILLI:
            free[CARD + whole] = 0
            mask |= 1 << whole
            wanted -= 1
    return mask


@compiled
def _draw(free: Ints, fixed: Ints, spec: Ints, number: int) -> tuple[int, int]:
    """Return the node and the card that a drawn number picks among those that fit, or (-1, 0)."""
    count = 0
    for node in range(free.shape[0]):
        if fits(free[node], fixed[node], spec):
            count += 1
    if count == 0:
        return -1, 0
    skip, chosen = number % count, -1
    for node in range(free.shape[0]):
        if fits(free[node], fixed[node], spec):
            if skip == 0:
                chosen = node
                break
            skip -= 1
    cards = 0
    for card in range(MAX_CARDS):
        if free[chosen, CARD + card] >= spec[S_MILLI]:
            cards += 1
    skip = number // count % max(cards, 1)
    for card in range(MAX_CARDS):
        if free[chosen, CARD + card] >= spec[S_MILLI]:
            if skip == 0:
                return chosen, card
            skip -= 1
    return chosen, 0


@compiled
def _refresh(
    policy: int, kind: int, free: Ints, fixed: Ints, tags: Ints, specs: Ints, demand: Ints, steps: Ints,
    scores: Ints, seen: Ints, ring: Ints, changed: Ints, head: int, trial: Ints,
) -> None:  # fmt: skip
    """Score again, for one spec, the nodes that changed since it was scored last."""
    nodes = free.shape[0]
    behind = head - seen[kind]
    everything = seen[kind] < 0 or behind > nodes
    for index in range(nodes if everything else behind):
        node = index
        if not everything:
            at = seen[kind] + index
            node = ring[at % nodes]
            if changed[node] != at:
                continue  # it changed again later, and is scored there
        if not fits(free[node], fixed[node], specs[kind]):
            scores[kind, node] = -1
        elif policy < _FGD:
            score = _plain(policy, free[node], fixed[node], tags[node], specs[kind])
            scores[kind, node] = 16 * score + max(_tightest(free[node], specs[kind, S_MILLI]), 0)
        else:
            scores[kind, node] = _gradient(policy, free[node], fixed[node], specs[kind], demand, steps, trial)
    seen[kind] = head


@compiled
def _run(
    policy: int, stream: Ints, draws: Ints, free: Ints, fixed: Ints, tags: Ints, specs: Ints, demand: Ints,
    steps: Ints, scores: Ints, seen: Ints, ring: Ints, changed: Ints, head: int, placed: Ints,
) -> int:  # fmt: skip
    """Place a stream of pods; fill `placed` (P, 2) with node and card mask; return the new head of the ring."""
    nodes = free.shape[0]
    trial = np.zeros(MAX_CARDS, np.int64)
    for pod in range(stream.shape[0]):
        kind = stream[pod]
        chosen, card = -1, 0
        if policy == _RANDOM:
            chosen, card = _draw(free, fixed, specs[kind], draws[pod])
        else:
            _refresh(
                policy,
                kind,
                free,
                fixed,
                tags,
                specs,
                demand,
                steps,
                scores,
                seen,
                ring,
                changed,
                head,
                trial,
            )
            best = -1
            for node in range(nodes):
                if scores[kind, node] >> 4 > best:
                    best = scores[kind, node] >> 4
                    chosen = node
            if chosen >= 0:
                card = scores[kind, chosen] & 15
        placed[pod, 0] = chosen
        placed[pod, 1] = 0
        if chosen >= 0:
            placed[pod, 1] = _take(free[chosen], tags[chosen], specs[kind], card)
            ring[head % nodes] = chosen
            changed[chosen] = head
            head += 1
    return head


@dataclass(frozen=True, slots=True)
class Nodes:
    """Like or unlike nodes, one entry each (N): CPU in milli-cores, memory in MiB, cards, model as one bit."""

    cpu_milli: Ints
    memory_mib: Ints
    cards: Ints
    model: Ints

    def __len__(self) -> int:
        return len(self.cpu_milli)


@dataclass(frozen=True, slots=True)
class PodTypes:
    """Distinct pod specs, one entry each (S), and how many pods of each are expected (`weight`).

    `milli` is asked of each of `cards`: 1000, or less of one card; 0 without cards. `models` is a mask of the
    models that will do, 0 for any. Memory does not count towards fragmentation, as in FGD.
    """

    cpu_milli: Ints
    memory_mib: Ints
    cards: Ints
    milli: Ints
    models: Ints
    weight: Ints

    def __len__(self) -> int:
        return len(self.cpu_milli)

    def table(self) -> Ints:
        """Return the types as rows (S, 6) for the kernels."""
        columns = (self.cpu_milli, self.memory_mib, self.cards, self.milli, self.models, self.weight)
        return np.ascontiguousarray(np.stack(columns, axis=1).astype(np.int64))


class NodePlacer:
    """The state of a set of nodes under one policy: places pods and takes them off again, deterministically.

    `order` (N) is a permutation: of nodes with equal scores the one that stands first in it is taken. Scores are
    kept per pod type and node, and only the nodes that changed since are scored again.
    """

    def __init__(
        self, nodes: Nodes, types: PodTypes, demand: PodTypes, policy: NodePolicy, order: Ints | None = None
    ) -> None:
        _check(nodes, types)
        count = len(nodes)
        self._order = np.arange(count) if order is None else np.asarray(order, dtype=np.int64)
        if sorted(self._order.tolist()) != list(range(count)):
            raise Refused("bad_order", f"order must name each of the {count} nodes once")
        self._policy = policy
        self._free = np.zeros((count, CARD + MAX_CARDS), np.int64)
        self._free[:, CPU] = nodes.cpu_milli[self._order]
        self._free[:, MEMORY] = nodes.memory_mib[self._order]
        cards = nodes.cards[self._order]
        for card in range(MAX_CARDS):
            self._free[:, CARD + card] = np.where(cards > card, CARD_MILLI, 0)
        self._fixed = np.ascontiguousarray(np.stack((cards, nodes.model[self._order]), axis=1))
        self._tags = np.zeros((count, MAX_CARDS + 1), np.int64)
        self._specs = types.table()
        self._demand = demand.table()
        self._steps = sigmoid_steps(int(self._demand[:, S_WEIGHT].sum()))
        self._scores = np.full((len(types), count), -1, np.int64)
        self._seen = np.full(len(types), -1, np.int64)
        self._ring = np.zeros(count, np.int64)
        self._changed = np.full(count, -1, np.int64)
        self._head = 0

    @property
    def free(self) -> Ints:
        """What is free (N, 10): milli-cores, MiB, milli of each of eight cards, in the order of the nodes given."""
        result = np.empty_like(self._free)
        result[self._order] = self._free
        return result

    def place(self, stream: Ints, draws: Ints | None = None) -> Ints:
        """Place pods, given as indexes of types (P), one after another; return node and mask of cards (P, 2).

        A node of -1 says that none could take the pod. `draws` (P) are the numbers that `random` picks by.
        """
        numbers = np.zeros(len(stream), np.int64) if draws is None else draws
        placed = np.empty((len(stream), 2), np.int64)
        self._head = _run(
            int(self._policy), stream, numbers, self._free, self._fixed, self._tags, self._specs, self._demand,
            self._steps, self._scores, self._seen, self._ring, self._changed, self._head, placed,
        )  # fmt: skip
        some = placed[:, 0] >= 0
        placed[some, 0] = self._order[placed[some, 0]]
        return placed

    def release(self, kind: int, node: int, mask: int) -> None:
        """Give back what a pod of that type had on those cards of the node."""
        at = int(np.flatnonzero(self._order == node)[0])
        spec = self._specs[kind]
        self._free[at, CPU] += spec[S_CPU]
        self._free[at, MEMORY] += spec[S_MEMORY]
        for card in range(MAX_CARDS):
            if mask >> card & 1:
                self._free[at, CARD + card] += spec[S_MILLI]
        if spec[S_CARDS]:
            self._tags[at, spec[S_CARDS] if spec[S_MILLI] == CARD_MILLI else 0] -= 1
        self._ring[self._head % len(self._ring)] = at
        self._changed[at] = self._head
        self._head += 1


def _check(nodes: Nodes, types: PodTypes) -> None:
    if not len(nodes) or not len(types):
        raise Refused("nothing_to_place", "placement needs at least one node and one type of pod")
    if nodes.cards.min() < 0 or nodes.cards.max() > MAX_CARDS:
        raise Refused("bad_cards", f"a node has 0 to {MAX_CARDS} cards")
    whole = (types.milli == CARD_MILLI) & (types.cards >= 1)
    shared = (types.cards == 1) & (types.milli > 0) & (types.milli < CARD_MILLI)
    if not np.all(whole | shared | ((types.cards == 0) & (types.milli == 0))):
        raise Refused("bad_pod", "a pod takes whole cards (1000 milli each), a part of one, or none")
