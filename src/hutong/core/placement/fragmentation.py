"""How much of a node's free accelerators the expected pods cannot use: two measures, integers, machine code.

FGD's ("Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent", Weng
et al., USENIX ATC 2023, section 3) asks about the next pod. For a pod of the expected mix, free milli-cards
of a node are lost if the pod cannot run there at all, and else those on cards with less than it asks of each;
the node's fragmentation is the mean over the mix.

Ours asks about all the pods to come, and was made for Hutong. For a type of the mix, a node is filled with
pods of that type alone until its cards or its CPU run out: what is still free is lost to it. The mean over
the mix says how much is at risk. In it a type weighs more the less of the cluster, when empty, could be
filled with it: cards of a rare model, or nodes with very many cores, are kept for those who can use no other.
The loss to the common type that fills the node best says how much is gone, whoever comes. The measure is the
sum of the two.

Weights are counts of pods, so that means stay sums of integers.
"""

from decimal import Decimal, localcontext
from functools import cache

import numpy as np

from hutong.core.placement.arrays import Ints
from hutong.core.placement.compiled import compiled

CARD_MILLI = 1000
MAX_CARDS = 8
# Columns of the arrays that the kernels share.
CPU, MEMORY, CARD = 0, 1, 2  # free: CPU milli, memory MiB, then milli left on each of eight cards
CARDS, MODEL, GROUP = 0, 1, 2  # fixed: cards of the node, its model as one bit, its row of the bounds
S_CPU, S_MEMORY, S_CARDS, S_MILLI, S_MODELS, S_WEIGHT = 0, 1, 2, 3, 4, 5  # specs
D_CPU, D_CARDS, D_MILLI, D_WEIGHT, D_COMMON = 0, 1, 2, 3, 4  # demand on nodes of one model
_STEPS = 100
_PER_MILLION = 1_000_000
# The mix that FGD knows: the commonest types that make up 95 % of the pods.
_COMMON_PERCENT = 95
# A type that could fill the whole cluster weighs 64 a pod, one that could fill half of it twice as much.
SCARCITY = 64


@cache
def _logits_micro() -> tuple[int, ...]:
    """Return ln(k / (100 - k)) in millionths, rounded up, for k = 1..99: from there sigmoid(x) >= k / 100."""
    with localcontext() as context:
        context.prec = 30
        logits = (Decimal(k) / Decimal(_STEPS - k) for k in range(1, _STEPS))
        return tuple(int((ratio.ln() * _PER_MILLION).to_integral_value("ROUND_CEILING")) for ratio in logits)


def sigmoid_steps(weight: int) -> Ints:
    """Return 99 bounds on a change of fragmentation: its score is how many of them it reaches.

    FGD's score is int(100 sigmoid(change / 1000)) with the change in milli-cards of a mean over the mix. Here
    it is a sum over pods that weigh `weight` together, so each bound is 1000 x weight x logit: no float is
    needed, and Decimal's logarithm, unlike libm's, is the same on every machine.
    """
    return np.array(
        [-(-logit * CARD_MILLI * weight // _PER_MILLION) for logit in _logits_micro()], dtype=np.int64
    )


def merge_types(specs: Ints) -> tuple[Ints, Ints]:
    """Return the types (T, 6) without regard to memory, and which are common (T), as 0 or 1.

    Of equally common types the one that asks for more is taken first, as FGD does.
    """
    keys, where = np.unique(specs[:, [S_CPU, S_MILLI, S_CARDS, S_MODELS]], axis=0, return_inverse=True)
    counts = np.zeros(len(keys), np.int64)
    np.add.at(counts, where.reshape(-1), specs[:, S_WEIGHT])
    merged = np.zeros((len(keys), 6), np.int64)
    merged[:, [S_CPU, S_MILLI, S_CARDS, S_MODELS]] = keys
    merged[:, S_WEIGHT] = counts
    common = np.zeros(len(keys), np.int64)
    reached, total = 0, int(counts.sum())
    # The keys are sorted, so of equal counts the later row is the larger request.
    for row in sorted(range(len(keys)), key=lambda row: (-int(counts[row]), -row)):
        if reached * 100 < _COMMON_PERCENT * total:
            common[row] = 1
            reached += int(counts[row])
    return merged, common


def scarce_weights(types: Ints, cpu_milli: Ints, cards: Ints, model: Ints) -> Ints:
    """Return SCARCITY x count x all cards / cards that could be filled with the type alone; 0 if none could.

    `types` (T, 6); the others (N) are of the empty nodes: milli-cores, cards, model as one bit.
    """
    weights = np.zeros(len(types), np.int64)
    capacity = CARD_MILLI * int(cards.sum())
    for row, (cpu, _, asked, milli, models, count) in enumerate(types.tolist()):
        if milli == 0:
            continue
        pods = cards * (CARD_MILLI // milli) // asked
        if cpu > 0:
            pods = np.minimum(pods, cpu_milli // cpu)
        if models:
            pods = np.where(model & models != 0, pods, 0)
        supply = int(pods.sum()) * asked * milli
        if supply:
            weights[row] = SCARCITY * count * capacity // supply
    return weights


def demand_on(model: int, types: Ints, weights: Ints, common: Ints) -> Ints:
    """Return the demand (R, 5) on nodes of one model: a first row of those who cannot use it, then by milli.

    The first row only has a weight; `weights` and `common` (T) belong to `types` (T, 6). Types that differ
    only in other models that would do as well become one row.
    """
    fitting = (types[:, S_MILLI] > 0) & ((types[:, S_MODELS] == 0) | (types[:, S_MODELS] & model != 0))
    keys, where = np.unique(
        types[fitting][:, [S_MILLI, S_CPU, S_CARDS]].reshape(-1, 3), axis=0, return_inverse=True
    )
    rows = np.zeros((len(keys) + 1, 5), np.int64)
    rows[0, D_WEIGHT] = weights[~fitting].sum()
    rows[1:, [D_MILLI, D_CPU, D_CARDS]] = keys
    np.add.at(rows[1:, D_WEIGHT], where.reshape(-1), weights[fitting])
    np.maximum.at(rows[1:, D_COMMON], where.reshape(-1), common[fitting])
    return rows


@compiled
def next_pod_loss(cpu_milli: int, cards: Ints, demand: Ints) -> int:
    """Return FGD's measure: the free milli-cards lost to the mix, summed over its weights.

    `cards` (8) is what is free on each card, 0 where there is none; `demand` (R, 5) is that on the node's
    model.
    """
    total = 0
    for card in range(MAX_CARDS):
        total += cards[card]
    if total == 0:
        return 0
    lost, last, fitting, short = demand[0, D_WEIGHT] * total, 0, 0, 0
    for row in range(1, demand.shape[0]):
        milli = demand[row, D_MILLI]
        if milli != last:
            last, fitting, short = milli, 0, 0
            for card in range(MAX_CARDS):
                if cards[card] >= milli:
                    fitting += 1
                else:
                    short += cards[card]
        amount = total
        if fitting >= demand[row, D_CARDS] and cpu_milli >= demand[row, D_CPU]:
            amount = short
        lost += demand[row, D_WEIGHT] * amount
    return int(lost)


@compiled
def filled_loss(cpu_milli: int, cards: Ints, demand: Ints, at_best: int) -> int:
    """Return Hutong's measure: lost to the mix once filled, plus `at_best` times what is lost at best."""
    total = 0
    for card in range(MAX_CARDS):
        total += cards[card]
    if total == 0:
        return 0
    lost, least, last, slots = demand[0, D_WEIGHT] * total, total, 0, 0
    for row in range(1, demand.shape[0]):
        milli = demand[row, D_MILLI]
        if milli != last:
            last, slots = milli, 0
            for card in range(MAX_CARDS):
                if cards[card] >= milli:
                    slots += cards[card] // milli
        pods = slots
        if demand[row, D_CARDS] > 1:
            pods = slots // demand[row, D_CARDS]
        if pods * demand[row, D_CPU] > cpu_milli:
            pods = cpu_milli // demand[row, D_CPU]
        amount = total - pods * demand[row, D_CARDS] * milli
        lost += demand[row, D_WEIGHT] * amount
        if demand[row, D_COMMON] != 0:
            least = min(least, amount)
    return int(lost + at_best * least)


@compiled
def stepped(change: int, steps: Ints) -> int:
    """Return how many of the rising bounds the change reaches (0..99), by bisection."""
    low, high = 0, steps.shape[0]
    while low < high:
        middle = (low + high) // 2
        if change >= steps[middle]:
            low = middle + 1
        else:
            high = middle
    return low
