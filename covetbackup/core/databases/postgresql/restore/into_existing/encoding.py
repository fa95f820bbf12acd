"""In which encoding the one connection of an addition speaks.

What a dump holds goes as it was written, in the encoding of the dump, which the server converts.
Everything else goes as the driver reads it: in the encoding of a dump that has none, names from the
catalogs would be bytes, and in another one than the database's some could not be told at all.
"""

from __future__ import annotations

from types import TracebackType

from covetbackup.core.databases.postgresql.archive.contents import TableOfContents
from covetbackup.core.databases.postgresql.backup.readers import set_encoding
from covetbackup.core.databases.postgresql.restore.parallel import set_dump_encoding
from covetbackup.core.databases.postgresql.server.connection import Connection


class DumpEncoding:
    """`with` it the connection speaks as `contents` were written. An error that ends that ends the
    transaction as well, so nobody speaks after it."""

    def __init__(self, connection: Connection, contents: TableOfContents) -> None:
        self._connection = connection
        self._contents = contents
        self._own = connection.info.parameter_status("client_encoding") or "UTF8"

    def __enter__(self) -> None:
        set_dump_encoding(self._connection, self._contents)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            set_encoding(self._connection, self._own)
