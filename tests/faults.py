"""How often, and from which seed, tests that kill at random do so: seldom by `make check`."""

import os
import random


def trials(few: int) -> int:
    """Return `few`, or what `HUTONG_FAULTS` asks for."""
    return int(os.environ.get("HUTONG_FAULTS", few))


def dice(seed: int) -> random.Random:
    """Return random numbers from the seed of `HUTONG_SEED`, or from the test's own."""
    return random.Random(int(os.environ.get("HUTONG_SEED", seed)))
