"""Checks of a MySQL or MariaDB server that are the same for new databases and for rows."""

from __future__ import annotations

from collections.abc import Callable

from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.mysql.server.connection import Connection
from covetbackup.core.databases.restore import PlannedRestore
from covetbackup.core.errors import CovetError
from covetbackup.core.text import size_text


def answer(connection: Connection) -> Check:
    """Return the check of the server that answered: it passed."""
    return Check(Level.PASS, "Target server", f"{connection.version} answers.")


def tried(title: str, good: str, act: Callable[[], str | None]) -> Check:
    """Return a passed check with what `act` returns, else `good`; failed if it raises."""
    try:
        return Check(Level.PASS, title, act() or good)
    except CovetError as error:
        return failed(title, error)


def taken_from(planned: PlannedRestore) -> str:
    """Return a sentence that names the version of the backup's server."""
    version = (planned.expected.settings or {}).get("server_version", "an unknown version")
    return f"The backup is of {version}."


def difference(text: str) -> Check:
    """Return the warning for a difference that `text` describes."""
    return Check(Level.WARNING, "Differences", f"{text[:1].upper()}{text[1:]}.")


def disk_space(plain_bytes: int | None) -> Check:
    """Return the check of disk space, which no such server tells.

    `plain_bytes` is the size of the dump, None if it is unknown.
    """
    need = f"about {size_text(plain_bytes)} and indexes" if plain_bytes else "an unknown size"
    detail = f"A server does not tell how much is free; needed is {need}."
    return Check(Level.UNKNOWN, "Disk space", detail)
