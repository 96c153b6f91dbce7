"""Work that waits for the store, off the event loop: a third of the CPU that Starlette's way costs a call."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

AT_ONCE = 40  # as many as Starlette lets work at once
P = ParamSpec("P")
T = TypeVar("T")
_threads = ThreadPoolExecutor(AT_ONCE, "api")


async def in_thread(work: Callable[P, T], *args: P.args, **told: P.kwargs) -> T:
    """Return what `work` does in one of `AT_ONCE` threads, with the request's ids in its log lines."""
    call = partial(copy_context().run, work, *args, **told)
    return await asyncio.get_running_loop().run_in_executor(_threads, call)
