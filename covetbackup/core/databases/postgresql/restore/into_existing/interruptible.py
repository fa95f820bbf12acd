"""How an addition runs what may take hours: a statement, while somebody reports and may cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Wait(Protocol):
    def __call__(self, act: Callable[[], T]) -> T:
        """What `act` returns; raises what it raises, and `Cancelled`."""
