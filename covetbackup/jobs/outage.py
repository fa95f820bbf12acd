"""Outages of the catalog: calls that are tried again until it answers, and how to name them.

A connection that was idle when the catalog restarted fails at its next use, so one failure says
nothing about whether the catalog answers now.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

_T = TypeVar("_T")
_P = ParamSpec("_P")

AWAY = (OperationalError, InterfaceError)
"""What Django raises when the catalog does not answer. Only the catalog is reached through Django:
errors of databases that are backed up have other types."""

AWAY_HINT = "is the catalog's database running, and DATABASE_URL right?"

PATIENCE_SECONDS = 60.0
"""Two thirds of the lease: after that the supervisor stops the runner anyway."""

_PAUSE_SECONDS = 0.5


def with_patience(call: Callable[[], _T], *, seconds: float = PATIENCE_SECONDS) -> _T:
    """Return what `call` returns, called again on a new connection while the catalog is away.

    `call` must bear repetition: a commit may have succeeded although its answer was lost. Inside
    a transaction it is called once, because only the whole transaction can be repeated. Raises
    the last error after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except AWAY:
            if connection.in_atomic_block:
                raise
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)


def patient(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Decorate `function`, which must bear repetition, as `with_patience` calls it."""

    @functools.wraps(function)
    def call(*arguments: _P.args, **options: _P.kwargs) -> _T:
        return with_patience(lambda: function(*arguments, **options))

    return call


class OneSentenceErrors(logging.Filter):
    """The filter that removes tracebacks of outages from the log.

    The queue's library meets an outage in many places; its tracebacks say nothing more.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, AWAY):
            record.msg, record.args = f"{record.getMessage()}: {described(error)}", ()
            record.exc_info = record.exc_text = None
        return True


def described(error: BaseException) -> str:
    """Return what `error` says about the catalog as one line."""
    reason = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
    return f"the catalog does not answer: {reason}"
