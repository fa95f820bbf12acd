"""Statements that the server refuses: tried with other search paths, then left out or an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from covetbackup.core.databases.postgresql.archive.contents import Entry
from covetbackup.core.databases.postgresql.archive.omitted import describe, is_omissible
from covetbackup.core.databases.postgresql.server.connection import (
    connection_lost,
    is_connection_loss,
    line_of,
)
from covetbackup.core.errors import SinkFailed

WAY_OUT = "restore with --skip-failing (on the pages a choice) to leave it out"
_EMPTY_PATH = b"SELECT pg_catalog.set_config('search_path', '', false);"
_NOT_REFUSED = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)


class RefusedStatements:
    """Retries of statements with the search `paths` of the source.

    `left_out` are the entries that failed with all of them, if `skips_failing` asks for that, and
    `notes` say why each was left out.
    """

    def __init__(self, paths: Sequence[str], *, skips_failing: bool) -> None:
        self.left_out: list[Entry] = []
        self.notes: list[str] = []
        self._paths = ("", *paths)
        self.skips_failing = skips_failing

    def retry(self, entry: Entry, script: bytes, run: Callable[[bytes], None]) -> None:
        """Have `run` execute `script` with each search path until one succeeds, or leave it out.

        `script` is pg_restore's for `entry` alone. Raises `SinkFailed`, and errors that are no
        refusal of the statement.
        """
        errors = []
        # With the empty one first: jobs may have blocked each other.
        for path in self._paths:
            try:
                run(with_path(script, path, entry.codec))
                return
            except psycopg.Error as error:
                if is_connection_loss(error):
                    raise connection_lost(f"creating {describe(entry)} failed", error) from error
                if isinstance(error, _NOT_REFUSED):
                    raise
                errors.append(error)
        self._leave_out(entry, errors[0])

    def _leave_out(self, entry: Entry, error: psycopg.Error) -> None:
        can_be = is_omissible(entry)
        if not (can_be and self.skips_failing):
            hint = WAY_OUT if can_be else ""
            message = f"creating {describe(entry)} failed: {line_of(error)}"
            raise SinkFailed(message, hint) from error
        self.left_out.append(entry)
        self.notes.append(
            f"left out, as the server refused it: {describe(entry)}: {line_of(error)}"
        )


def with_path(script: bytes, path: str, codec: str) -> bytes:
    """Return a `script` of pg_restore, in the encoding `codec`, with this search path."""
    value = sql.Literal(path).as_string(None)
    setting = f"SELECT pg_catalog.set_config('search_path', {value}, false);"
    return script.replace(_EMPTY_PATH, setting.encode(codec, errors="replace"), 1)
