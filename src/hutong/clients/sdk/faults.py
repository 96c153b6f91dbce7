"""What broken connections mean: which calls may be sent again, and what to tell the caller."""

from typing import Any

import httpx2

from hutong.clients.sdk.call import Call
from hutong.core.kernel.errors import Later

_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


def may_repeat(call: Call[Any], error: httpx2.TransportError) -> bool:
    """Return True if the call never left, or does no harm when it is sent twice."""
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return False
    return call.repeatable or isinstance(error, _NEVER_SENT)


def unreachable(url: object, error: Exception) -> Later:
    """Return the error for a platform that cannot be reached, or whose answer was lost."""
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.InvalidURL):
        return Later(f"{url} is no address of a platform: it should be like http://127.0.0.1:8470")
    what = str(error) or type(error).__name__
    if isinstance(error, _NEVER_SENT):
        return Later(
            f"cannot reach the platform at {url} ({what}); is it running? `hutong up` starts one here"
        )
    return Later(
        f"the connection to {url} broke ({what}); whether it worked is not known: look before trying again"
    )
