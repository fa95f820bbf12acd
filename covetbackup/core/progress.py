"""Progress of long work. Engines never format for people: they call this."""

from __future__ import annotations

from typing import Protocol

DAMAGED = "damaged: "
"""A note that begins so is about a fault in what the present phase looks at."""


class Progress(Protocol):
    """A receiver of what happens, called from the thread that runs the operation."""

    def phase(self, name: str, total: int | None = None) -> None:
        """Begin a named phase; `total` is its expected size in bytes when known."""

    def advance(self, count: int) -> None:
        """Add `count` bytes to the phase; 0 means "still alive, nothing moved".

        May raise `Cancelled`: it is called at least about once a second while a stream runs.
        """

    def note(self, text: str) -> None:
        """Add one line to the job's log."""


class Silent:
    """A `Progress` that drops everything."""

    def phase(self, name: str, total: int | None = None) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass
