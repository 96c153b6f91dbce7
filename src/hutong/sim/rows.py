"""Distinct rows of whole numbers."""

from math import prod

import numpy as np

from hutong.core.placement.arrays import Ints


def distinct(*columns: Ints) -> tuple[Ints, Ints]:
    """Return the distinct rows of columns of equal length, in their order, and which of them each row is.

    As `np.unique` along an axis says it, without its sorting of rows: most of them are one of a few.
    """
    lows = [int(each.min()) if len(each) else 0 for each in columns]
    spans = [int(each.max()) - low + 1 if len(each) else 1 for each, low in zip(columns, lows, strict=True)]
    room = prod(spans)
    if room >= 1 << 62:
        rows, which = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        return rows, which.ravel()
    key = np.zeros(len(columns[0]), np.int64)
    for each, low, span in zip(columns, lows, spans, strict=True):
        key = key * span + (each - low)
    if room <= 1024 + 4 * len(key):
        there = np.zeros(room, np.bool_)
        there[key] = True
        keys, which = np.flatnonzero(there), (np.cumsum(there) - 1)[key]
    else:
        keys, which = np.unique(key, return_inverse=True)
    found = []
    for low, span in zip(reversed(lows), reversed(spans), strict=True):
        found.append(keys % span + low)
        keys = keys // span
    return np.stack(found[::-1], axis=1), which
