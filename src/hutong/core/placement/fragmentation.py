"""How much of a node's free accelerators the expected pods cannot use: two measures, integers, machine code.

FGD's ("Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent", Weng
et al., USENIX ATC 2023, section 3) asks about the next pod. For a pod of the expected mix, free milli-cards
of a node are lost if the pod cannot run there at all, and else those on cards with less than it asks of
each; the node's fragmentation is the mean over the mix.

Ours asks about all the pods to come, and was made for Hutong. For a type of the mix, a node is filled with
pods of that type alone until its cards or its CPU run out: what is still free is lost to it. The mean over
the mix says how much is at risk; the loss to the type that fills the node best says how much is gone,
whoever comes. The measure is their sum.

Weights are counts of pods, so that means stay sums of integers.
"""

from decimal import Decimal, localcontext
from functools import cache

import numpy as np

from hutong.core.placement.compiled import Ints, compiled

CARD_MILLI = 1000
MAX_CARDS = 8
# Columns of the arrays that the kernels share.
CPU, MEMORY, CARD = 0, 1, 2  # free: CPU milli, memory MiB, then milli left on each of eight cards
CARDS, MODEL = 0, 1  # fixed: cards of the node, its model as one bit
S_CPU, S_MEMORY, S_CARDS, S_MILLI, S_MODELS, S_WEIGHT = 0, 1, 2, 3, 4, 5  # specs and demand
_STEPS = 100
_PER_MILLION = 1_000_000


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


@compiled
def next_pod_loss(cpu_milli: int, cards: Ints, model: int, demand: Ints) -> int:
    """Return FGD's measure: the free milli-cards lost to the mix, summed over its weights.

    `cards` (8) is what is free on each card, 0 where there is none; `demand` (T, 6) has a row a pod type.
    Rows that ask the same of a card are best side by side: the cards are looked at once for them.
    """
    total = 0
    for card in range(MAX_CARDS):
        total += cards[card]
    if total == 0:
        return 0
    lost, last, fitting, short = 0, 0, 0, 0
    for row in range(demand.shape[0]):
        milli = demand[row, S_MILLI]
        models = demand[row, S_MODELS]
        if milli > 0 and milli != last:
            last, fitting, short = milli, 0, 0
            for card in range(MAX_CARDS):
                if cards[card] >= milli:
                    fitting += 1
                else:
                    short += cards[card]
        amount = total
        if (
            milli > 0
            and fitting >= demand[row, S_CARDS]
            and cpu_milli >= demand[row, S_CPU]
            and (models == 0 or models & model != 0)
        ):
            amount = short
        lost += demand[row, S_WEIGHT] * amount
    return lost


@compiled
def filled_loss(cpu_milli: int, cards: Ints, model: int, demand: Ints) -> int:
    """Return Hutong's measure, as `next_pod_loss` does FGD's: lost in the mean plus lost at best."""
    total = 0
    for card in range(MAX_CARDS):
        total += cards[card]
    if total == 0:
        return 0
    lost, least, weight, last, slots = 0, total, 0, 0, 0
    for row in range(demand.shape[0]):
        milli = demand[row, S_MILLI]
        models = demand[row, S_MODELS]
        weight += demand[row, S_WEIGHT]
        if milli == 0:
            continue  # what needs no card loses none
        if milli != last:
            last, slots = milli, 0
            for card in range(MAX_CARDS):
                if cards[card] >= milli:
                    slots += cards[card] // milli
        amount = total
        if models == 0 or models & model != 0:
            pods = slots
            if demand[row, S_CARDS] > 1:
                pods = slots // demand[row, S_CARDS]
            if pods * demand[row, S_CPU] > cpu_milli:
                pods = cpu_milli // demand[row, S_CPU]
            amount = total - pods * demand[row, S_CARDS] * milli
        lost += demand[row, S_WEIGHT] * amount
        least = min(least, amount)
    return lost + weight * least


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
