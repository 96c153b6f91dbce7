"""TCP ports that nobody else of this machine's beds and tests is given."""

import random
import socket

# Below the range from which the kernel gives ports to connections and to who asks for any port, and above
# Ray's workers' ports.
_PORTS = range(20_000, 30_000)


class Ports:
    """TCP ports that no other bed or test of this machine is given while this one holds them.

    A server binds its port seconds after it was chosen, and again after it was killed, so a port that is
    merely free now is not enough. The claim is an abstract Unix socket: it leaves no file, and goes with
    the process.
    """

    def __init__(self) -> None:
        self._claims: list[socket.socket] = []

    def __enter__(self) -> "Ports":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self) -> int:
        """Claim one more port."""
        for port in random.sample(_PORTS, len(_PORTS)):
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f"\0hutong-testbed-{port}")
                with socket.socket() as probe:
                    probe.bind(("", port))
            except OSError:
                claim.close()
            else:
                self._claims.append(claim)
                return port
        raise RuntimeError(f"no port of {_PORTS.start}-{_PORTS.stop - 1} is free")

    def release(self) -> None:
        """Give all of them back."""
        while self._claims:
            self._claims.pop().close()
