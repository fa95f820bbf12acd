"""Progress on standard error: a bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from covetbackup.core.progress import Progress
from covetbackup.core.text import encodable_text


class ClosableProgress(Progress, Protocol):
    """A `Progress` whose last line is ended by `close`."""

    def close(self) -> None:
        """End the last line."""


@contextmanager
def terminal_progress(stream: TextIO | None = None) -> Iterator[ClosableProgress]:
    """Provide a `Progress` that is shown on `stream` (default: standard error).

    Its last line is ended before other output follows.
    """
    progress = progress_on(stream or sys.stderr)
    try:
        yield progress
    finally:
        progress.close()


def progress_on(stream: TextIO) -> ClosableProgress:
    """Return a bar if `stream` is a terminal, else a `PlainProgress`."""
    if not stream.isatty():
        return PlainProgress(stream)
    # Only here: rich takes longer to import than all of the engine.
    from covetbackup.core.cli.rich_output import BarProgress

    return BarProgress(stream)


class PlainProgress:
    """A `Progress` that prints a line for each phase and each note."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def phase(self, name: str, total: int | None = None) -> None:
        print(encodable_text(name, self._stream), file=self._stream, flush=True)

    def advance(self, count: int) -> None:
        """Print nothing: a log is not filled with numbers."""

    def note(self, text: str) -> None:
        print(f"  {encodable_text(text, self._stream)}", file=self._stream, flush=True)

    def close(self) -> None:
        """Do nothing: every line is ended already."""
