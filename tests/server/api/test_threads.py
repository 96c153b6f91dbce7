"""What waits for the store does so beside the event loop, with the ids of its request in its log lines."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from hutong.core.kernel.errors import Refused
from hutong.server.api.threads import AT_ONCE, in_thread

WHO = ContextVar("who", default="nobody")


def seen(more: str, *, end: str) -> tuple[bool, str]:
    return threading.current_thread() is threading.main_thread(), WHO.get() + more + end


async def ask(who: str) -> tuple[bool, str]:
    WHO.set(who)
    return await in_thread(seen, "+", end=".")


def test_each_call_sees_what_its_caller_set_in_another_thread() -> None:
    async def many() -> list[tuple[bool, str]]:
        return list(await asyncio.gather(*(ask(str(number)) for number in range(3 * AT_ONCE))))

    assert asyncio.run(many()) == [(False, f"{number}+.") for number in range(3 * AT_ONCE)]


def test_an_error_comes_to_who_asked() -> None:
    def refuse() -> None:
        raise Refused("no", "no")

    with pytest.raises(Refused):
        asyncio.run(in_thread(refuse))
