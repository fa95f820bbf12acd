"""Ports for the private servers of tests that several processes start at the same time."""

from __future__ import annotations

import random
import socket

# Below those that Linux gives to outgoing connections: between the look and the server's start
# no client of another test can take such a port.
_FIRST, _LAST = 20_000, 32_000


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    while True:
        port = random.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
