"""The three shapes that carry all bytes: source, filter, sink."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

Source = AbstractContextManager[Iterator[bytes]]
"""Entered once, gives an iterator of pieces (any size; b"" means "alive, nothing yet").

The end of the iterator is earned: a source whose producer failed raises (`SourceFailed`,
`NoProgress`, `StorageError`) instead of ending. Leaving the context early ends the producer.
"""

Filter = Callable[[Iterator[bytes]], Iterator[bytes]]
"""Looks at or transforms a stream. Raises at the end of input when something is missing."""


class Sink(Protocol):
    """The end of a stream: after `commit` the result exists, whole; after `abort` it never did."""

    def write(self, chunk: bytes) -> None:
        """Take one piece. Raises `SinkFailed` or `StorageError`; `abort` must follow."""

    def commit(self) -> None:
        """Make the result real and durable, or raise; after a raise, `abort` must follow."""

    def abort(self) -> None:
        """Undo everything; idempotent, does not raise for what is already gone."""
