"""Durations of the phases of a job: a `Progress` that passes everything on and records times."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from covetbackup.core.progress import Progress


class PhaseTimes:
    """A `Progress` that passes on to `inner`; `clock` returns seconds."""

    def __init__(
        self,
        inner: Progress,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._began = clock()
        self._rows: list[dict[str, Any]] = []

    def phase(self, name: str, total: int | None = None) -> None:
        self._close()
        self._rows.append({"name": name, "seconds": 0.0, "bytes": 0})
        self._began = self._clock()
        self._inner.phase(name, total)

    def advance(self, count: int) -> None:
        if self._rows:
            self._rows[-1]["bytes"] += count
        self._inner.advance(count)

    def note(self, text: str) -> None:
        self._inner.note(text)

    def finished(self) -> list[dict[str, Any]]:
        """Return one row for each phase: name, seconds, bytes."""
        self._close()
        return self._rows

    def _close(self) -> None:
        if self._rows:
            self._rows[-1]["seconds"] = round(self._clock() - self._began, 3)
