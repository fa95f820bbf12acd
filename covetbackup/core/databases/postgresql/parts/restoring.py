"""Loads an archive from its parts: structure, data over several connections, then the rest.

Structure, and what can only be made when the rows are there, is pg_restore's work. It needs no more
than the table of contents for that, so the data is never staged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from covetbackup.core.databases.base import Piece
from covetbackup.core.databases.postgresql.connection import Connection
from covetbackup.core.databases.postgresql.load import PgRestore, ScriptSink, memory_file
from covetbackup.core.databases.postgresql.parts.loading import PartSink
from covetbackup.core.databases.postgresql.parts.names import HEAD
from covetbackup.core.databases.postgresql.parts.places import Places
from covetbackup.core.databases.postgresql.toc.reading import (
    NeedsMore,
    Unsupported,
    read_contents,
)
from covetbackup.core.databases.postgresql.toc.values import Contents, Entry
from covetbackup.core.databases.postgresql.toc.writing import head_of_archive
from covetbackup.core.errors import BadSetting, Incomplete, SinkFailed
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Sink

_HEAD_BYTES = 1 << 30
_SETTINGS = (b"ENCODING", b"STDSTRINGS", b"SEARCHPATH")
_FAILED = re.compile(r"from TOC entry (\d+);")
_IGNORED = re.compile(r"errors ignored on restore: (\d+)")


class PartedLoad:
    """`connect` opens a connection to the database that is filled."""

    def __init__(
        self,
        command: PgRestore,
        connect: Callable[[], Connection],
        *,
        jobs: int,
        progress: Progress,
    ) -> None:
        self._command = command
        self._connect = connect
        self._jobs = jobs
        self._progress = progress
        self._contents: Contents | None = None
        self._places: Places | None = None
        self._entries: dict[int, Entry] = {}

    def groups(self, sizes: Mapping[str, int]) -> Iterator[Sequence[Piece]]:
        yield (Piece(HEAD),)
        contents = self._read_contents()
        self._places = Places(contents, sizes)
        self._entries = {entry.dump_id: entry for entry in contents.data_entries}
        structure = contents.kept(lambda entry: not entry.has_data)
        self._progress.phase("making tables")
        # Of the data section only values of sequences are left, and (since archives of
        # PostgreSQL 17) the large objects, which have to be there before their content.
        self._run(structure, "--section=pre-data", "--section=data", "--exit-on-error")
        pieces = self._places.data_pieces()
        if pieces:
            yield pieces
        self._progress.phase("making indexes and keys")
        self._run_post_data(structure)

    def sink(self, piece: Piece) -> Sink:
        if piece.member == HEAD:
            return ScriptSink(self._take_head, _HEAD_BYTES)
        if self._places is None:
            raise BadSetting(f"{piece.member} came before {HEAD}")
        place = self._places.of(piece)
        return PartSink(piece.member, place, self._entries, self._opened)

    def _take_head(self, head: bytes) -> None:
        try:
            self._contents = read_contents(head)
        except (NeedsMore, Unsupported) as error:
            raise Incomplete(f"the contents of the dump cannot be read: {error}") from error

    def _read_contents(self) -> Contents:
        if self._contents is None:
            raise Incomplete(f"{HEAD} was not read")
        return self._contents

    def _opened(self) -> Connection:
        connection = self._connect()
        try:
            for entry in self._read_contents().entries:
                if entry.kind in _SETTINGS:
                    connection.execute(entry.definition)
            for statement in _SESSION:
                connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        return connection

    def _run(self, contents: Contents, *arguments: str) -> None:
        with memory_file("contents", head_of_archive(contents, {})) as file:
            running = self._command.start(*arguments, file)
            try:
                running.commit()
            finally:
                running.abort()

    def _run_post_data(self, contents: Contents) -> None:
        if self._jobs == 1:
            self._run(contents, "--section=post-data", "--exit-on-error")
            return
        with memory_file("contents", head_of_archive(contents, {})) as file:
            running = self._command.start("--section=post-data", f"--jobs={self._jobs}", file)
            try:
                running.commit()
            except SinkFailed as error:
                failed = failed_entries(running.messages)
                if not failed:
                    raise
                self._progress.note(f"trying {len(failed)} objects again: {error.message}")
            else:
                return
            finally:
                running.abort()
        # Two jobs of pg_restore can deadlock over the indexes of one partitioned table. What has
        # failed was rolled back; what fails by itself as well is a failure.
        again = contents.kept(lambda entry: entry.kind in _SETTINGS or entry.dump_id in failed)
        self._run(again, "--section=post-data", "--exit-on-error")


# A server's own settings must change no value. The commit that matters is the last one, the
# renaming: it waits for the disk, and for everything before it.
_SESSION = (
    "SET DateStyle = ISO",
    "SET IntervalStyle = postgres",
    "SET xmloption = content",
    "SET row_security = off",
    "SET synchronous_commit = off",
)


def failed_entries(messages: str) -> frozenset[int]:
    """Dump ids of what pg_restore could not make but went on without; none if it does not tell
    of all of them, or stopped for another reason."""
    counted = _IGNORED.search(messages)
    failed = _FAILED.findall(messages)
    if counted is None or int(counted[1]) != len(failed):
        return frozenset()
    return frozenset(map(int, failed))
