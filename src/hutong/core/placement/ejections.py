"""The search behind `defragmentation`: ejection chains, followed by a beam, in machine code.

A partial answer is a list of moves, some of tasks that have no place yet. Its largest homeless task is put on
each node in turn, with the tasks put out that are in its way there: the smallest that alone is enough, else
those that free most. The partial answers whose homeless tasks weigh least become the next ones.
"""

from typing import NamedTuple

from hutong.core.placement.arrays import Ints
from hutong.core.placement.compiled import bare, compiled
from hutong.core.placement.fragmentation import (
    CARD,
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
)
from hutong.core.placement.node_scores import fits

JOB = -1
"""The task for which room is made, among the moves."""
WAITS = -1
"""The node of a task that is stopped and has no new place."""

# Columns: running tasks; the moves of a partial answer; what a candidate adds to its parent.
T_KIND, T_NODE, T_MASK, T_MOVABLE = 0, 1, 2, 3
M_TASK, M_NODE, M_MASK = 0, 1, 2
O_SCORE, O_ALIKE, O_PARENT, O_MOVE, O_NODE, O_MASK, O_OUT = 0, 1, 2, 3, 4, 5, 6
# A task that has room as things are counts so much less than one for which room has to be made.
_HAS_ROOM = 8
_FAR = 1 << 62
STAYS = 2  # in `taken`
_MOST_LEFT = 1 << 14


class Scene(NamedTuple):
    """What a search knows. `free` and `taken` stand for one partial answer at a time; the rest stays."""

    free: Ints
    fixed: Ints
    specs: Ints
    sizes: Ints
    tasks: Ints
    starts: Ints  # (N + 1): the tasks of a node in `members`
    members: Ints
    taken: Ints  # (T): 1 for who moves already, STAYS for who may not
    roomy: Ints  # (S): whether a type has room as things are
    trial: Ints  # (10): a node, scratch
    out: Ints  # (moves + 1): tasks that leave it, scratch
    row: Ints  # (7): a candidate, scratch


class Beam(NamedTuple):
    """The best candidates so far: their rows (W, 7), and which tasks each puts out (W, moves + 1).

    `bound` (2) is the score that a candidate has to be below once the beam is full; and how many candidates
    whose homeless tasks are of the same types are kept, so that the beam stays varied.
    """

    rows: Ints
    out: Ints
    bound: Ints


@bare
def _copy(to: Ints, source: Ints, count: int) -> None:
    """Copy so many numbers; a slice would need memory of its own."""
    for at in range(count):
        to[at] = source[at]


@bare
def _shift(row: Ints, spec: Ints, mask: int, sign: int) -> None:
    """Give a task's share of a node back (1) or take it (-1)."""
    row[CPU] += sign * spec[S_CPU]
    row[MEMORY] += sign * spec[S_MEMORY]
    for card in range(MAX_CARDS):
        if mask >> card & 1:
            row[CARD + card] += sign * spec[S_MILLI]


@bare
def _apply(scene: Scene, job: int, moves: Ints, count: int, sign: int) -> None:
    """Make the moves of a partial answer (1), or take them back (-1)."""
    for at in range(count):
        task, kind = moves[at, M_TASK], job
        if task >= 0:
            kind = scene.tasks[task, T_KIND]
            scene.taken[task] = max(sign, 0)
            _shift(scene.free[scene.tasks[task, T_NODE]], scene.specs[kind], scene.tasks[task, T_MASK], sign)
        if moves[at, M_NODE] >= 0:
            _shift(scene.free[moves[at, M_NODE]], scene.specs[kind], moves[at, M_MASK], -sign)


@bare
def _mark(kind: int) -> int:
    """Return a number such that sums of a few tell multisets of types apart, nearly always."""
    return int((kind + 1) * (kind + 1) * (kind + 7) * 7919 % 1_000_003)


@bare
def _has_room(scene: Scene, kind: int) -> bool:
    """True if a type fit on some node when the search first asked."""
    if scene.roomy[kind] < 0:
        scene.roomy[kind] = 0
        for node in range(scene.free.shape[0]):
            if fits(scene.free[node], scene.fixed[node], scene.specs[kind]):
                scene.roomy[kind] = 1
                break
    return bool(scene.roomy[kind] == 1)


@bare
def _weight(scene: Scene, kind: int) -> int:
    """Return what a homeless task of a type adds to a score."""
    return int(scene.sizes[kind] // (_HAS_ROOM if _has_room(scene, kind) else 1) + 1)


@bare
def _lacks(row: Ints, spec: Ints, card: int) -> bool:
    """True if a node has too little CPU or memory for a spec, or too little on that card."""
    if row[CPU] < spec[S_CPU] or row[MEMORY] < spec[S_MEMORY]:
        return True
    return bool(card >= 0 and row[CARD + card] < spec[S_MILLI])


@bare
def _next_out(scene: Scene, node: int, spec: Ints, card: int, above: int) -> int:
    """Return which task, of a size above that, should leave a node next, -1 if none helps.

    Where one alone is enough it is the smallest of those; else the one that frees most of what is short, of
    the card before all.
    """
    row = scene.trial
    card_short = max(0, spec[S_MILLI] - row[CARD + card]) if card >= 0 else 0
    cpu_short, memory_short = max(0, spec[S_CPU] - row[CPU]), max(0, spec[S_MEMORY] - row[MEMORY])
    chosen, best = -1, -1
    for at in range(scene.starts[node], scene.starts[node + 1]):
        task = scene.members[at]
        if scene.taken[task] != 0:
            continue
        kind = scene.tasks[task, T_KIND]
        if scene.sizes[kind] <= above:
            continue
        milli = scene.specs[kind, S_MILLI] if card >= 0 and scene.tasks[task, T_MASK] >> card & 1 else 0
        cpu, memory = scene.specs[kind, S_CPU], scene.specs[kind, S_MEMORY]
        helps = min(milli, card_short)
        if card_short == 0:
            helps = min(cpu, cpu_short) + min(memory, memory_short)
        if helps == 0:
            continue
        if milli >= card_short and cpu >= cpu_short and memory >= memory_short:
            helps = _FAR - scene.sizes[kind]
        if helps > best:
            chosen, best = task, helps
    return chosen


@bare
def _put_out(
    scene: Scene, node: int, spec: Ints, card: int, gone: int, most: int, above: int, bound: int
) -> int:  # fmt: skip
    """Put tasks out until the trial node, or one card of it, has what a spec asks; return how many, or -1.

    The first of them is of a size above that. It gives up once the score has reached the bound.
    """
    while _lacks(scene.trial, spec, card):
        task = _next_out(scene, node, spec, card, -1 if gone else above) if gone < most else -1
        if task < 0:
            return -1
        scene.row[O_SCORE] += _weight(scene, scene.tasks[task, T_KIND])
        if _MOST_LEFT * scene.row[O_SCORE] >= bound:
            return -1
        scene.out[gone] = task
        scene.taken[task] = 1
        gone += 1
        _shift(scene.trial, scene.specs[scene.tasks[task, T_KIND]], scene.tasks[task, T_MASK], 1)
    return gone


@bare
def _emptiest(row: Ints, cards: int, mask: int) -> int:
    """Return the card of a node, not among those of the mask, that has most left; the first of equals."""
    chosen = -1
    for card in range(cards):
        if not mask >> card & 1 and (chosen < 0 or row[CARD + card] > row[CARD + chosen]):
            chosen = card
    return chosen


@bare
def _offer(scene: Scene, beam: Beam, count: int, gone: int, spec: Ints) -> int:
    """Keep a candidate if it is among the best: the scene's row, with the score of all who are homeless."""
    row, left = scene.row, 0
    for card in range(MAX_CARDS):
        if row[O_MASK] >> card & 1:
            left += scene.trial[CARD + card] - spec[S_MILLI]
    score, alike = row[O_SCORE], row[O_ALIKE]
    for at in range(gone):
        kind = scene.tasks[scene.out[at], T_KIND]
        alike += _mark(kind)
    score = _MOST_LEFT * score + min(left, _MOST_LEFT - 1)
    same, worst_same, worst = 0, 0, 0
    for at in range(count):
        if beam.rows[at, O_SCORE] > beam.rows[worst, O_SCORE]:
            worst = at
        if beam.rows[at, O_ALIKE] == alike:
            if same == 0 or beam.rows[at, O_SCORE] > beam.rows[worst_same, O_SCORE]:
                worst_same = at
            same += 1
    place = worst_same if same >= beam.bound[1] else worst
    if same < beam.bound[1] and count < beam.rows.shape[0]:
        place = count
        count += 1
    elif score >= beam.rows[place, O_SCORE]:
        return count
    _copy(beam.rows[place], row, O_OUT)
    beam.rows[place, O_SCORE] = score
    beam.rows[place, O_ALIKE] = alike
    beam.rows[place, O_OUT] = gone
    if count == beam.rows.shape[0]:
        beam.bound[0] = 0
        for at in range(count):
            beam.bound[0] = max(beam.bound[0], beam.rows[at, O_SCORE])
    _copy(beam.out[place], scene.out, gone)
    return count


@bare
def _try_card(
    scene: Scene, beam: Beam, count: int, kind: int, node: int, card: int, most: int, above: int
) -> tuple[int, int]:  # fmt: skip
    """Offer a node, with tasks put out of one card first, -1 for none, and then of the emptiest others.

    Return how many candidates there are then, and the size of the first task where it alone was enough for
    the card, or -1: a larger one may be as good.
    """
    spec = scene.specs[kind]
    _copy(scene.trial, scene.free[node], CARD + MAX_CARDS)
    gone, mask, wanted, score, size = 0, 0, spec[S_CARDS], scene.row[O_SCORE], -1
    while True:
        gone = _put_out(scene, node, spec, card, gone, most, above, beam.bound[0])
        if mask == 0 and gone == 1:
            size = scene.sizes[scene.tasks[scene.out[0], T_KIND]]
        mask |= 1 << card if card >= 0 else 0
        wanted -= 1
        if gone < 0 or wanted <= 0:
            break
        card = _emptiest(scene.trial, scene.fixed[node, CARDS], mask)
    for at in range(scene.out.shape[0]):
        if scene.out[at] >= 0:
            scene.taken[scene.out[at]] = 0
    if gone >= 0:
        scene.row[O_NODE], scene.row[O_MASK] = node, mask
        count = _offer(scene, beam, count, gone, spec)
    scene.out[:] = -1
    scene.row[O_SCORE] = score
    return count, size


@bare
def _try_all(scene: Scene, beam: Beam, count: int, kind: int, node: int, card: int, most: int) -> int:
    """Offer a node and a first card: each task put out that alone is enough, or the best several."""
    above = -1
    while True:
        count, above = _try_card(scene, beam, count, kind, node, card, most, above)
        if above < 0:
            return count


@bare
def _expand(scene: Scene, beam: Beam, count: int, kind: int, most: int) -> int:
    """Offer every node for a task of that kind, where at most `most` tasks may be put out."""
    spec = scene.specs[kind]
    wanted = spec[S_CARDS]
    for node in range(scene.free.shape[0]):
        if most == 0 and not fits(scene.free[node], scene.fixed[node], spec):
            continue
        if wanted == 0:
            count = _try_all(scene, beam, count, kind, node, -1, most)
        elif spec[S_MODELS] == 0 or spec[S_MODELS] & scene.fixed[node, MODEL]:
            for card in range(scene.fixed[node, CARDS] if wanted <= scene.fixed[node, CARDS] else 0):
                count = _try_all(scene, beam, count, kind, node, card, most)
    return count


@bare
def _follow(scene: Scene, beam: Beam, found: int, job: int, parent: int, moves: Ints, count: int) -> int:
    """Offer what one partial answer may become once its largest homeless task has a place."""
    _apply(scene, job, moves, count, 1)
    row, largest, chosen = scene.row, -1, job
    row[:] = 0
    row[O_PARENT] = parent
    for at in range(count):
        if moves[at, M_NODE] < 0:
            kind = scene.tasks[moves[at, M_TASK], T_KIND] if moves[at, M_TASK] >= 0 else job
            row[O_SCORE] += _weight(scene, kind)
            row[O_ALIKE] += _mark(kind)
            if scene.sizes[kind] > largest:
                largest, chosen, row[O_MOVE] = scene.sizes[kind], kind, at
    row[O_SCORE] -= _weight(scene, chosen)
    row[O_ALIKE] -= _mark(chosen)
    found = _expand(scene, beam, found, chosen, moves.shape[0] - count)
    _apply(scene, job, moves, count, -1)
    return found


@bare
def _homeless_milli(scene: Scene, job: int, moves: Ints, count: int) -> int:
    """Return what the tasks of a partial answer that have no place ask of cards."""
    total = 0
    for at in range(count):
        if moves[at, M_NODE] < 0:
            kind = scene.tasks[moves[at, M_TASK], T_KIND] if moves[at, M_TASK] >= 0 else job
            total += scene.specs[kind, S_CARDS] * scene.specs[kind, S_MILLI]
    return int(total)


@bare
def _extend(beam: Beam, found: int, now: Ints, counts: Ints, then: Ints, counts_then: Ints) -> None:
    """Write the candidates out as partial answers."""
    for at in range(found):
        row = beam.rows[at]
        count = counts[row[O_PARENT]]
        for index in range(count):
            _copy(then[at, index], now[row[O_PARENT], index], 3)
        then[at, row[O_MOVE], M_NODE] = row[O_NODE]
        then[at, row[O_MOVE], M_MASK] = row[O_MASK]
        for index in range(row[O_OUT]):
            then[at, count, M_TASK] = beam.out[at, index]
            then[at, count, M_NODE] = WAITS
            then[at, count, M_MASK] = 0
            count += 1
        counts_then[at] = count


@compiled
def search(
    job: int, may_wait: bool, scene: Scene, beam: Beam, partial: Ints, counts: Ints, moves: Ints
) -> int:  # fmt: skip
    """Write the moves (M, 3) of the best answer; return how many, the job's among them, or 0.

    `partial` (2, W, moves + 1, 3) and `counts` (2, W) are of two lengths, this one and the next, in turn; the
    first begins with the job alone, homeless.
    """
    now, have, answer = 0, 1, 0
    waiting = scene.specs[job, S_CARDS] * scene.specs[job, S_MILLI] if may_wait else 0
    for placed in range(1, moves.shape[0] + 1):
        found, beam.bound[0] = 0, _FAR
        for parent in range(have):
            count = counts[now, parent]
            found = _follow(scene, beam, found, job, parent, partial[now, parent], count)
        _extend(beam, found, partial[now], counts[now], partial[1 - now], counts[1 - now])
        now, have, best = 1 - now, found, -1
        for at in range(found):
            if counts[now, at] == placed and (best < 0 or beam.rows[at, O_SCORE] < beam.rows[best, O_SCORE]):
                best = at
        if best >= 0:
            moves[:placed] = partial[now, best, :placed]
            return placed
        for at in range(found):
            homeless = _homeless_milli(scene, job, partial[now, at], counts[now, at])
            if homeless < waiting:
                waiting, answer = homeless, counts[now, at]
                moves[:answer] = partial[now, at, :answer]
    return answer
