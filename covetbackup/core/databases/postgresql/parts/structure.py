"""Creates the structure of an archive: pg_restore does, and what it fails at is tried again.

pg_restore works with an empty search path, as the dump was written for one. Some statements need
another all the same: a trigger whose WHEN compares values of an extension's type, a materialized
view over a function that reads tables by their plain names. They are run once more, each with the
search paths of the source. What fails still ends the restore, or is left out if that was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import psycopg
from psycopg import sql

from covetbackup.core.databases.postgresql.background import in_background
from covetbackup.core.databases.postgresql.connection import Connection, is_silence, line_of, lost
from covetbackup.core.databases.postgresql.load import PgRestore, memory_file
from covetbackup.core.databases.postgresql.parts.failures import after, failed_entries
from covetbackup.core.databases.postgresql.toc.omitted import can_be_left_out, described
from covetbackup.core.databases.postgresql.toc.values import Contents, Entry
from covetbackup.core.databases.postgresql.toc.writing import head_of_archive
from covetbackup.core.errors import SinkFailed

WAY_OUT = "restore with --skip-failing (on the pages a choice) to leave it out"
_EMPTY_PATH = b"SELECT pg_catalog.set_config('search_path', '', false);"


_THERE = (
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateObject,
    psycopg.errors.DuplicateFunction,
    psycopg.errors.DuplicateSchema,
)


@dataclass(frozen=True, slots=True)
class _Failure:
    """How pg_restore ended, and all that it said."""

    error: SinkFailed
    messages: str


class StructureLoad:
    """`command` and `connect` reach the database that is filled; `paths` are the search paths of
    the source. `left_out` are the entries that failed, if that is what `skips_failing` asks for,
    and `notes` say why each was left out."""

    def __init__(
        self,
        command: Callable[[], PgRestore],
        connect: Callable[[], Connection],
        *,
        paths: Sequence[str],
        skips_failing: bool,
    ) -> None:
        self.left_out: list[Entry] = []
        self.notes: list[str] = []
        self._command = command
        self._connect = connect
        self._paths = paths
        self._skips_failing = skips_failing

    def run(self, contents: Contents, *, jobs: int = 1) -> None:
        """Create all of `contents`, which have no data. Raises `SinkFailed`."""
        while any(not entry.is_setting for entry in contents.entries):
            failure = self._run_once(contents, jobs)
            if failure is None:
                return
            failed = failed_entries(failure.messages, contents)
            if not failed:
                raise failure.error
            self._again(contents, failed, failure.error)
            if jobs > 1 or self._command().goes_on:
                return
            contents = after(contents, failed[-1])

    def _run_once(self, contents: Contents, jobs: int) -> _Failure | None:
        """One job stops at the first entry that fails, several go on."""
        options = ["--exit-on-error"] if jobs == 1 else [f"--jobs={jobs}"]
        with memory_file("contents", head_of_archive(contents, {})) as file:
            running = self._command().start_talking(*options, file)
            try:
                running.commit()
            except SinkFailed as error:
                return _Failure(error, running.messages)
            finally:
                running.abort()
        return None

    def _again(self, contents: Contents, failed: Sequence[Entry], error: SinkFailed) -> None:
        connection = self._connect()
        try:
            for entry in failed:
                self._make(connection, contents, entry, error)
        finally:
            connection.close()

    def _make(
        self, connection: Connection, contents: Contents, entry: Entry, failure: SinkFailed
    ) -> None:
        alone = contents.kept(lambda each: each is entry or each.is_setting)
        command = self._command()
        with memory_file("contents", head_of_archive(alone, {})) as file:
            script = command.script(file)
        errors = []
        # With the empty one first: jobs may have been in each other's way.
        for path in ("", *self._paths):
            statements = with_path(script, path, entry.codec)
            running = in_background(connection, partial(_execute, connection, statements))
            try:
                running.result(waiting=command.idle)
                return
            except _THERE:
                raise failure from None  # it was created: what failed is what follows, its owner
            except psycopg.Error as error:
                if is_silence(error):
                    raise lost(f"creating {described(entry)} failed", error) from error
                errors.append(error)
            finally:
                running.stop()
        self._leave_out(entry, errors[0])

    def _leave_out(self, entry: Entry, error: psycopg.Error) -> None:
        can_be = can_be_left_out(entry)
        if not (can_be and self._skips_failing):
            hint = WAY_OUT if can_be else ""
            message = f"creating {described(entry)} failed: {line_of(error)}"
            raise SinkFailed(message, hint) from error
        self.left_out.append(entry)
        self.notes.append(
            f"left out, as the server refused it: {described(entry)}: {line_of(error)}"
        )


def with_path(script: bytes, path: str, codec: str) -> bytes:
    """Return `script` of pg_restore, in the encoding `codec`, with another search path than the
    empty one."""
    value = sql.Literal(path).as_string(None)
    setting = f"SELECT pg_catalog.set_config('search_path', {value}, false);"
    return script.replace(_EMPTY_PATH, setting.encode(codec, errors="replace"), 1)


def _execute(connection: Connection, statements: bytes, stop: Callable[[], bool]) -> None:
    with connection.transaction():
        connection.execute(statements)
