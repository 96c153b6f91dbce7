"""Readiness probes: whether a container answers, asked as its manifest says."""

import asyncio
import time
from collections.abc import Callable

import httpx2

from testbeds.kubelet.volumes import Json

_TIMES = {"initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1}
_WELL = range(200, 400)


def _port(container: Json, port: int | str) -> int:
    """Return a port by its number or its name."""
    named = {each.get("name"): each["containerPort"] for each in container.get("ports", [])}
    return int(named.get(port, port))


async def answers(container: Json, probe: Json, address: str, timeout_s: float) -> bool:
    """Ask once."""
    if "httpGet" in probe:
        ask = probe["httpGet"]
        host, scheme = ask.get("host") or address, ask.get("scheme", "HTTP").lower()
        url = f"{scheme}://{host}:{_port(container, ask['port'])}{ask.get('path', '/')}"
        try:
            async with httpx2.AsyncClient(
                verify=False, trust_env=False, timeout=timeout_s
            ) as client:  # as kubelets do
                return (await client.get(url)).status_code in _WELL
        except httpx2.TransportError:
            return False
    ask = probe["tcpSocket"]
    host = ask.get("host") or address
    try:
        opening = asyncio.open_connection(host, _port(container, ask["port"]))
        _, writer = await asyncio.wait_for(opening, timeout_s)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def watch_readiness(
    container: Json, address: str, running: Callable[[], bool], tell: Callable[[bool], None]
) -> None:
    """Tell whenever a running container becomes ready or unready; without a probe it is ready at once."""
    probe = container.get("readinessProbe")
    if probe is None:
        return tell(True)
    delay, period, timeout = (float(probe.get(name, value)) for name, value in _TIMES.items())
    needed, allowed = int(probe.get("successThreshold", 1)), int(probe.get("failureThreshold", 3))
    ready, same = False, 0
    await asyncio.sleep(delay)
    while running():
        begun = time.monotonic()
        good = await answers(container, probe, address, timeout)
        same = 0 if good == ready else same + 1
        if running() and same >= (needed if good else allowed):
            ready, same = good, 0
            tell(ready)
        await asyncio.sleep(max(0.0, begun + period - time.monotonic()))
    return None
