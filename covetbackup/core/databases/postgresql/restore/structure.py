"""Creation of an archive's structure by pg_restore; what it fails at is tried again.

pg_restore works with an empty search path, as the dump was written for one. Some statements need
another all the same: a trigger whose WHEN compares values of an extension's type, a materialized
view over a function that reads tables by their plain names. They are run once more, each with the
search paths of the source. What fails still ends the restore, or is left out if that was selected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import psycopg

from covetbackup.core.databases.postgresql.archive.contents import Entry, TableOfContents
from covetbackup.core.databases.postgresql.archive.writer import head_of_archive
from covetbackup.core.databases.postgresql.restore.failures import after, failed_entries
from covetbackup.core.databases.postgresql.restore.loaders import PgRestore, memory_file
from covetbackup.core.databases.postgresql.restore.refused_statements import RefusedStatements
from covetbackup.core.databases.postgresql.server.background import in_background
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.errors import SinkFailed

_EXISTS = (
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateObject,
    psycopg.errors.DuplicateFunction,
    psycopg.errors.DuplicateSchema,
)


@dataclass(frozen=True, slots=True)
class _Failure:
    """The error of a run of pg_restore, and all that it printed."""

    error: SinkFailed
    messages: str


class StructureLoad:
    """Runs of pg_restore that create structure.

    `command` and `connect` reach the database that is filled; `refused` tries again, or leaves out,
    what pg_restore fails at.
    """

    def __init__(
        self,
        command: Callable[[], PgRestore],
        connect: Callable[[], Connection],
        refused: RefusedStatements,
    ) -> None:
        self._refused = refused
        self._command = command
        self._connect = connect

    def run(self, contents: TableOfContents, *, jobs: int = 1) -> None:
        """Create all of `contents`, which have no data. Raises `SinkFailed`."""
        while any(not entry.is_setting for entry in contents.entries):
            failure = self._run_once(contents, jobs)
            if failure is None:
                return
            failed = failed_entries(failure.messages, contents)
            if not failed:
                raise failure.error
            self._retry(contents, failed, failure.error)
            if jobs > 1 or self._command().continues_after_errors:
                return
            contents = after(contents, failed[-1])

    def _run_once(self, contents: TableOfContents, jobs: int) -> _Failure | None:
        # One job stops at the first entry that fails, several continue.
        options = ["--exit-on-error"] if jobs == 1 else [f"--jobs={jobs}"]
        with memory_file("contents", head_of_archive(contents, {})) as file:
            running = self._command().start_verbose(*options, file)
            try:
                running.commit()
            except SinkFailed as error:
                return _Failure(error, running.messages)
            finally:
                running.abort()
        return None

    def _retry(self, contents: TableOfContents, failed: Sequence[Entry], error: SinkFailed) -> None:
        with closing(self._connect()) as connection:
            for entry in failed:
                self._create(connection, contents, entry, error)

    def _create(
        self, connection: Connection, contents: TableOfContents, entry: Entry, failure: SinkFailed
    ) -> None:
        alone = contents.filter(lambda each: each is entry or each.is_setting)
        command = self._command()
        with memory_file("contents", head_of_archive(alone, {})) as file:
            script = command.script(file)

        def run(statements: bytes) -> None:
            running = in_background(connection, partial(_execute, connection, statements))
            try:
                running.result(on_wait=command.idle)
            except _EXISTS:
                raise failure from None  # it was created: what failed is what follows, its owner
            finally:
                running.stop()

        self._refused.retry(entry, script, run)


def _execute(connection: Connection, statements: bytes, stop: Callable[[], bool]) -> None:
    with connection.transaction():
        connection.execute(statements)
