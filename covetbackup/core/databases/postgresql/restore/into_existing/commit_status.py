"""Whether a transaction was committed, asked when whoever made it is gone."""

from __future__ import annotations

from covetbackup.core.databases.postgresql.server.connection import Connection

_STATES = {"committed": True, "aborted": False}


def current_xid(connection: Connection) -> str:
    """By what the server knows the transaction that is open now."""
    row = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
    assert row is not None
    return str(row[0])


def was_committed(connection: Connection, trace: str) -> bool | None:
    """None if it goes on, or the server does not remember. Any database of the server can tell."""
    row = connection.execute("SELECT pg_xact_status(%s::text::xid8)", (trace,)).fetchone()
    return _STATES.get(row[0]) if row is not None else None
