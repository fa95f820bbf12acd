"""A time limit for calls to a server or a storage during a page request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from covetbackup.core.errors import CovetError

_Result = TypeVar("_Result")


class _Answer(Generic[_Result]):
    def __init__(self) -> None:
        self.value: list[_Result] = []
        self.error: Exception | None = None


def run_with_timeout(seconds: float, call: Callable[[], _Result], *, late: CovetError) -> _Result:
    """Return the result of `call`, or raise its error; raise `late` after `seconds`.

    A call that is late goes on in the background until its own time limits end it; it must not
    touch the catalog, whose connections belong to threads.
    """
    answer: _Answer[_Result] = _Answer()

    def run() -> None:
        try:
            answer.value.append(call())
        except Exception as error:  # handed over to the caller, who may well handle any of them
            answer.error = error

    thread = threading.Thread(target=run, daemon=True, name="within")
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise late
    if answer.error is not None:
        raise answer.error
    return answer.value[0]
