"""The state of a WAL database that a read transaction sees, read from the `-shm` file.

Layout: https://sqlite.org/walformat.html section 2. Nothing is ever written to the file.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import sys

from covetbackup.core.databases.sqlite.backup.wal import WalState, checksum
from covetbackup.core.errors import ServerBusy

# Two copies of the header, then nBackfill. Native byte order: the file never leaves its host.
_HEADER = struct.Struct("=12xI2I2I8s2I")
_HEADER_BYTES = 48
_BACKFILL = struct.Struct("=I")
# A try takes 53 µs and fails only if a commit falls into it: one in twenty at 1 000 commits a
# second. A run of a thousand failures means that something else is wrong.
_TRIES = 1000


def begin_read(connection: sqlite3.Connection, shm: int) -> WalState:
    """Begin a read transaction on `connection` and return exactly the state that it sees.

    SQLite takes a private copy of the shared header when the transaction starts and says nothing
    about it. If the header was the same before and after, that copy is it: headers never repeat
    (a change counter within a generation, new salts with each).

    Guarantees until the transaction ends:
    - not `complete`: the transaction holds a read mark >= 1 at or below `frames` (mark 0 is only
      taken when everything is back-filled, and back-fill never decreases within a generation). So
      the WAL is not restarted, these frames stay where they are, and no checkpoint copies a frame
      beyond them into the database file.
    - `complete`: the database file alone is the state and does not change. Either mark 0 is
      held, which a checkpoint needs exclusively before it writes anything; or a mark at or below
      `frames` is, all of which is copied, so nothing is left that a checkpoint may copy. The WAL
      may be restarted under mark 0, which is why it must not be read then.
    Raises `ServerBusy` if the header changes at every attempt.
    """
    for _ in range(_TRIES):
        before = os.pread(shm, _HEADER_BYTES, 0)
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
        block = os.pread(shm, 2 * _HEADER_BYTES + _BACKFILL.size, 0)
        # A restart changes the header first and clears nBackfill second: a header unchanged
        # after nBackfill was read proves that nBackfill belongs to it.
        after = os.pread(shm, 2 * _HEADER_BYTES, 0)
        if after == block[: 2 * _HEADER_BYTES] == before + before and _valid(before):
            return _state(before, _BACKFILL.unpack_from(block, 2 * _HEADER_BYTES)[0])
        connection.execute("ROLLBACK")
    raise ServerBusy(
        "the WAL index changed at every attempt", "is the writer overloaded? try again"
    )


def log_state(shm: int) -> WalState:
    """Return the newest committed state.

    The caller holds the write lock, so that it does not change.
    """
    block = os.pread(shm, 2 * _HEADER_BYTES + _BACKFILL.size, 0)
    header = block[:_HEADER_BYTES]
    if not _valid(header):
        raise ServerBusy("the WAL index is being rebuilt", "try again")
    return _state(header, _BACKFILL.unpack_from(block, 2 * _HEADER_BYTES)[0])


def _valid(header: bytes) -> bool:
    *_, first, second = _HEADER.unpack(header)
    initialised = header[12] == 1
    native = sys.byteorder == "big"
    return initialised and checksum(header[:40], (0, 0), big_endian=native) == (first, second)


def _state(header: bytes, backfilled: int) -> WalState:
    _, frames, pages, sum1, sum2, salts, _, _ = _HEADER.unpack(header)
    return WalState(
        frames=frames,
        pages=pages,
        salts=salts,
        checksums=(sum1, sum2),
        complete=backfilled == frames,
    )
