"""Runs an archive's structure in a transaction of ours: all at once, else entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import psycopg

from covetbackup.core.databases.postgresql.archive.contents import TableOfContents
from covetbackup.core.databases.postgresql.archive.stages import restrict_to
from covetbackup.core.databases.postgresql.restore.failures import in_order
from covetbackup.core.databases.postgresql.restore.into_existing import create_tables
from covetbackup.core.databases.postgresql.restore.into_existing.encoding import DumpEncoding
from covetbackup.core.databases.postgresql.restore.into_existing.interruptible import Wait
from covetbackup.core.databases.postgresql.restore.refused_statements import Refused
from covetbackup.core.databases.postgresql.server.connection import Connection, is_silence

_NOT_REFUSED = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)


class Statements:
    """`pg_restore` writes them, `as_written` says in which encoding, and `refused` tries again, or
    leaves out, what fails."""

    def __init__(
        self,
        connection: Connection,
        pg_restore: Callable[[], Sequence[str]],
        *,
        as_written: DumpEncoding,
        refused: Refused,
        wait: Wait,
        idle: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._pg_restore = pg_restore
        self._as_written = as_written
        self._refused = refused
        self._wait = wait
        self._idle = idle

    def run(self, contents: TableOfContents, text: Callable[[bytes], bytes]) -> None:
        """Create all of `contents`, which have no data, by statements that `text` has changed."""
        if all(entry.is_setting for entry in contents.entries):
            return
        try:
            self._execute(text(self._script(contents)))
        except psycopg.Error as error:
            if is_silence(error) or isinstance(error, _NOT_REFUSED):
                raise
            for entry in in_order(contents):
                script = text(self._script(restrict_to(contents, {entry.dump_id})))
                self._refused.retry(entry, script, self._execute)

    def _script(self, contents: TableOfContents) -> bytes:
        return create_tables.script(self._pg_restore(), contents, idle=self._idle)

    def _execute(self, statements: bytes) -> None:
        with self._connection.transaction(), self._as_written:
            self._wait(partial(self._connection.execute, statements))
