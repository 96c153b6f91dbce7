"""The columns of the arrays that a scheduling pass works on; every entry is an int64.

Rows are dense indexes: pools, nodes, classes (jobs that ask for the same), lanes (waiting jobs of one class
and one account, in order), accounts (a person in a project, a project or its institution), jobs. Times are
milliseconds.
"""

from enum import IntEnum
from typing import NamedTuple

from hutong.core.placement.arrays import Ints

NEVER = 1 << 62
"""A time that does not come."""

MOST_KEPT = 64
"""For how many jobs a conservative pass keeps cards in one pool; later ones start where they delay none."""

PPM = 1_000_000
UNTOLD = PPM // 2
"""What the part fragmentation is where nobody says how free cards are spread."""

WORD_BITS = 64

# Columns of `pools`. SHUT, RESERVED_FROM and SPARE are of one pass: no later job may start there; a job that
# waits shall start there at that time, and so many cards will then be left over. RUNS heads the chain of
# the jobs that run there, see `chains`.
# FIRST_STEP heads its profile and LAST_KEPT the list of its RESERVATIONS, both of one pass and -1 for none,
# see `profile`; RESERVED_FROM is then the first of those starts, and no fewer than SPARE cards are left over
# from there on. POWER_STEP heads the profile of its site's power, -1 for none.
# FLAVOUR is the quota that its cards count to; its bookings are the rows from FIRST_BOOKING to before
# AFTER_BOOKING (0: none). DRAW is what one of its cards draws, milliwatts; the limits of its site are the
# rows from FIRST_LIMIT to before AFTER_LIMIT (0: none). AHEAD is 1 if it has bookings or limits. STRICT is
# of one pass and 1 where no guess of a length counts, see `guesses`. NODE_CARDS is the cards of a node.
(
    FREE, OPEN, CLOSES, SHUT, RESERVED_FROM, SPARE, FIRST_NODE, FIRST_WORD, WORDS, GROUP, RUNS, RUNS_FAR,
    RUNS_FARTHER, FLAVOUR, FIRST_BOOKING, AFTER_BOOKING, FIRST_LIMIT, AFTER_LIMIT, DRAW, AHEAD, FIRST_STEP,
    LAST_KEPT, RESERVATIONS, POWER_STEP, STRICT, NODE_CARDS, POOL_COLUMNS,
) = range(27)  # fmt: skip
# Columns of `jobs`. NEXT and PRIOR are the neighbours in a lane (NEXT only) or among those that run in POOL,
# FAR and FARTHER what follows farther on where such a chain has an order (`chains`; they stand next to NEXT);
# HELD is the first of its entries in `holds`; -1 for none. CARDS and UNTIL are of a running job.
# KEY orders a lane; of a job that ran before the pass (`occupy`, no LANE) its account, and CLASS its nodes.
# EXPECTED is how long a job may run, and UNTIL when that is over; LIKELY how long it probably will (0 or
# less: nobody knows). REACH is until when it counts beside what was kept as it started. QUEUED is since when
# it waits.
(
    CLASS, EXPECTED, KEY, LANE, NEXT, FAR, FARTHER, PRIOR, POOL, CARDS, UNTIL, HELD, LIKELY, REACH, QUEUED,
    JOB_COLUMNS,
) = range(16)  # fmt: skip
# Columns of `classes`: nodes asked for; weights in a score of a tight fit, of nodes that stay whole, of all.
GANG, FIT_WEIGHT, WHOLE_WEIGHT, WEIGHTS, CLASS_COLUMNS = range(5)
# Columns of `lanes`. CURSOR and BEFORE are of one pass: the job to look at, and the one before it. The first
# `LIVE` entries of column ALIVE name the lanes that still have something to look at. RANK is the account
# whose use says when it is a lane's turn, FIRST the first lane of the same class and rank; the jobs of all
# of those get one reservation between them, and RESERVED of the first is 1 once they have it in a pass.
# HOPE is 0 once none of its jobs can start in this pass; only a BRIEF pass asks.
(
    LANE_CLASS, ACCOUNT, HEAD, HEAD_FAR, HEAD_FARTHER, TAIL, CURSOR, BEFORE, ALIVE, RANK, FIRST, RESERVED,
    HOPE, LANE_COLUMNS,
) = range(14)  # fmt: skip
# Columns of `groups`: pools and lanes that have to do with each other, as ranges of `members` and of lanes.
# TOUCHED is set by what may let a job start: in a group that is not, a pass would find nothing.
FIRST_POOL, AFTER_POOL, FIRST_LANE, AFTER_LANE, TOUCHED, GROUP_COLUMNS = range(6)
# Columns of `accounts`; NORMALISED is usage by share.
PARENT, SHARE, USAGE, NORMALISED, ACCOUNT_COLUMNS = range(5)
# Columns of `quotas`: cards held now, promised, the most (NEVER without limit), kept free while not needed.
CARDS_HELD, NOMINAL, CEILING, KEPT_BACK, QUOTA_COLUMNS = range(5)
# Columns of `flavours`, of one moment of a pass: free cards of all its pools, and how many are kept back.
FLAVOUR_FREE, FLAVOUR_KEPT, FLAVOUR_COLUMNS = range(3)
# Columns of `bookings`, a row for each moment at which one begins and each that goes on then: the account of
# its holder (-1: one that asks for nothing), the moment, when it is over; how many of its cards its jobs
# do not hold at the moment (negative: they hold more); how many cards of the pool, booked or not, are
# expected to be free at the moment.
HOLDER, BOOKED_FROM, BOOKED_UNTIL, BOOKED_LEFT, FREE_THEN, BOOKING_COLUMNS = range(6)
# Columns of `limits` of a site's power: from when until when, and the milliwatts that are left when it
# begins, or now if it has begun. The second half of a site's rows is of one pass: there, what a job that
# waits shall have is taken off, from its start on (NEVER: nothing is).
LIMIT_FROM, LIMIT_UNTIL, POWER_LEFT, LIMIT_COLUMNS = range(4)
# Columns of `holds`: which nodes a job has, as chains.
HOLD_NODE, HOLD_NEXT, HOLD_COLUMNS = range(3)
# Columns of `ends` in its three parts. The first SORT_ROOM rows: when a job ends, and its cards. Then steps
# of profiles: from STEP_AT on, STEP_FREE cards are expected to be free; as chains. From the last row upwards,
# reservations in the order in which they were made: for which job, from when until when, how many cards;
# KEPT_NEXT is the one before it in the same pool, -1 for none. The last two parts are of one pass. Steps of a
# site's power count milliwatts; GIVEN_BACK serves while they are drawn.
END_COLUMNS = 2
STEP_AT, STEP_FREE, STEP_NEXT, GIVEN_BACK = range(4)
KEPT_FOR, KEPT_FROM, KEPT_UNTIL, KEPT_CARDS, KEPT_NEXT, KEPT_COLUMNS = range(6)
# Entries of `state`. WHOLE is 1 if every pass must look at every group, whatever was touched;
# WAITS counts the jobs of a pass for which something was kept or shut; QUOTAS is 1 if there are any, and BARS
# are then the flavours that the job that was placed last might not have. SORT_ROOM, STEPS and
# KEPT are of `ends`: the rows to sort in, the row after the last step, and how many reservations there are.
# BRIEF is 1 where nobody asks what is kept for jobs that wait: a pass is then over when nothing more can
# start; LOOKS counts its jobs that could not. PATIENCE is how long the first of a lane may have waited while
# guesses count, 0 where none ever do. BY_KEY is 1 where jobs come into lanes in another order than that of
# their keys, BY_END where what runs in a pool is kept in the order of UNTIL (nobody may guess lengths then).
# UNBROKEN is what the job that was placed last has of `unbroken`, ppm.
(
    ORDER, BACKFILL, WHOLE, LIVE, HOLD_FREE, WAITS, QUOTAS, BARS, SORT_ROOM, STEPS, KEPT, BRIEF, LOOKS,
    PATIENCE, BY_KEY, BY_END, UNBROKEN, STATE_ENTRIES,
) = range(18)  # fmt: skip


class Order(IntEnum):
    """What decides between waiting jobs: their key alone, or first how little their account has used."""

    KEY = 0
    SHARE = 1


class Backfill(IntEnum):
    """What a job that cannot start means for those after it.

    NONE: nothing starts before it in a pool that it may use. EASY: the first of each lane (of each project's,
    where its people have lanes of their own) gets a reservation, one in each pool, and later ones may start
    where they do not delay it (Lifka, 1995). GREEDY: nothing.
    CONSERVATIVE: every one gets a reservation, and none may be delayed by later ones (Mu'alem and Feitelson,
    2001).
    """

    NONE = 0
    EASY = 1
    GREEDY = 2
    CONSERVATIVE = 3


class Arrays(NamedTuple):
    """All that a pass knows. `levels[p, f]` is how many nodes of pool p have f cards free; `bits` are sets of
    those nodes, one bit a node; both only for pools whose nodes are known (FIRST_WORD >= 0).

    `per_node[c, p]` is how many cards a node a class takes in a pool, 0 where it can never run; `base[c, p]`
    the part of a score that free cards do not change, times the weights; `candidates[c]` the pools with
    `per_node` > 0 in the order in which ties are broken, then -1. `members` are pools, group by group.
    `quotas[x, f]` are the quotas of account x for flavour f, `least[c, f]` the fewest cards of it that a job
    of the class takes (NEVER if none); both have one flavour and no use where there are no quotas.
    `bookings` stand together for each pool, in the order of their moments; so do `limits` for each site.
    `ends` is room to sort in: (time, cards or power) of as many jobs as may run at once; and, where every job
    that waits gets a reservation, room for those. It is one array, for each one more makes every call slower.
    """

    pools: Ints
    levels: Ints
    bits: Ints
    node_free: Ints
    classes: Ints
    per_node: Ints
    base: Ints
    candidates: Ints
    jobs: Ints
    lanes: Ints
    groups: Ints
    members: Ints
    accounts: Ints
    quotas: Ints
    flavours: Ints
    least: Ints
    bookings: Ints
    limits: Ints
    ends: Ints
    holds: Ints
    state: Ints
