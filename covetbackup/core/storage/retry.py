"""The retry policy: full jitter between tries, a cap on their number and on their time.

Only `StorageUnavailable` is worth another try. Nested policies do not multiply: what one policy
gave up on, an outer one does not try again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TypeVar

from covetbackup.core.errors import StorageUnavailable

_Result = TypeVar("_Result")


class GaveUp(StorageUnavailable):
    """The error after the last try; to callers it is the `StorageUnavailable` that it was."""

    @property
    def code(self) -> str:
        """The code of the error that it was."""
        return StorageUnavailable.__name__


@dataclass(frozen=True, slots=True)
class Retry:
    """A policy: calls work up to `attempts` times, or for `budget_seconds` since the first call.

    Before try n the pause is uniform between 0 and min(cap, base x 2^(n-2)) seconds ("full jitter":
    clients that failed together do not come back together). `pause`, `clock` and `random` are
    replaced in tests.
    """

    attempts: int = 8
    budget_seconds: float = 900
    base_seconds: float = 0.5
    cap_seconds: float = 60
    pause: Callable[[Event, float], object] = Event.wait
    clock: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random

    def __call__(self, work: Callable[[], _Result], *, stop: Event | None = None) -> _Result:
        """The result of `work`. Raises its first error that is not passing, or `GaveUp`.

        Once `stop` is set nothing is tried again and a running pause ends.
        """
        stop = stop or Event()
        deadline = self.clock() + self.budget_seconds
        tries = 0
        while True:
            tries += 1
            try:
                return work()
            except GaveUp:
                raise
            except StorageUnavailable as error:
                pause = self._pause_before(tries + 1)
                if tries >= self.attempts or self.clock() + pause > deadline or stop.is_set():
                    raise GaveUp(
                        f"{error.message} (tries: {tries})", error.hint, error.details
                    ) from error
            self.pause(stop, pause)

    def _pause_before(self, attempt: int) -> float:
        return self.random() * min(self.cap_seconds, self.base_seconds * 2.0 ** (attempt - 2))
