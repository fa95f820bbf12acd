"""How long `up` waits before it starts again what has ended."""

from __future__ import annotations

import sys
import time

import pytest

from covetbackup.jobs import children
from covetbackup.jobs.children import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, SupervisedProgram


@pytest.fixture
def child() -> SupervisedProgram:
    """A program that ends at once, started again at once."""
    return SupervisedProgram("short", [sys.executable, "-c", ""], grace_seconds=1)


def waits(child: SupervisedProgram, *, ends: int) -> list[float]:
    found = []
    for _ in range(ends):
        child.start_at = 0
        child.keep_running()
        assert child.process is not None
        child.process.wait(30)
        began = time.monotonic()
        child.keep_running()
        found.append(round(child.start_at - began, 1))
    return found


def test_what_cannot_begin_is_tried_more_and_more_seldom(child: SupervisedProgram) -> None:
    found = waits(child, ends=9)
    assert found[:3] == [0.5, 1, 2]
    assert found[-1] == LONGEST_WAIT_SECONDS


def test_what_was_ended_from_outside_starts_again_soon(
    child: SupervisedProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "STEADY_SECONDS", 0)
    assert waits(child, ends=4) == [FIRST_WAIT_SECONDS] * 4
