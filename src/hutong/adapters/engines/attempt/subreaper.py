"""What binds processes together: a parent for orphans, and an end with the parent.

Standard library only: the supervisor imports this without any installed package.
"""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Have the kernel give orphaned descendants to this process instead of to process 1."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def live_with_parent() -> None:
    """Go on in a child that gets TERM when what started this program ends, however it ends.

    Batch systems kill what they started, and only that, without a word. This process stays behind for that:
    it waits for the child, passes TERM on, and ends as the child ends. Call it before there is anything else.
    """
    guard = os.getpid()
    child = os.fork()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if child == 0:
        if os.getppid() != guard:
            os._exit(128 + signal.SIGTERM)
        return
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(128 - code if code < 0 else code)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl {option}: {os.strerror(code)}")
