"""A part that is loaded: what it does while the server takes nothing."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.postgresql.archive import block_codec
from covetbackup.core.databases.postgresql.archive.contents import TABLE_DATA, Entry, Section
from covetbackup.core.databases.postgresql.archive.offsets import PartBoundary
from covetbackup.core.databases.postgresql.restore.part_sink import ConnectionPool, PartSink
from covetbackup.core.databases.postgresql.server.connection import Connection, connect
from covetbackup.core.errors import Cancelled
from covetbackup.core.progress import Silent
from tests.support.postgres import PostgresServer

ENTRY = Entry(
    dump_id=7,
    has_data=True,
    oid=1,
    tag=b"t",
    kind=TABLE_DATA,
    section=Section.DATA,
    definition=b"",
    copy_statement=b"COPY t FROM stdin;\n",
    schema=b"public",
    dependencies=(),
    raw=b"",
)
ROWS = (
    block_codec.start_of_block(block_codec.TABLE, 7)
    + b"".join(block_codec.framed_pieces([b"1\n"]))
    + block_codec.END
)


class Impatient(Silent):
    def advance(self, count: int) -> None:
        raise Cancelled("another stream of the same work has ended it")


def test_a_part_that_waits_for_a_locked_table_can_be_ended(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.execute(postgres_database, "CREATE TABLE t (i int)")
    settings = postgres_server.settings(postgres_database)
    own = connect(settings, postgres_server.password, application="covetbackup x")
    with postgres_server.connect(postgres_database) as other, other.transaction():
        other.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        loader = ConnectionPool(lambda: own).acquire()
        sink = PartSink("part", PartBoundary(None, False), {7: ENTRY}, loader, Impatient())
        with pytest.raises(Cancelled):
            sink.write(ROWS)
        sink.abort()
    assert own.closed
    assert postgres_server.rows(postgres_database, "SELECT count(*) FROM t") == [(0,)]


def test_a_connection_is_used_for_one_part_after_the_other(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.execute(postgres_database, "CREATE TABLE t (i int)")
    settings = postgres_server.settings(postgres_database)
    opened = []

    def opening() -> Connection:
        opened.append(connect(settings, postgres_server.password, application="covetbackup x"))
        return opened[-1]

    loaders = ConnectionPool(opening)
    for _ in range(3):
        sink = PartSink("part", PartBoundary(None, False), {7: ENTRY}, loaders.acquire(), Silent())
        sink.write(ROWS)
        sink.commit()
    loaders.close()
    assert [connection.closed for connection in opened] == [True]
    assert postgres_server.rows(postgres_database, "SELECT count(*) FROM t") == [(3,)]
