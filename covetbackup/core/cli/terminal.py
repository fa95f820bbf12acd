"""Progress for people: one bar that is redrawn on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_WIDTH = 24
_INTERVAL_SECONDS = 0.2


@contextmanager
def terminal_progress(stream: TextIO | None = None) -> Iterator[TerminalProgress]:
    """A bar on `stream` (default: standard error) whose last line is ended before other output
    follows."""
    bar = TerminalProgress(stream or sys.stderr)
    try:
        yield bar
    finally:
        bar.close()


class TerminalProgress:
    """A `Progress` on `stream`: phase, bytes, rate and, when the total is known, a bar."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._name = ""
        self._total: int | None = None
        self._done = 0
        self._began = self._drawn = time.monotonic()

    def phase(self, name: str, total: int | None = None) -> None:
        self.close()
        self._name, self._total, self._done = printable_text(name), total, 0
        self._began = time.monotonic()
        if self._live:
            self._draw()
        else:
            print(self._name, file=self._stream, flush=True)

    def advance(self, count: int) -> None:
        self._done += count
        if self._live and time.monotonic() - self._drawn >= _INTERVAL_SECONDS:
            self._draw()

    def note(self, text: str) -> None:
        self.close()
        print(f"  {printable_text(text)}", file=self._stream, flush=True)

    def close(self) -> None:
        """Finish the line of the current phase."""
        if self._live and self._name:
            self._draw()
            print(file=self._stream, flush=True)
        self._name = ""

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        rate = self._done / max(self._drawn - self._began, 1e-6)
        parts = [f"{self._name:<32}"[:48], f"{size_text(self._done):>10}"]
        if self._total:
            parts.insert(1, _bar(min(self._done / self._total, 1.0)))
        if self._done:
            parts.append(f"{size_text(int(rate))}/s")
        print("\r\x1b[K" + "  ".join(parts), end="", file=self._stream, flush=True)


def printable_text(text: str) -> str:
    """`text` without what would steer a terminal: names come from databases and storages."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def size_text(size: int) -> str:
    """A size in bytes for people: "1.5 GiB"."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def count_text(count: int, noun: str) -> str:
    """ "1 table", "2 tables"."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _bar(share: float) -> str:
    filled = round(share * _WIDTH)
    return "[" + "#" * filled + "." * (_WIDTH - filled) + f"] {share:4.0%}"
