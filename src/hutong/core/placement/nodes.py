"""Which node of a pool, and which of its cards, a pod goes to, deterministically and in machine code.

All of it is integer arithmetic and takes no randomness: ties go to the first node in an order that the caller
gives, and the policy `random` uses numbers that the caller drew. A pod that fits somewhere is always placed.
"""

from dataclasses import dataclass

import numpy as np

from hutong.core.kernel.errors import Broken, Refused
from hutong.core.placement.arrays import Ints
from hutong.core.placement.compiled import compiled
from hutong.core.placement.defragmentation import Effort, make_room, sizes_of
from hutong.core.placement.ejections import M_NODE, T_NODE
from hutong.core.placement.fragmentation import (
    CARD,
    CARD_MILLI,
    CPU,
    GROUP,
    MAX_CARDS,
    MEMORY,
    S_CARDS,
    S_CPU,
    S_MEMORY,
    S_MILLI,
    S_WEIGHT,
    SCARCITY,
    demand_on,
    merge_types,
    scarce_weights,
    sigmoid_steps,
)
from hutong.core.placement.node_scores import (
    NO_SCORE,
    SHIFT,
    NodePolicy,
    fits,
    loss_of,
    loss_score,
    plain_score,
    tag_of,
    tightest,
)

NOWHERE = -1
_RANDOM, _FGD = int(NodePolicy.RANDOM), int(NodePolicy.FGD)


@compiled
def _take(free: Ints, tags: Ints, spec: Ints, card: int) -> int:
    """Take a pod's share of a node, a shared one on `card`; return the cards as a bit mask."""
    free[CPU] -= spec[S_CPU]
    free[MEMORY] -= spec[S_MEMORY]
    if spec[S_CARDS] == 0:
        return 0
    tags[tag_of(spec)] += 1
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
def _drawn_node(scores: Ints, number: int) -> int:
    """Return the node that a drawn number picks among those that fit, by a row of scores (N), or -1."""
    count = 0
    for node in range(scores.shape[0]):
        if scores[node] >= 0:
            count += 1
    if count == 0:
        return NOWHERE
    skip = number % count
    for node in range(scores.shape[0]):
        if scores[node] >= 0:
            if skip == 0:
                return node
            skip -= 1
    return NOWHERE


@compiled
def _drawn_card(free: Ints, milli: int, number: int) -> int:
    """Return the card that a drawn number picks among those with that much left."""
    count = 0
    for card in range(MAX_CARDS):
        if free[CARD + card] >= milli:
            count += 1
    skip = number % max(count, 1)
    for card in range(MAX_CARDS):
        if free[CARD + card] >= milli:
            if skip == 0:
                return card
            skip -= 1
    return 0


@compiled
def _best_node(scores: Ints) -> int:
    """Return the first node with the best score of a row (N); -1 if none can take the pod."""
    best, chosen = NO_SCORE, NOWHERE
    for node in range(scores.shape[0]):
        score = scores[node] // SHIFT
        if score > best:
            best, chosen = score, node
    return chosen


@compiled
def _refresh(
    policy: int, kind: int, free: Ints, fixed: Ints, tags: Ints, specs: Ints, demand: Ints, bounds: Ints,
    steps: Ints, at_best: int, scores: Ints, seen: Ints, ring: Ints, changed: Ints, head: int,
    lost: Ints, trial: Ints,
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
            scores[kind, node] = SHIFT * NO_SCORE
        elif policy < _FGD:
            score = plain_score(policy, free[node], fixed[node], tags[node], specs[kind])
            scores[kind, node] = SHIFT * score + max(tightest(free[node], specs[kind, S_MILLI]), 0)
        else:
            group = fixed[node, GROUP]
            wanted = demand[bounds[group] : bounds[group + 1]]
            if lost[node, 0] != changed[node]:
                lost[node, 0] = changed[node]
                lost[node, 1] = loss_of(policy, free[node, CPU], free[node, CARD:], wanted, at_best)
            scores[kind, node] = loss_score(
                policy, free[node], specs[kind], lost[node, 1], wanted, steps, at_best, trial
            )
    seen[kind] = head


@compiled
def _run(
    policy: int, stream: Ints, draws: Ints, free: Ints, fixed: Ints, tags: Ints, specs: Ints, demand: Ints,
    bounds: Ints, steps: Ints, at_best: int, scores: Ints, seen: Ints, ring: Ints, changed: Ints, head: int,
    lost: Ints, placed: Ints,
) -> int:  # fmt: skip
    """Place a stream of pods; fill `placed` (P, 2) with node and card mask; return the ring's new head."""
    nodes = free.shape[0]
    trial = np.zeros(MAX_CARDS, np.int64)
    for pod in range(stream.shape[0]):
        kind = stream[pod]
        _refresh(
            policy, kind, free, fixed, tags, specs, demand, bounds, steps, at_best, scores, seen, ring,
            changed, head, lost, trial,
        )  # fmt: skip
        if policy == _RANDOM:
            chosen = _drawn_node(scores[kind], draws[pod])
            card = _drawn_card(free[chosen], specs[kind, S_MILLI], draws[pod] // nodes)
        else:
            chosen = _best_node(scores[kind])
            card = scores[kind, chosen] % SHIFT
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
    """Nodes of any kinds, one entry each (N): CPU in milli-cores, memory in MiB, cards, model as one bit."""

    cpu_milli: Ints
    memory_mib: Ints
    cards: Ints
    model: Ints

    def __len__(self) -> int:
        return len(self.cpu_milli)


@dataclass(frozen=True, slots=True)
class PodTypes:
    """Distinct pod specs, one entry each (S), and how many pods of each are expected (`weight`).

    These counts are the mix that `fgd` and `hutong` measure losses by.
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

    `order` (N) is a permutation: of nodes with equal scores the one that stands first in it is taken. Scores
    are kept per pod type and node, and only the nodes that changed since are scored again.
    """

    def __init__(self, nodes: Nodes, types: PodTypes, policy: NodePolicy, order: Ints | None = None) -> None:
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
        models, group = np.unique(nodes.model[self._order], return_inverse=True)
        self._fixed = np.ascontiguousarray(
            np.stack((cards, models[group.reshape(-1)], group.reshape(-1)), axis=1).astype(np.int64)
        )
        self._tags = np.zeros((count, MAX_CARDS + 1), np.int64)
        self._specs = types.table()
        self._place = np.argsort(self._order)
        self._sizes = sizes_of(self._specs, CARD_MILLI * int(nodes.cards.sum()), int(nodes.cpu_milli.sum()))
        self._know(nodes, models)
        self._scores = np.zeros((len(types), count), np.int64)
        self._seen = np.full(len(types), -1, np.int64)
        self._ring = np.zeros(count, np.int64)
        self._changed = np.full(count, -1, np.int64)
        self._head = 0
        # By node: the change that it was measured after, and what it lost then.
        self._lost = np.full((count, 2), -2, np.int64)

    def _know(self, nodes: Nodes, models: Ints) -> None:
        """Set out the demand on each model, in the weights of the policy."""
        mix, common = merge_types(self._specs)
        if self._policy is NodePolicy.HUTONG:
            weights = scarce_weights(mix, nodes.cpu_milli, nodes.cards, nodes.model)
            self._at_best = SCARCITY * int(mix[:, S_WEIGHT].sum())
        else:
            mix, common = mix[common == 1], common[common == 1]
            weights = mix[:, S_WEIGHT]
            self._at_best = 0
        if MAX_CARDS * CARD_MILLI * (int(weights.sum()) + self._at_best) >= -NO_SCORE:
            raise Refused("bad_weights", "the pods that are expected are too many to add up")
        parts = [demand_on(int(model), mix, weights, common) for model in models]
        self._demand = np.concatenate(parts)
        self._bounds = np.cumsum([0, *map(len, parts)]).astype(np.int64)
        self._steps = sigmoid_steps(int(weights.sum()))

    @property
    def free(self) -> Ints:
        """What is free (N, 10): milli-cores, MiB, milli of each of eight cards; nodes as they were given."""
        result = np.empty_like(self._free)
        result[self._order] = self._free
        return result

    def place(self, stream: Ints, draws: Ints | None = None) -> Ints:
        """Place pods, given as indexes of types (P), one after another; return node and mask of cards (P, 2).

        A node of -1 says that none could take the pod. `draws` (P) are the numbers that `random` picks by.
        Raises Refused for a type that there is not, and for another number of draws.
        """
        stream = np.ascontiguousarray(stream, dtype=np.int64)
        numbers = np.zeros(len(stream), np.int64) if draws is None else np.ascontiguousarray(draws, np.int64)
        # Machine code reads past the end of an array without a word.
        if len(stream) and not 0 <= int(stream.min()) <= int(stream.max()) < len(self._specs):
            raise Refused("bad_pod", f"types of pods are 0 to {len(self._specs) - 1}")
        if len(numbers) != len(stream):
            raise Refused("bad_draws", f"{len(stream)} pods need as many draws, not {len(numbers)}")
        placed = np.empty((len(stream), 2), np.int64)
        self._head = _run(
            int(self._policy), stream, numbers, self._free, self._fixed, self._tags, self._specs,
            self._demand, self._bounds, self._steps, self._at_best, self._scores, self._seen, self._ring,
            self._changed, self._head, self._lost, placed,
        )  # fmt: skip
        some = placed[:, 0] >= 0
        placed[some, 0] = self._order[placed[some, 0]]
        return placed

    def release(self, kind: int, node: int, mask: int) -> None:
        """Give back what a pod of that type had on those cards of the node; Broken if it had not."""
        at, spec = int(self._place[node]), self._specs[kind]
        held = [card for card in range(MAX_CARDS) if mask >> card & 1]
        if len(held) != spec[S_CARDS] or any(
            self._free[at, CARD + card] + spec[S_MILLI] > CARD_MILLI for card in held
        ):
            raise Broken(f"node {node} gives back cards {held} that a pod of type {kind} cannot have had")
        self._free[at, CPU] += spec[S_CPU]
        self._free[at, MEMORY] += spec[S_MEMORY]
        for card in held:
            self._free[at, CARD + card] += spec[S_MILLI]
        if spec[S_CARDS]:
            self._tags[at, tag_of(spec)] -= 1
        self._note(at)

    def put(self, kind: int, node: int, mask: int) -> None:
        """Put a pod of that type on those cards of the node; Broken if they are not free, or not as many."""
        at, spec = int(self._place[node]), self._specs[kind]
        cards = [card for card in range(MAX_CARDS) if mask >> card & 1]
        if len(cards) != spec[S_CARDS] or not _has(self._free[at], spec, cards):
            raise Broken(f"node {node} has no room on cards {cards} for a pod of type {kind}")
        self._free[at, CPU] -= spec[S_CPU]
        self._free[at, MEMORY] -= spec[S_MEMORY]
        for card in cards:
            self._free[at, CARD + card] -= spec[S_MILLI]
        if cards:
            self._tags[at, tag_of(spec)] += 1
        self._note(at)

    def room_for(self, kind: int, tasks: Ints, effort: Effort) -> Ints:
        """Return moves (M, 3) that make room for a pod of that type, as `make_room`; none if no way is found.

        `tasks` (T, 4) are what runs: type, node, mask of cards, and 1 if it may be moved. Nothing is changed.
        """
        tasks = np.array(tasks, dtype=np.int64).reshape(-1, 4)
        nodes = tasks[:, T_NODE]
        if len(tasks) and not 0 <= int(nodes.min()) <= int(nodes.max()) < len(self._place):
            raise Refused("bad_node", f"nodes are 0 to {len(self._place) - 1}")
        tasks[:, T_NODE] = self._place[nodes]
        moves = make_room(kind, self._free, self._fixed, self._specs, self._sizes, tasks, effort)
        some = moves[:, M_NODE] >= 0
        moves[some, M_NODE] = self._order[moves[some, M_NODE]]
        return moves

    def _note(self, at: int) -> None:
        """Have a node scored again."""
        self._ring[self._head % len(self._ring)] = at
        self._changed[at] = self._head
        self._head += 1


def _has(free: Ints, spec: Ints, cards: list[int]) -> bool:
    return bool(
        free[CPU] >= spec[S_CPU]
        and free[MEMORY] >= spec[S_MEMORY]
        and all(free[CARD + card] >= spec[S_MILLI] for card in cards)
    )


def _check(nodes: Nodes, types: PodTypes) -> None:
    if not len(nodes) or not len(types):
        raise Refused("nothing_to_place", "placement needs at least one node and one type of pod")
    if nodes.cards.min() < 0 or nodes.cards.max() > MAX_CARDS:
        raise Refused("bad_cards", f"a node has 0 to {MAX_CARDS} cards")
    whole = (types.milli == CARD_MILLI) & (types.cards >= 1)
    shared = (types.cards == 1) & (types.milli > 0) & (types.milli < CARD_MILLI)
    if not np.all(whole | shared | ((types.cards == 0) & (types.milli == 0))):
        raise Refused("bad_pod", "a pod takes whole cards (1000 milli each), a part of one, or none")
