"""How long work reports on itself. Engines never format for people: they call this."""

from __future__ import annotations

from typing import Protocol

DAMAGED = "damaged: "
"""A note that begins so is about a fault in what the present phase looks at."""


class Progress(Protocol):
    """Receives what happens, from the thread that runs the operation."""

    def phase(self, name: str, total: int | None = None) -> None:
        """A named phase begins; `total` is its expected size in bytes when known."""

    def advance(self, count: int) -> None:
        """`count` more bytes of the phase are done; 0 means "still alive, nothing moved".

        May raise `Cancelled`: it is called at least about once a second while a stream runs.
        """

    def note(self, text: str) -> None:
        """One line for the job's log."""


class Silent:
    """A `Progress` that nobody watches."""

    def phase(self, name: str, total: int | None = None) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass
