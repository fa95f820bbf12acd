"""Checks that a finished database file, read from a backup or restored, is whole."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from covetbackup.core.databases.sqlite.backup.pages import (
    HEADER_BYTES,
    MAGIC,
    header_page_count,
    header_page_size,
)
from covetbackup.core.databases.sqlite.restore.staging import staging_directory
from covetbackup.core.databases.sqlite.server.connection import private_connection
from covetbackup.core.errors import Incomplete, SinkFailed, StorageFull

_MOST_ERRORS = 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MISSING_COLLATION = re.compile(r"no such collation sequence: (.+)")
_MISSING_FUNCTION = re.compile(r"(?:unknown function|no such function): (.+?)(?:\(\))?$")


def check_stream(chunks: Iterator[bytes], staging: Path | None) -> Iterator[bytes]:
    """Pass a database file through; at its end raise `Incomplete` unless it is whole.

    SQLite can only check a file, so the stream is spooled to a temporary one (0600, removed also
    when the stream is left early): disk as large as the stream, memory flat. An empty stream is
    an empty database. Raises `StorageFull` when the staging directory has no room.
    """
    with staging_directory(staging, 0) as directory:
        path = directory / "checked.sqlite"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            for chunk in chunks:
                write_all(descriptor, chunk, path)
                yield chunk
        finally:
            os.close(descriptor)
        prove_length(path)
        with private_connection(path) as connection:
            path.unlink()
            prove_integrity(connection)


def write_all(descriptor: int, chunk: bytes, path: Path) -> None:
    """Append `chunk` to the file `path`, open at `descriptor`.

    Raises `StorageFull`, and `SinkFailed` for what else keeps it from being written.
    """
    view = memoryview(chunk)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        reason = f"{path} cannot be written: {(error.strerror or str(error)).lower()}"
        if error.errno in _NO_ROOM:
            raise StorageFull(reason, "free some space") from error
        raise SinkFailed(reason, "is the disk sound?") from error


def prove_length(path: Path) -> None:
    """Raise `Incomplete` if the file's length is not what its own header says.

    SQLite itself reads a file with lost tail pages without an error until a query meets one.
    """
    size = path.stat().st_size
    if not size:
        return
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        raise Incomplete("main.sqlite does not begin like a SQLite database")
    page_size, pages = header_page_size(header), header_page_count(header)
    whole = size % page_size == 0 if pages is None else size == pages * page_size
    if not whole:
        raise Incomplete(f"main.sqlite has {size} bytes, its header says {pages} x {page_size}")


def prove_integrity(connection: sqlite3.Connection) -> None:
    """Run `PRAGMA integrity_check` and raise `Incomplete` with its findings.

    Where the database uses collations or functions of its application, stand-ins are registered
    and `quick_check` runs: the order inside such an index is not verified.
    """
    problems = _problems(connection)
    if problems:
        raise Incomplete(
            f"main.sqlite is damaged: {'; '.join(problems)}",
            "was the source damaged already? run PRAGMA integrity_check on it",
        )


def _problems(connection: sqlite3.Connection) -> list[str]:
    check = "integrity_check"
    stand_ins: set[str] = set()
    while True:
        try:
            rows = connection.execute(f"PRAGMA {check}({_MOST_ERRORS})").fetchall()
        except sqlite3.OperationalError as error:
            _stand_in(connection, error, stand_ins)
            check = "quick_check"
            continue
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [str(row[0]) for row in rows if row[0] != "ok"]


def _stand_in(
    connection: sqlite3.Connection, error: sqlite3.OperationalError, known: set[str]
) -> None:
    collation = _MISSING_COLLATION.search(str(error))
    function = _MISSING_FUNCTION.search(str(error))
    if str(error) in known or not (collation or function):
        raise error
    known.add(str(error))
    if collation:
        connection.create_collation(
            collation[1], lambda left, right: (left > right) - (left < right)
        )
    if function:
        # NULL lets every CHECK pass.
        connection.create_function(function[1], -1, lambda *_: None, deterministic=True)
