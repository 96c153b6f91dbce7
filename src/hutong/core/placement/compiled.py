"""Machine code for the inner loops of placement: plain Python on integer arrays, compiled on first use.

A compiled function takes and gives integers, booleans and int64 arrays only, so that it computes the same on
every machine. What numba compiles is kept for the next start, in a folder named by a digest of this package:
numba itself notices a change of a function's own file, but not of what the function calls or of a constant.
"""

from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from typing import Any, ParamSpec, TypeVar

import numba

Params = ParamSpec("Params")
Result = TypeVar("Result")


def _cache_folder() -> str:
    """Return where compiled functions of just these sources are kept."""
    here = files("hutong.core.placement")
    sources = sorted(each.name for each in here.iterdir() if each.name.endswith(".py"))
    digest = sha256(b"".join(here.joinpath(name).read_bytes() for name in sources)).hexdigest()[:12]
    return str(here.joinpath("__pycache__", f"compiled-{digest}"))


_CONFIG: Any = numba.config  # its options are set from the environment
_njit: Callable[..., Any] = numba.njit  # its types do not know `_nrt`
if not _CONFIG.CACHE_DIR:
    _CONFIG.CACHE_DIR = _cache_folder()


def _made(function: Callable[Params, Result], **options: bool) -> Callable[Params, Result]:
    """Return the function as machine code. What says nothing of `_nrt` has that of its first caller."""
    found: Callable[Params, Result] = _njit(**options)(function)
    return found


def compiled(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Return the function as machine code; `.py_func` of it is the plain one."""
    return _made(function, _nrt=True, cache=True)


def bare(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Return the function as machine code that counts no references: it may use arrays, but make none.

    Compiled code otherwise counts each array's references up and down around a function, atomically: of a
    scheduling pass, with its 21 arrays, that was most of the time.
    """
    return _made(function, cache=True, _nrt=False)


def aside(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Return the function as machine code beside which other threads go on; for what takes long.

    Nobody else may have its arrays meanwhile.
    """
    return _made(function, _nrt=True, cache=True, nogil=True)


def inlined(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Return the function as machine code that becomes part of every compiled function that calls it.

    A call copies every array's description; a short function that takes many of them is dearer than its work.
    It is `bare`.
    """
    return _made(function, forceinline=True, _nrt=False)
