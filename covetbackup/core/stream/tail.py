"""The last bytes that a program printed, bounded, without secrets and fit for a message."""

from __future__ import annotations

import os
from collections.abc import Sequence

from covetbackup.core.stream.diagnostics import without_rows
from covetbackup.core.stream.reason import reason_lines
from covetbackup.core.stream.secret import Secret, longest_form, redact

_READ_BYTES = 64 << 10
_MESSAGE_CHARACTERS = 1500


class Tail:
    """The last `limit` bytes read from a pipe, which becomes non-blocking."""

    def __init__(self, descriptor: int, *, limit: int, secrets: Sequence[Secret] = ()) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self._limit = limit
        self._secrets = secrets
        # A secret that straddles the edge would leave its end unrecognised: that much more is
        # retained, and cut off after redaction.
        self._margin = longest_form(secrets)
        self._retained = bytearray()
        self._is_cut = False

    def take(self) -> bool:
        """Read what is there; False at the end of the output."""
        while True:
            try:
                data = os.read(self.descriptor, _READ_BYTES)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._retained += data
            excess = len(self._retained) - self._limit - self._margin
            if excess > 0:
                self._is_cut = True
                del self._retained[:excess]

    def content(self) -> bytes:
        """Return the retained bytes, without secrets."""
        clean = redact(bytes(self._retained), self._secrets)
        return clean[self._margin :] if self._is_cut else clean

    def text(self) -> str:
        """Return the retained bytes as text for a message, without row contents."""
        return without_rows(self.content().decode(errors="replace"))

    def reason(self) -> str:
        """Return the lines that say why the program failed (see `reason`), printable and joined."""
        joined = "; ".join(reason_lines(self.text()))
        return "".join(c if c.isprintable() else " " for c in joined)[:_MESSAGE_CHARACTERS]
