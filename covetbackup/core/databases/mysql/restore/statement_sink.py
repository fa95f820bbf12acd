"""Runs the statements of one table's rows over a connection of ours."""

from __future__ import annotations

import re
from collections.abc import Callable

from covetbackup.core.databases.mysql.server.connection import Connection, translated
from covetbackup.core.errors import Incomplete, TooLarge

_COMMENTS = re.compile(rb"\A(?:--[^\n]*\n|\s+)*(?:--[^\n]*\Z)?")
_LEFT_OUT = (
    # Around the rows of each table in dumps by MariaDB 11, unless it is told not to write them.
    b"SET @OLD_AUTOCOMMIT=@@AUTOCOMMIT, @@AUTOCOMMIT=0",
    b"COMMIT",
    b"SET AUTOCOMMIT=@OLD_AUTOCOMMIT",
)
_END = b";\n"
_MOST_BYTES = 1 << 30


class StatementSink:
    """A sink for a section of a dump of rows, in which every line end within a value is escaped.

    `count` gets the number of rows that each statement wrote. Statements that would commit are left
    out.
    """

    def __init__(self, connection: Connection, count: Callable[[int], None]) -> None:
        self._connection = connection
        self._count = count
        self._rest = bytearray()
        self._looked = 0

    def write(self, chunk: bytes) -> None:
        self._rest += chunk
        begin = 0
        while (end := self._rest.find(_END, max(begin, self._looked))) >= 0:
            self._run(bytes(self._rest[begin:end]))
            begin = end + len(_END)
        del self._rest[:begin]
        self._looked = max(0, len(self._rest) - 1)
        if len(self._rest) > _MOST_BYTES:
            raise TooLarge(f"a statement is longer than {_MOST_BYTES} bytes")

    def commit(self) -> None:
        if self._rest.strip():
            raise Incomplete("the rows end within a statement", "verify the backup")

    def abort(self) -> None:
        self._rest.clear()

    def _run(self, statement: bytes) -> None:
        text = _COMMENTS.sub(b"", statement, count=1)
        if text.startswith(b"INSERT INTO "):
            with translated(self._connection.settings):
                self._count(self._connection.execute_bytes(text))
        elif text and text not in _LEFT_OUT and not text.startswith(b"/*!40000 ALTER TABLE "):
            raise Incomplete(f"a statement among the rows is not known here: {text[:60]!r}")
