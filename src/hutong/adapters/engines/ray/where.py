"""The address by which other nodes reach this one: the one that its own calls to Ray's head come from.

Standard library only: it runs on a node, under any Python.

    python -I -S where.py HEAD:PORT
"""

import socket
import sys


def address(head: str) -> str:
    """Return it; nothing is sent. Raises OSError where there is no way to the head."""
    host, _, port = head.rpartition(":")
    family, kind, _, _, there = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(there)
        return str(probe.getsockname()[0])


if __name__ == "__main__":
    sys.stdout.write(f"{address(sys.argv[1])}\n")
