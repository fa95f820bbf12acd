"""The test of a repository: write a small object, read it, find it in the listing, delete it.

Says what the storage allows now, with the time of each step. Leaves nothing behind.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from covetbackup.core.errors import CovetError, DigestMismatch, ObjectNotFound
from covetbackup.core.repository.objects import read_object, write_object
from covetbackup.core.storage.base import Storage
from covetbackup.core.storage.registry import shortcomings

FOLDER = "probe/"
_SIZE = 64 * 1024


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One thing tried: how long it took, and what was wrong ("" if nothing)."""

    title: str
    milliseconds: int
    problem: str = ""
    hint: str = ""
    details: str = ""
    warning: str = ""

    @property
    def state(self) -> str:
        """The state of the step: fail, warning or pass."""
        return "fail" if self.problem else "warning" if self.warning else "pass"


def check_storage(storage: Storage) -> list[CheckStep]:
    """Return the steps in order, up to the first that failed; what was written is deleted."""
    name, data = f"{FOLDER}{os.urandom(16).hex()}", os.urandom(_SIZE)
    todo: list[tuple[str, Callable[[], None]]] = [
        ("Write 64 KiB", lambda: write_object(storage, name, data)),
        ("Read it back and compare", lambda: _compare(storage, name, data)),
        ("Find it in the listing", lambda: _find(storage, name)),
    ]
    steps: list[CheckStep] = []
    for title, act in todo:
        steps.append(_timed(title, act))
        if steps[-1].problem:
            break
    if len(steps) > 1 or not steps[0].problem:
        steps.append(_timed("Delete it", lambda: storage.delete(name)))
    if not any(step.problem for step in steps):
        steps += _warnings(storage)
    return steps


def _warnings(storage: Storage) -> list[CheckStep]:
    """What works, though not as well as elsewhere: one step for each."""
    return [CheckStep("File system", 0, warning=text) for text in shortcomings(storage)]


def _timed(title: str, act: Callable[[], None]) -> CheckStep:
    started = time.monotonic()
    try:
        act()
    except CovetError as error:
        return CheckStep(title, _since(started), error.message, error.hint, error.details)
    return CheckStep(title, _since(started))


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _compare(storage: Storage, name: str, data: bytes) -> None:
    if read_object(storage, name, limit=_SIZE) != data:
        raise DigestMismatch("other bytes came back than were written", "check the storage itself")


def _find(storage: Storage, name: str) -> None:
    if not any(found.name == name for found in storage.list(FOLDER)):
        raise ObjectNotFound("the object is not in the listing", "may the account list?")
