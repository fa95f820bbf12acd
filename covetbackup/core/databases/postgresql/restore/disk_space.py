"""Checks of disk space: on the server as far as it can be seen, and for temporary files here."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from covetbackup.core.databases.checks import Check, Level
from covetbackup.core.databases.postgresql.backup.single_stream import METHOD
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.databases.restore import PlannedRestore
from covetbackup.core.text import size_text

_WITH_INDEXES = 1.3
"""Tables are what is known; less than this many times them is tight once indexes are built."""


def disk_space(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    """Yield a check for the server, and one for this machine if the restore spools the archive.

    A dump in parts is loaded by several jobs without a spool.
    """
    tables = int((planned.expected.settings or {}).get("table_bytes", "0"))
    yield _on_the_server(connection, tables or planned.plain_bytes or 0)
    if (planned.request.jobs or 1) > 1 and tables and planned.method == METHOD:
        yield _for_the_spool(tables)


def _on_the_server(connection: Connection, need: int) -> Check:
    wanted = f"about {size_text(need)} and indexes" if need else "an unknown size"
    directory = _data_directory(connection)
    if directory is None:
        detail = f"This server's disk cannot be seen from here; needed is {wanted}."
        return Check(Level.UNKNOWN, "Disk space", detail)
    free = shutil.disk_usage(directory).free
    detail = f"{size_text(free)} free on the server's disk; needed is {wanted}."
    fix = "Free space on the server, or restore to another one."
    if free < need / 2:  # its tables may have been half empty when they were backed up
        return Check(Level.FAIL, "Disk space", detail, fix)
    if free < need * _WITH_INDEXES:
        return Check(Level.WARNING, "Disk space", detail, fix)
    return Check(Level.PASS, "Disk space", detail)


def _data_directory(connection: Connection) -> Path | None:
    """Return the data directory if the server runs on this machine and it can be inspected."""
    try:
        row = connection.execute(
            "SELECT pg_backend_pid(), current_setting('data_directory')"
        ).fetchone()
        assert row is not None
        pid, directory = row
        # A tunnel may end at localhost: its server's process is not among ours.
        if not Path(f"/proc/{pid}/comm").read_text().startswith("postgres"):
            return None
        shutil.disk_usage(directory)
    except (psycopg.Error, OSError):
        return None
    return Path(directory)


def _for_the_spool(need: int) -> Check:
    directory = tempfile.gettempdir()
    free = shutil.disk_usage(directory).free
    detail = f"{size_text(free)} free in {directory}; parallel jobs spool about {size_text(need)}."
    if free < need:
        fix = "Restore with one job, or let TMPDIR name a larger place."
        return Check(Level.FAIL, "Temporary space", detail, fix)
    return Check(Level.PASS, "Temporary space", detail)
