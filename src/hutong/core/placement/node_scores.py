"""How good a node would be for a pod: the rules of seven policies, compiled.

The first five know no demand and are those of FGD's simulator (hkust-adsl/kubernetes-scheduler-simulator,
whose formulas are restated here in integers): `dot_product` is Tetris' (Grandl et al., SIGCOMM 2014) on CPU
and cards, `gpu_clustering` keeps like pods together (Gandiva, Xiao et al., OSDI 2018), `gpu_packing` fills
shared cards and used nodes first (MLaaS in the wild, Weng et al., NSDI 2022), `best_fit` leaves the least
over, `random` draws. `fgd` and `hutong` take the node that loses least, by the measures of `fragmentation`.
"""

from enum import IntEnum

from hutong.core.placement.arrays import Ints
from hutong.core.placement.compiled import bare, compiled
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
    filled_loss,
    next_pod_loss,
    stepped,
)

# A score and the card that it is for are kept in one number: SHIFT x score + card.
SHIFT = 16
NO_SCORE = -(1 << 58)
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


@bare
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
    return bool(count >= spec[S_CARDS])


@compiled
def tightest(free: Ints, milli: int) -> int:
    """Return the card with the least left that suffices, the first of equals."""
    chosen = -1
    for card in range(MAX_CARDS):
        left = free[CARD + card]
        if left >= milli and (chosen < 0 or left < free[CARD + chosen]):
            chosen = card
    return chosen


@compiled
def _packing(free: Ints, fixed: Ints, spec: Ints) -> int:
    """Score shared cards best (100 less a tenth of their free percents), then free cards of a used node."""
    if spec[S_CARDS] == 0:
        return 0
    whole = 0
    for card in range(MAX_CARDS):
        if free[CARD + card] == CARD_MILLI:
            whole += 1
    if whole == fixed[CARDS]:
        return max(33 - whole, whole)
    if spec[S_MILLI] == CARD_MILLI:
        return max(50 - int(spec[S_CARDS]), 33)
    left = free[CARD + tightest(free, spec[S_MILLI])]
    if left == CARD_MILLI:
        return 49
    return max(100 - int(left) // 10 // 10, 50)


@compiled
def plain_score(policy: int, free: Ints, fixed: Ints, tags: Ints, spec: Ints) -> int:
    """Score a node that fits, 0..100, by the rules of FGD's simulator that know no demand."""
    left = 0
    for card in range(MAX_CARDS):
        left += free[CARD + card]
    asked = spec[S_CARDS] * spec[S_MILLI]
    if policy == _BEST_FIT:
        # 100 (1 - cpu/2/max - gpu/2/max) of what would be left over.
        waste = free[CPU] - spec[S_CPU] + _GPU_CPU * (left - asked)
        return int((2 * _MAX_CPU - waste) * 100 // (2 * _MAX_CPU))
    if policy == _DOT:
        # 100 (1 - half the product of what is free and what is asked, each over its maximum).
        product = free[CPU] * spec[S_CPU] + _GPU_CPU * _GPU_CPU * left * asked
        return int((2 * _MAX_CPU * _MAX_CPU - product) * 100 // (2 * _MAX_CPU * _MAX_CPU))
    if policy == _PACKING:
        return _packing(free, fixed, spec)
    if policy == _CLUSTERING and spec[S_CARDS] > 0:
        # 25 points for a full node, and by what runs there: only the like, also the like, nothing, others.
        kinds = 0
        for tag in range(tags.shape[0]):
            if tags[tag] > 0:
                kinds += 1
        alike = tags[tag_of(spec)] > 0
        base = (75 if kinds == 1 else 50) if alike else (25 if kinds == 0 else 0)
        return 25 * (_MAX_GPU - left) // _MAX_GPU + base
    return 0


@compiled
def tag_of(spec: Ints) -> int:
    """Return the kind of a pod with cards: 0 if it shares one, else how many it takes."""
    return int(spec[S_CARDS]) if spec[S_MILLI] == CARD_MILLI else 0


@compiled
def loss_of(policy: int, cpu: int, cards: Ints, demand: Ints, at_best: int) -> int:
    """Return what a node loses by the measure of the policy, `fgd` or `hutong`."""
    if policy == _FGD:
        return next_pod_loss(cpu, cards, demand)
    return filled_loss(cpu, cards, demand, at_best)


@compiled
def _gain(policy: int, before: int, cpu: int, cards: Ints, demand: Ints, steps: Ints, at_best: int) -> int:
    """Return how much less a node loses once it is as given: FGD's in steps of its sigmoid, ours as it is."""
    gain = before - loss_of(policy, cpu, cards, demand, at_best)
    return stepped(gain, steps) if policy == _FGD else gain


@compiled
def loss_score(
    policy: int, free: Ints, spec: Ints, before: int, demand: Ints, steps: Ints, at_best: int, trial: Ints
) -> int:
    """Return SHIFT x score + card for a node that fits: the card that gains most, the first of equals.

    `before` is what the node loses without the pod; `trial` (8) is scratch.
    """
    for card in range(MAX_CARDS):
        trial[card] = free[CARD + card]
    milli = spec[S_MILLI]
    cpu = free[CPU] - spec[S_CPU]
    if spec[S_CARDS] != 1 or milli == CARD_MILLI:
        wanted = spec[S_CARDS]
        for card in range(MAX_CARDS):
            if wanted > 0 and trial[card] == CARD_MILLI:
                trial[card] = 0
                wanted -= 1
        return SHIFT * _gain(policy, before, cpu, trial, demand, steps, at_best)
    best, chosen = NO_SCORE, 0
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
        score = _gain(policy, before, cpu, trial, demand, steps, at_best)
        trial[card] = left
        if score > best:
            best, chosen = score, card
    return SHIFT * best + chosen
