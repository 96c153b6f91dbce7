"""What binds processes together: a parent for orphans, and an end with the parent.

Standard library only, and little of it: each job's supervisor pays for what is imported here.
"""

from __future__ import annotations

import os

from hutong.adapters.engines.attempt.tree import below_us, end_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Any
else:
    import _signal as signal  # without the enums of `signal`

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
    end_all(below_us, reap)
    os._exit(128 - code if code < 0 else code)


def reap() -> None:
    """Wait for every child that is dead."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _prctl(option: int, value: int) -> None:
    try:  # the half of `ctypes` that is written in C: the other half costs each job 3 ms
        from _ctypes import FUNCFLAG_CDECL, FUNCFLAG_USE_ERRNO, CFuncPtr, dlopen, dlsym, get_errno

        class Function(CFuncPtr):
            _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO

        own: Any = None  # the program itself, as for dlopen
        prctl: Callable[..., int] = Function(dlsym(dlopen(own, 0), "prctl"))
    except (ImportError, AttributeError, TypeError):
        from ctypes import CDLL, get_errno

        prctl = CDLL(None, use_errno=True).prctl
    if prctl(option, value, 0, 0, 0) != 0:
        code = get_errno()
        raise OSError(code, f"prctl {option}: {os.strerror(code)}")
