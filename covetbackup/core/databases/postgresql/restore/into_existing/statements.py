"""Creation of structure in the restore's own transaction: all at once, else entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

import psycopg

from covetbackup.core.databases.postgresql.archive.contents import TableOfContents
from covetbackup.core.databases.postgresql.archive.stages import restrict_to
from covetbackup.core.databases.postgresql.restore.failures import in_order
from covetbackup.core.databases.postgresql.restore.into_existing import create_tables
from covetbackup.core.databases.postgresql.restore.into_existing.transaction import RunInterruptible
from covetbackup.core.databases.postgresql.restore.refused_statements import RefusedStatements
from covetbackup.core.databases.postgresql.server.connection import Connection, is_connection_loss

_NOT_REFUSED = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)


class Statements:
    """Runs of the statements that a pg_restore writes for entries without data.

    `pg_restore` returns its command line, `dump_encoding` gives the connection the encoding of the
    dump, and `refused` tries again, or leaves out, what fails.
    """

    def __init__(
        self,
        connection: Connection,
        pg_restore: Callable[[], Sequence[str]],
        *,
        dump_encoding: Callable[[], AbstractContextManager[None]],
        refused: RefusedStatements,
        run: RunInterruptible,
        idle: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._pg_restore = pg_restore
        self._dump_encoding = dump_encoding
        self._refused = refused
        self._run_interruptible = run
        self._idle = idle

    def run(self, contents: TableOfContents, text: Callable[[bytes], bytes]) -> None:
        """Create all of `contents`, which have no data, by statements that `text` rewrites."""
        if all(entry.is_setting for entry in contents.entries):
            return
        try:
            self._execute(text(self._script(contents)))
        except psycopg.Error as error:
            if is_connection_loss(error) or isinstance(error, _NOT_REFUSED):
                raise
            for entry in in_order(contents):
                script = text(self._script(restrict_to(contents, {entry.dump_id})))
                self._refused.retry(entry, script, self._execute)

    def _script(self, contents: TableOfContents) -> bytes:
        return create_tables.render_sql(self._pg_restore(), contents, idle=self._idle)

    def _execute(self, statements: bytes) -> None:
        with self._connection.transaction(), self._dump_encoding():
            self._run_interruptible(partial(self._connection.execute, statements))
