"""Where a restore drill of the command line restores to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from covetbackup.core.databases.sqlite.restore.staging import staging_directory
from covetbackup.core.errors import BadSetting


@contextmanager
def scratch_target(kind: str, given: str) -> Iterator[str]:
    """An address no database has: in a folder of its own for SQLite, on the server `given` for
    the others. The drill itself removes what it makes there."""
    if kind == "sqlite":
        with staging_directory(None, 0) as folder:  # known to a sweep, should this be killed
            yield f"sqlite:///{quote(str(folder / 'drill.sqlite'))}"
        return
    if not given:
        raise BadSetting(
            f"a restore drill of a {kind} backup needs a server",
            f"give one with --scratch, such as {kind}://user@host/",
        )
    address, _, query = given.partition("?")
    server = "/".join(address.split("/")[:3])
    yield f"{server}/covet_drill_{os.urandom(4).hex()}" + (f"?{query}" if query else "")
