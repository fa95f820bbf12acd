"""The target of a restore test: a database that does not exist yet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from covetbackup.core.databases.sqlite.restore.staging import staging_directory
from covetbackup.core.errors import BadSetting


@contextmanager
def scratch_target(kind: str, server: str) -> Iterator[str]:
    """Provide the address of a database that does not exist: in a new folder for SQLite, for the
    other kinds on the server with the address `server`. The restore test removes its database.
    Raises `BadSetting` without a server."""
    if kind == "sqlite":
        with staging_directory(None, 0) as folder:  # known to a sweep, should this be killed
            yield f"sqlite:///{quote(str(folder / 'drill.sqlite'))}"
        return
    if not server:
        raise BadSetting(
            f"a restore test of a {kind} backup needs a server",
            f"give one with --scratch, such as {kind}://user@host/",
        )
    address, _, query = server.partition("?")
    root = "/".join(address.split("/")[:3])
    yield f"{root}/covet_drill_{os.urandom(4).hex()}" + (f"?{query}" if query else "")
