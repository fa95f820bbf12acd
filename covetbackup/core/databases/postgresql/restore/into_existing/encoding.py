"""The client encoding of an in-place restore's one connection.

Statements and rows of a dump go as they were written, in the encoding of the dump, which the server
converts. Everything else goes as the driver reads it: in the encoding of a dump that has none,
names from the catalogs would be bytes, and in another one than the database's some could not be
sent at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from covetbackup.core.databases.postgresql.archive.contents import TableOfContents
from covetbackup.core.databases.postgresql.backup.readers import set_encoding
from covetbackup.core.databases.postgresql.restore.parallel import set_dump_encoding
from covetbackup.core.databases.postgresql.server.connection import Connection


@contextmanager
def dump_encoding(connection: Connection, contents: TableOfContents) -> Iterator[None]:
    """Use the encoding of `contents` on `connection` while in the context.

    It is not reset after an error, which ends the transaction as well.
    """
    own = connection.info.parameter_status("client_encoding") or "UTF8"
    set_dump_encoding(connection, contents)
    yield
    set_encoding(connection, own)
