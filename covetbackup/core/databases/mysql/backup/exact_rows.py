"""A dump of rows over a session of ours, for tables whose values the dump programs would change.

It has the dump program's form, so it is restored, indexed and checked in the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from queue import Empty, Full, Queue
from types import TracebackType

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.background import BackgroundQuery
from covetbackup.core.databases.mysql.backup.dump import END_MARK
from covetbackup.core.databases.mysql.backup.exact_values import Query, renderer
from covetbackup.core.databases.mysql.server.connection import (
    Connection,
    code_of,
    connect,
    quoted,
    text_of,
    translated,
)
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.errors import NoProgress, ServerBusy
from covetbackup.core.stream.process import STALL_SECONDS
from covetbackup.core.stream.secret import Secret

_STATEMENT_BYTES = 1_000_000  # as long as those of the dump programs
_AHEAD = 4  # statements that may wait to be stored
_TICK_SECONDS = 1.0

_BEGIN = b"""-- Rows in the form of the dump programs, with FLOAT values exact
--
-- ------------------------------------------------------
%(position)s
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;
"""
_END = b"""
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

%s
"""
_HISTORY_BEGIN = (
    b"/*M!101100 SET @old_system_versioning_insert_history="
    b"@@session.system_versioning_insert_history,"
    b" @@session.system_versioning_insert_history=1 */;\n"
)
_HISTORY_END = (
    b"/*M!101100 SET system_versioning_insert_history=@old_system_versioning_insert_history */;\n"
)


class ExactRows:
    """A source of the rows that `queries` select, in one snapshot, which is taken on entry.

    `where` restricts the rows. `with_position` writes the snapshot's position in MariaDB's binary
    log into the header, as the dump program does. Yields b"" about once a second while it waits.
    Raises `ServerBusy` for a table that was altered, `DatabaseUnavailable`, `NoProgress`.
    """

    messages = ""

    def __init__(
        self,
        settings: MysqlSettings,
        password: Secret | None,
        queries: Sequence[Query],
        *,
        where: str = "",
        with_position: bool = False,
    ) -> None:
        self._settings = settings
        self._password = password
        self._queries = queries
        self._where = f" WHERE {where}" if where else ""
        self._with_position = with_position
        self._context = ExitStack()

    def __enter__(self) -> Iterator[bytes]:
        with translated(self._settings), ExitStack() as stack:
            connection = connect(self._settings, self._password)
            stack.callback(connection.close)
            connection.execute(f"SET SESSION lock_wait_timeout = {STALL_SECONDS:.0f}")
            connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            position = _position(connection) if self._with_position else b""
            pieces = self._pieces(connection, position)
            stack.callback(pieces.close)
            self._context = stack.pop_all()
        return pieces

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.close()

    def wait_for_message(self, text: str, seconds: float) -> bool:
        """Return true: the snapshot was taken on entry."""
        return True

    def _pieces(self, connection: Connection, position: bytes) -> Generator[bytes, None, None]:
        ready: Queue[bytes] = Queue(_AHEAD)

        def read(stop: Callable[[], bool]) -> None:
            for piece in self._dump(connection, position):
                if not _put(ready, piece, stop):
                    return

        running = BackgroundQuery(read, interrupt=connection.interrupt)
        try:
            yield from _until_the_end(ready, running)
            with translated(self._settings):
                self._finish(running)
        finally:
            running.stop()

    def _finish(self, running: BackgroundQuery[None]) -> None:
        try:
            running.result(on_wait=lambda: None)
        except pymysql.err.Error as error:
            if code_of(error) not in (ER.TABLE_DEF_CHANGED, ER.NO_SUCH_TABLE):
                raise
            raise ServerBusy(
                f"a table was altered, emptied or dropped while it was dumped: {text_of(error)}",
                "take the backup again when no migration runs",
            ) from error

    def _dump(self, connection: Connection, position: bytes) -> Iterator[bytes]:
        yield _BEGIN % {b"position": position}
        for query in self._queries:
            yield from self._table(connection, query)
        yield _END % END_MARK

    def _table(self, connection: Connection, query: Query) -> Iterator[bytes]:
        name = quoted(query.table)
        comment = name.replace("\n", "\n-- ")
        yield f"\n--\n-- Dumping data for table {comment}\n--\n\n".encode()
        if query.with_history:
            yield _HISTORY_BEGIN
        yield f"/*!40000 ALTER TABLE {name} DISABLE KEYS */;\n".encode()
        yield from self._statements(connection, query)
        yield f"/*!40000 ALTER TABLE {name} ENABLE KEYS */;\n".encode()
        if query.with_history:
            yield _HISTORY_END

    def _statements(self, connection: Connection, query: Query) -> Iterator[bytes]:
        are_bytes, rows = connection.stream(query.statement + self._where)
        render = renderer(query, are_bytes)
        values: list[bytes] = []
        size = 0
        for row in rows:
            value = render(row)
            values.append(value)
            size += len(value)
            if size >= _STATEMENT_BYTES:
                yield query.insert + b",\n".join(values) + b";\n"
                values, size = [], 0
        if values:
            yield query.insert + b",\n".join(values) + b";\n"


def _position(connection: Connection) -> bytes:
    """Return the snapshot's position as MariaDB's dump program writes it; empty without a binary
    log."""
    status = connection.rows("SHOW STATUS LIKE 'binlog_snapshot_%'")
    found = {str(name).lower(): value for name, value in status}
    file, offset = found.get("binlog_snapshot_file"), found.get("binlog_snapshot_position")
    if not file:
        return b""
    text = f"-- CHANGE MASTER TO MASTER_LOG_FILE='{file}', MASTER_LOG_POS={offset};\n"
    return text.encode()


def _put(ready: Queue[bytes], piece: bytes, stop: Callable[[], bool]) -> bool:
    """Enqueue `piece`, waiting for room; return whether there was room before `stop`."""
    while not stop():
        try:
            ready.put(piece, timeout=_TICK_SECONDS)
        except Full:
            continue
        return True
    return False


def _until_the_end(ready: Queue[bytes], running: BackgroundQuery[None]) -> Iterator[bytes]:
    deadline = time.monotonic() + STALL_SECONDS
    while True:
        is_over = running.has_ended(0)
        try:
            piece = ready.get(timeout=0 if is_over else _TICK_SECONDS)
        except Empty:
            if is_over:
                return
            if time.monotonic() >= deadline:
                raise NoProgress(
                    f"the server sent no row for {STALL_SECONDS:g} seconds",
                    hint="does it wait for a lock or a dead connection?",
                ) from None
            yield b""
            continue
        yield piece
        deadline = time.monotonic() + STALL_SECONDS
