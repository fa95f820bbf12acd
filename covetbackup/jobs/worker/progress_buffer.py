"""A buffer of a runner's progress: at most one write to the catalog a second."""

from __future__ import annotations

import time
from typing import Any

from covetbackup.jobs.queue import JobReport

MOST_EVENTS = 2000
"""Lines of the log kept for one attempt: a chatty program must not fill the catalog."""

SMOOTHING = 0.3
"""Weight of the newest second in the rate: 90 % of a change shows within seven seconds."""


class ProgressBuffer:
    """A buffer that takes messages of the channel and returns reports for `queue.heartbeat`."""

    def __init__(self) -> None:
        self._columns: dict[str, Any] = {}
        self._events: list[tuple[str, str]] = []
        self._noted_at: list[float] = []
        self._event_count = 0
        self._done = self._done_before = 0
        self._rate = 0.0
        self._reported_at = time.monotonic()

    def take(self, message: dict[str, Any]) -> None:
        """Take a message of the runner: a phase, bytes done, a note."""
        if "phase" in message:
            self._begin(str(message["phase"]), message.get("total"))
        if "done" in message:
            self._done = self._columns["done_bytes"] = int(message["done"])
        if "note" in message:
            self._add("note", str(message["note"]))

    @property
    def has_news(self) -> bool:
        """Whether something is to be written."""
        return bool(self._columns or self._events)

    def report(self) -> JobReport:
        """Return what to write now; `written` is called when that succeeded."""
        columns = dict(self._columns)
        if "done_bytes" in columns:
            columns["rate"] = self._measure()
        now = time.monotonic()
        return JobReport(columns, list(self._events), [now - at for at in self._noted_at])

    def written(self) -> None:
        """Forget what was written."""
        self._columns.clear()
        self._events.clear()
        self._noted_at.clear()

    def _begin(self, name: str, total: Any) -> None:
        self._done = self._done_before = 0
        self._rate = 0.0
        self._columns = {"phase": name, "total_bytes": total, "done_bytes": 0}
        self._add("phase", name)

    def _add(self, kind: str, text: str) -> None:
        self._event_count += 1
        if self._event_count > MOST_EVENTS:
            return
        if self._event_count == MOST_EVENTS:
            kind, text = "note", "further lines of this attempt are not kept"
        self._events.append((kind, text))
        self._noted_at.append(time.monotonic())

    def _measure(self) -> int:
        now = time.monotonic()
        passed = now - self._reported_at
        if passed >= 0.5:
            speed = (self._done - self._done_before) / passed
            self._rate += (speed - self._rate) * (SMOOTHING if self._rate else 1.0)
            self._done_before, self._reported_at = self._done, now
        return int(self._rate)
