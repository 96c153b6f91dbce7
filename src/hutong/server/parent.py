"""Ends a process of the embedded platform with `hutong up`, its parent; light, for agents load it too."""

import ctypes
import os
import signal

PARENT = "HUTONG_PARENT_PID"
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """End this process when `hutong up`, its parent, ends for whatever reason: nothing is left behind."""
    parent = os.environ.pop(PARENT, "")
    if not parent:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(parent):  # it died before we asked
        raise SystemExit(0)
