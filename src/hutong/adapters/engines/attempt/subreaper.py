"""Makes this process the parent of its orphaned descendants, so that none can slip out of its sight.

Standard library only: the supervisor imports this without any installed package.
"""

import ctypes
import os

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Have the kernel give orphaned descendants to this process instead of to process 1."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"no subreaper: {os.strerror(code)}")
