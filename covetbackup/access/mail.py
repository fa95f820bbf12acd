"""Mail that must not hold up an answer, because the time it takes would tell who has an account."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

THREAD_NAME = "mail"


def send_aside(send: Callable[..., None], *args: object, **kwargs: object) -> None:
    """Call `send` in a thread. It has to log its own failures, as Django's forms do."""
    Thread(target=send, args=args, kwargs=kwargs, name=THREAD_NAME).start()
