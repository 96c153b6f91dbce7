"""oidc-provider-mock, somebody else's identity provider, as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from tests.server.serving import wait_for


@contextmanager
def mock_provider(port: int, *options: str) -> Iterator[str]:
    """Run it on a port that the caller holds, and yield its address."""
    url = f"http://127.0.0.1:{port}"
    program = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), *options]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:

        def answers() -> bool:
            assert process.poll() is None, "the provider ended"
            try:
                return httpx2.get(f"{url}/jwks", trust_env=False).status_code == 200
            except httpx2.TransportError:
                return False

        try:
            wait_for(answers, 60)
            yield url
        finally:
            process.terminate()
