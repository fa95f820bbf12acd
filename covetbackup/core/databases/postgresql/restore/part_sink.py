"""The sink of one part: its blocks are decoded, and each is loaded by a COPY."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from threading import Lock

import psycopg

from covetbackup.core.databases.postgresql.archive.block_codec import (
    OBJECTS,
    TABLE,
    BlockData,
    BlockDecoder,
    BlockEnded,
    BlockStarted,
    Event,
    ObjectStarted,
)
from covetbackup.core.databases.postgresql.archive.contents import BLOBS, Entry
from covetbackup.core.databases.postgresql.archive.copy_streams import CopyIn
from covetbackup.core.databases.postgresql.archive.offsets import PartBoundary
from covetbackup.core.databases.postgresql.server.connection import (
    Connection,
    connection_lost,
    is_connection_loss,
    line_of,
)
from covetbackup.core.databases.postgresql.server.liveness import (
    disable_send_timeout,
    enable_send_timeout,
)
from covetbackup.core.errors import Incomplete, SinkFailed
from covetbackup.core.progress import Progress


class CopyTarget:
    """A connection into which one part after the other is loaded, each in a savepoint.

    After the commit of a part `on_rows` gets the label of each table with its number of rows.
    `dump_encoding` gives the connection the encoding of the dump while rows are read.
    """

    def __init__(
        self,
        connection: Connection,
        on_rows: Callable[[str, int], None],
        *,
        dump_encoding: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.connection = connection
        self._add_rows = on_rows
        self._counted: list[tuple[str, int]] = []
        self._dump_encoding = dump_encoding
        self._rows = ExitStack()

    def begin(self) -> None:
        """Begin a part: all of it is loaded by `commit`, or nothing."""
        self.connection.execute("SAVEPOINT loading")

    def count(self, label: str, rows: int) -> None:
        """Record that `rows` went to the table of this label."""
        self._counted.append((label, rows))

    def commit(self) -> None:
        """End the part, and report its numbers of rows."""
        self._end()
        for label, rows in self._counted:
            self._add_rows(label, rows)

    def begin_copy(self) -> None:
        """Prepare the connection for a COPY of rows as they were written."""
        self._rows.enter_context(self._dump_encoding())
        disable_send_timeout(self.connection)

    def end_copy(self) -> None:
        """Undo `begin_copy`."""
        enable_send_timeout(self.connection)
        self._rows.close()

    def roll_back(self) -> None:
        """Undo the part and the settings for its rows, after a refusal of the server."""
        self.connection.execute("ROLLBACK TO SAVEPOINT loading")
        enable_send_timeout(self.connection)

    def abort(self) -> None:
        """Close the connection, which undoes everything: a COPY that has not ended is discarded."""
        self.connection.close()

    def _end(self) -> None:
        self.connection.execute("RELEASE SAVEPOINT loading")


class PooledCopyTarget(CopyTarget):
    """A pooled connection that loads one part in a transaction of its own.

    After the commit the connection is returned to `release_to`.
    """

    def __init__(
        self,
        connection: Connection,
        release_to: Callable[[Connection], None],
        on_rows: Callable[[str, int], None],
    ) -> None:
        super().__init__(connection, on_rows)
        self._release = release_to

    def begin(self) -> None:
        self.connection.execute("BEGIN")

    def roll_back(self) -> None:
        self.abort()

    def commit(self) -> None:
        super().commit()
        self._release(self.connection)

    def _end(self) -> None:
        self.connection.execute("COMMIT")


class ConnectionPool:
    """A pool of connections that `connect` opens as they are needed, each for one part at a time.

    A backup has hundreds of parts, and connecting to a distant server takes time. `rows` is how
    many were loaded into each table, by its label.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self.rows: dict[str, int] = {}
        self._connect = connect
        self._lock = Lock()
        self._idle: list[Connection] = []

    def acquire(self) -> PooledCopyTarget:
        """Return a connection for one part, which is returned with its commit."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        return PooledCopyTarget(connection or self._connect(), self._release, self._add_rows)

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _release(self, connection: Connection) -> None:
        with self._lock:
            self._idle.append(connection)

    def _add_rows(self, label: str, rows: int) -> None:
        with self._lock:
            self.rows[label] = self.rows.get(label, 0) + rows


class PartSink:
    """A sink that loads the part `name` through `loader`, with `progress` while it waits.

    `boundary` tells whether blocks are cut at either end. Data that belongs to none of `entries`
    is an error, or is ignored if it `skips_others`.
    """

    def __init__(
        self,
        name: str,
        boundary: PartBoundary,
        entries: Mapping[int, Entry],
        loader: CopyTarget,
        progress: Progress,
        *,
        skips_others: bool = False,
    ) -> None:
        self._progress = progress
        self._skips_others = skips_others
        self._name = name
        self._boundary = boundary
        self._entries = entries
        continues = boundary.continues
        self._entry = entries.get(continues.dump_id, continues) if continues else None
        self._blocks = BlockDecoder(_kind(boundary.continues))
        self._copy: CopyIn | None = None
        self._object = (0, 0)
        self._loader = loader
        self._connection = loader.connection
        try:
            with self._reported():
                loader.begin()
        except BaseException:
            loader.abort()  # no caller has this sink yet
            raise

    @property
    def entry(self) -> Entry | None:
        """The entry of the last rows, None between two."""
        return self._entry

    def write(self, chunk: bytes) -> None:
        with self._reported():
            for event in self._blocks.feed(chunk):
                self._handle(event)

    def commit(self) -> None:
        is_continued = bool(self._blocks.block)
        if not self._blocks.is_between() or is_continued != self._boundary.is_continued:
            raise Incomplete(f"{self._name} ends in the midst of its data")
        with self._reported():
            self._end_copy()
            self._loader.commit()

    def roll_back(self) -> None:
        """Undo the part after a refusal; the loader may be used again."""
        self._loader.roll_back()

    def abort(self) -> None:
        self._loader.abort()

    def _handle(self, event: Event) -> None:
        match event:
            case BlockStarted(dump_id):
                if dump_id not in self._entries and not self._skips_others:
                    raise Incomplete(f"{self._name} holds data that the contents do not list")
                self._entry = self._entries.get(dump_id)
            case BlockData() | ObjectStarted() if self._entry is None:
                pass
            case BlockData(content) if self._blocks.block == TABLE:
                self._copy_rows(content)
            case BlockData(content):
                self._write_object(content)
            case ObjectStarted(oid):
                self._object = (oid, 0)
            case BlockEnded():
                self._end_copy()
                self._entry = None

    def _copy_rows(self, rows: memoryview) -> None:
        assert self._entry is not None
        if self._copy is None:
            self._loader.begin_copy()
            self._copy = CopyIn(self._connection, self._entry.copy_statement)
            self._wait(self._copy.begin())
        self._wait(self._copy.write(rows))

    def _end_copy(self) -> None:
        if self._copy is not None and self._entry is not None:
            self._wait(self._copy.finish())
            self._loader.end_copy()
            self._loader.count(self._entry.name, self._copy.rows)
            self._copy = None

    def _write_object(self, content: memoryview) -> None:
        oid, offset = self._object
        self._connection.execute(
            "SELECT lo_put(%b::bigint::oid, %b, %b)", (oid, offset, bytes(content))
        )
        self._object = (oid, offset + len(content))

    def _wait(self, steps: Iterator[bytes]) -> None:
        for _ in steps:
            self._progress.advance(0)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            where = self._entry.name if self._entry else self._name
            what = f"loading {where} failed"
            if is_connection_loss(error):
                raise connection_lost(what, error) from error
            # Only tables that were there before the rows have keys while these are loaded.
            is_twice = isinstance(error, psycopg.errors.UniqueViolation)
            hint = "are rows of the backup there already? nothing was changed" if is_twice else ""
            raise SinkFailed(f"{what}: {line_of(error)}", hint) from error


def _kind(entry: Entry | None) -> bytes:
    if entry is None:
        return b""
    return OBJECTS if entry.kind == BLOBS else TABLE
