"""The one kind of array in placement: integers, so that every machine computes the same."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
