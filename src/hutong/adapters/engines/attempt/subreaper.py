"""What binds processes together: a parent for orphans, and an end with the parent.

Standard library only: the supervisor imports this without any installed package.
"""

import contextlib
import ctypes
import os
import signal

from hutong.adapters.engines.attempt.tree import below_us, end_all

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Have the kernel give orphaned descendants to this process instead of to process 1."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def go_on_guarded() -> None:
    """Go on in a child of a guard: neither outlives the other, nor does what the child has started.

    Batch systems kill what they started, and only that, without a word: then the child gets TERM. A child
    that is killed leaves its own children to the guard, which kills them. The guard passes TERM on and ends
    as the child ends. Call it before there is anything else.
    """
    guard = os.getpid()
    adopt_orphans()
    child = os.fork()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if child == 0:
        if os.getppid() != guard:
            os._exit(128 + signal.SIGTERM)
        return
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    end_all(below_us, _reap)
    os._exit(128 - code if code < 0 else code)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl {option}: {os.strerror(code)}")
