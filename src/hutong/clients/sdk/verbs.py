"""One definition of each verb for both clients: a descriptor binds a pure call to whoever sends it."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from hutong.clients.sdk.call import Call, Listing

Args = ParamSpec("Args")
Answer = TypeVar("Answer")
Item = TypeVar("Item")
Sent = TypeVar("Sent")
Got = TypeVar("Got")


class Sender:
    """Sends calls and waits for their answers."""

    def do(self, call: Call[Answer]) -> Answer:
        """Return the answer, or raise one of the kernel's errors."""
        raise NotImplementedError

    def walk(self, listing: Listing[Item]) -> Iterator[Item]:
        """Yield the items of a list, fetching each page when it is needed."""
        cursor, left = "", listing.most
        while left is None or left > 0:
            page = self.do(listing.page(cursor))
            yield from page.items[:left]
            left = None if left is None else left - len(page.items)
            cursor = page.next
            if not cursor:
                return


class AsyncSender:
    """Sends calls; their answers are awaited."""

    async def do(self, call: Call[Answer]) -> Answer:
        """Return the answer, or raise one of the kernel's errors."""
        raise NotImplementedError

    async def walk(self, listing: Listing[Item]) -> AsyncIterator[Item]:
        """Yield the items of a list, fetching each page when it is needed."""
        cursor, left = "", listing.most
        while left is None or left > 0:
            page = await self.do(listing.page(cursor))
            for item in page.items[:left]:
                yield item
            left = None if left is None else left - len(page.items)
            cursor = page.next
            if not cursor:
                return


class Verb(Generic[Args, Answer]):
    """A call as a method: it answers at once on a Sender and is awaited on an AsyncSender."""

    def __init__(self, build: Callable[Args, Call[Answer]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, sender: None, owner: type) -> Self: ...
    @overload
    def __get__(self, sender: Sender, owner: type) -> Callable[Args, Answer]: ...
    @overload
    def __get__(self, sender: AsyncSender, owner: type) -> Callable[Args, Coroutine[Any, Any, Answer]]: ...
    def __get__(self, sender: Sender | AsyncSender | None, owner: type) -> object:
        """Return the method bound to its sender."""
        return self if sender is None else _bind(self._build, sender.do)


class ListVerb(Generic[Args, Item]):
    """A list as a method: an iterator on a Sender, an asynchronous one on an AsyncSender."""

    def __init__(self, build: Callable[Args, Listing[Item]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, sender: None, owner: type) -> Self: ...
    @overload
    def __get__(self, sender: Sender, owner: type) -> Callable[Args, Iterator[Item]]: ...
    @overload
    def __get__(self, sender: AsyncSender, owner: type) -> Callable[Args, AsyncIterator[Item]]: ...
    def __get__(self, sender: Sender | AsyncSender | None, owner: type) -> object:
        """Return the method bound to its sender."""
        return self if sender is None else _bind(self._build, sender.walk)


def _bind(build: Callable[Args, Sent], send: Callable[[Sent], Got]) -> Callable[Args, Got]:
    @wraps(build)
    def method(*args: Args.args, **named: Args.kwargs) -> Got:
        return send(build(*args, **named))

    return method


class Group(Sender):
    """The verbs of one resource, sent by a client."""

    def __init__(self, client: Sender) -> None:
        self._client = client

    def do(self, call: Call[Answer]) -> Answer:
        """Pass the call to the client."""
        return self._client.do(call)


class AsyncGroup(AsyncSender):
    """The verbs of one resource, sent by an asynchronous client."""

    def __init__(self, client: AsyncSender) -> None:
        self._client = client

    async def do(self, call: Call[Answer]) -> Answer:
        """Pass the call to the client."""
        return await self._client.do(call)
