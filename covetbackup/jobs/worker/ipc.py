"""The channel between a supervisor and its runner: JSON, one message a line, both ways.

Supervisor to runner: `{"ping": true}` after each heartbeat that the catalog took, and
`{"cancel": true}`. Runner to supervisor: `phase`, `done`, `note`, and last of all `end`. The end
of the channel means to either side that the other is gone, however it went.
"""

from __future__ import annotations

import json
import select
import socket
import threading
from typing import Any

LONGEST = 1 << 20
"""A longer message is noise from something that is not a runner."""


class Channel:
    """One end of the channel. `send` may be called from any thread, `receive` from one."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._rest = b""
        self.is_open = True

    def send(self, **message: Any) -> None:
        """Send one message. That the other side is gone shows in `receive`, not here."""
        channel = json.dumps(message).encode() + b"\n"
        with self._lock:
            try:
                self._connection.sendall(channel)
            except OSError:
                pass

    def receive(self, seconds: float) -> list[dict[str, Any]]:
        """Return the messages there are, waiting up to `seconds` for the first."""
        if not self.is_open or not select.select([self._connection], [], [], seconds)[0]:
            return []
        try:
            received = self._connection.recv(1 << 16)
        except OSError:
            received = b""
        if not received or len(self._rest) > LONGEST:
            self.is_open = False
        *lines, self._rest = (self._rest + received).split(b"\n")
        return [message for channel in lines if (message := _parsed(channel)) is not None]

    def close(self) -> None:
        self._connection.close()
        self.is_open = False


def _parsed(channel: bytes) -> dict[str, Any] | None:
    """None for a line that a signal cut short."""
    try:
        message = json.loads(channel)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
