"""What an engine does over a connection, as a table of functions that are given a server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Concatenate, ParamSpec, TypeVar

from backups.models import Server

C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")


def over(
    connect: Callable[[Server], AbstractContextManager[C]], act: Callable[Concatenate[C, P], T]
) -> Callable[Concatenate[Server, P], T]:
    """`act` over a connection of its own each time; raises what either raises."""

    def acted(server: Server, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with connect(server) as connection:
            return act(connection, *args, **kwargs)

    return acted
