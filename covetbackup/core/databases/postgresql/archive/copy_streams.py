"""COPY in both directions over a connection of this process, and the content of large objects.

Waiting is done here and not in libpq, which would hold up every other thread of the process (4
ticks of another thread in 2 s, against 98).
"""

from __future__ import annotations

import select
from collections.abc import Generator, Iterator, Sequence

import psycopg
from psycopg import pq

from covetbackup.core.databases.postgresql.server.connection import Connection

_PIECE_BYTES = 256 << 10
_TICK_SECONDS = 0.5
_OBJECT_PIECE = 256 << 10
_OBJECTS_AT_ONCE = 16


def read_rows(connection: Connection, statement: bytes) -> Iterator[bytes]:
    """Yield the rows that a COPY TO STDOUT sends, whole rows in each piece, b"" while it waits.

    Raises the driver's errors. A caller that stops before the end must close the connection.
    """
    pgconn = connection.pgconn
    pgconn.send_query(statement)
    yield from _flushed(pgconn)
    yield from _until_ready(pgconn)
    _expect(pgconn, pgconn.get_result(), pq.ExecStatus.COPY_OUT)
    rows: list[bytes | memoryview] = []
    size = 0
    while True:
        length, row = pgconn.get_copy_data(1)
        if length > 0:
            rows.append(row)
            size += length
            if size >= _PIECE_BYTES:
                yield b"".join(rows)
                rows, size = [], 0
        elif length == 0:
            yield from _await_input(pgconn)
        else:
            break
    yield b"".join(rows)
    yield from _finished(pgconn)


def large_objects(connection: Connection, oids: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Yield (oid, piece) for the content of each of `oids`, in order.

    There is one empty piece for an object that is empty.
    """
    for first in range(0, len(oids), _OBJECTS_AT_ONCE):
        batch = list(oids[first : first + _OBJECTS_AT_ONCE])
        rows = connection.execute(_BEGINNINGS, (_OBJECT_PIECE, batch), binary=True).fetchall()
        for oid, piece in rows:
            yield oid, piece
            yield from _remaining_pieces(connection, oid, len(piece))


# WITH ORDINALITY: the archive lists the objects in this order, and restores read it so.
_BEGINNINGS = """
SELECT oid::bigint, lo_get(oid::oid, 0, %s)
FROM unnest(%s::bigint[]) WITH ORDINALITY AS wanted(oid, place) ORDER BY place
"""


def _remaining_pieces(connection: Connection, oid: int, offset: int) -> Iterator[tuple[int, bytes]]:
    length = offset
    while length == _OBJECT_PIECE:
        row = connection.execute(
            "SELECT lo_get(%s::oid, %s, %s)", (oid, offset, _OBJECT_PIECE), binary=True
        ).fetchone()
        assert row is not None
        length = len(row[0])
        offset += length
        if length:
            yield oid, row[0]


class CopyIn:
    """A running COPY FROM STDIN; `rows` is how many it loaded, once it is finished.

    Its methods yield b"" while they wait, and raise the driver's errors.
    """

    def __init__(self, connection: Connection, statement: bytes) -> None:
        self.rows = 0
        self._connection = connection
        self._pgconn = connection.pgconn
        self._pgconn.send_query(statement)

    def begin(self) -> Iterator[bytes]:
        """Wait until the server is ready for rows."""
        yield from _flushed(self._pgconn)
        yield from _until_ready(self._pgconn)
        _expect(self._pgconn, self._pgconn.get_result(), pq.ExecStatus.COPY_IN)

    def write(self, rows: bytes | memoryview) -> Iterator[bytes]:
        """Send bytes of rows, cut anywhere."""
        while self._pgconn.put_copy_data(rows) == 0:
            yield from _flushed(self._pgconn)
        yield from _flushed(self._pgconn)

    def finish(self) -> Iterator[bytes]:
        """End the rows and wait until the server has taken all of them."""
        while self._pgconn.put_copy_end() == 0:
            yield from _flushed(self._pgconn)
        yield from _flushed(self._pgconn)
        self.rows = yield from _finished(self._pgconn)


def _flushed(pgconn: pq.abc.PGconn) -> Iterator[bytes]:
    """Wait until all is sent, and read what arrives meanwhile.

    A server whose messages are not read stops reading as well.
    """
    while pgconn.flush():
        found = _wait(pgconn, select.POLLIN | select.POLLOUT)
        if found & select.POLLIN:
            pgconn.consume_input()
        if not found:
            yield b""


def _until_ready(pgconn: pq.abc.PGconn) -> Generator[bytes, None, None]:
    while pgconn.is_busy():
        yield from _await_input(pgconn)


def _await_input(pgconn: pq.abc.PGconn) -> Iterator[bytes]:
    while not _wait(pgconn, select.POLLIN):
        yield b""
    pgconn.consume_input()


def _wait(pgconn: pq.abc.PGconn, events: int) -> int:
    poll = select.poll()
    poll.register(pgconn.socket, events)
    found = poll.poll(_TICK_SECONDS * 1000)
    return found[0][1] if found else 0


def _finished(pgconn: pq.abc.PGconn) -> Generator[bytes, None, int]:
    """Wait for the end of a COPY and return its number of rows."""
    error: psycopg.Error | None = None
    rows = 0
    while True:
        yield from _until_ready(pgconn)
        result = pgconn.get_result()
        if result is None:
            break
        rows += result.command_tuples or 0
        if result.status != pq.ExecStatus.COMMAND_OK and error is None:
            error = psycopg.errors.error_from_result(result)
    if error is not None:
        raise error
    return rows


def _expect(pgconn: pq.abc.PGconn, result: pq.abc.PGresult | None, status: pq.ExecStatus) -> None:
    if result is not None and result.status == status:
        return
    if result is None:
        raise psycopg.OperationalError("the server did not answer")
    for _ in _finished(pgconn):
        pass
    raise psycopg.errors.error_from_result(result)
