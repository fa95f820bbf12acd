"""The transaction of an in-place restore: its statements can be interrupted, its end asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from covetbackup.core.databases.postgresql.server.connection import Connection

T = TypeVar("T")
_STATES = {"committed": True, "aborted": False}


class RunInterruptible(Protocol):
    """A way to run statements that may take hours, while progress is reported."""

    def __call__(self, act: Callable[[], T]) -> T:
        """Return what `act` returns. Raises what it raises, and `Cancelled`."""


def current_xid(connection: Connection) -> str:
    """Return the id by which the server knows the transaction that is open now."""
    row = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
    assert row is not None
    return str(row[0])


def xid_committed(connection: Connection, xid: str) -> bool | None:
    """Return whether the transaction `xid` was committed, asked in any database of its server.

    None if it is still open, or the server does not remember it.
    """
    row = connection.execute("SELECT pg_xact_status(%s::text::xid8)", (xid,)).fetchone()
    return _STATES.get(row[0]) if row is not None else None
