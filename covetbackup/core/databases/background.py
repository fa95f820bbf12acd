"""Long statements in a thread, so that the caller can wait, report progress and cancel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_TICK_SECONDS = 0.25


class BackgroundQuery(Generic[T]):
    """The `work` that runs in a thread, on a connection of its own.

    The connection is not used otherwise until `result` or `stop` returned. `work` gets a function
    that tells whether it should stop between two statements; `interrupt` ends the statement that
    runs now, if one does.
    """

    def __init__(
        self, work: Callable[[Callable[[], bool]], T], *, interrupt: Callable[[], None]
    ) -> None:
        self._work = work
        self._interrupt = interrupt
        self._stopped = threading.Event()
        self._results: list[T] = []
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="covet-statements", daemon=True)
        self._thread.start()

    def result(self, *, on_wait: Callable[[], None]) -> T:
        """Return the result of the work.

        `on_wait` is called a few times a second, and may raise `Cancelled`. Raises what `work`
        raised.
        """
        while self._thread.is_alive():
            self._thread.join(_TICK_SECONDS)
            on_wait()
        if self._error is not None:
            raise self._error
        return self._results[0]

    @property
    def failure(self) -> Exception | None:
        """The error that the work raised, None if it has not failed."""
        return self._error

    def has_ended(self, seconds: float) -> bool:
        """Wait until the work is over, `seconds` at most."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End the work, on the server too. Idempotent."""
        self._stopped.set()
        while self._thread.is_alive():
            # Again and again: a request that arrives between two statements ends nothing.
            self._interrupt()
            self._thread.join(_TICK_SECONDS)

    def _run(self) -> None:
        try:
            self._results.append(self._work(self._stopped.is_set))
        except Exception as error:  # handed to the thread that asks for the result
            self._error = error
