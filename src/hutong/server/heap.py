"""What the garbage collector is told in the loop's process: records of a turn make no cycles."""

import gc

# They go when nobody has them any more. By Python's own 700 a turn of a thousand jobs was walked a hundred
# times, and all that is loaded at every third turn.
YOUNG, MIDDLE, OLD = 50_000, 20, 1000


def settle() -> None:
    """Leave what is loaded by now out of all collections, and collect seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
