"""Assembly of a parallel dump: what there is to read, cut into parts, and its readers."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace

from covetbackup.core.databases.postgresql.archive.contents import BLOBS, TableOfContents
from covetbackup.core.databases.postgresql.backup import plan
from covetbackup.core.databases.postgresql.backup.leader import Leader
from covetbackup.core.databases.postgresql.backup.parallel import ParallelDump
from covetbackup.core.databases.postgresql.backup.psql import PsqlReaders
from covetbackup.core.databases.postgresql.backup.readers import Readers
from covetbackup.core.databases.postgresql.backup.snapshot import Snapshot
from covetbackup.core.databases.postgresql.inventory.dumpable_objects import Relation
from covetbackup.core.databases.postgresql.server.access import ClientTool, ServerAccess
from covetbackup.core.databases.postgresql.server.connection import Connection, major_of

_SINCE_RANGES = 14
"""Before, a range of pages was read by reading the whole table."""


def build_parallel_dump(
    contents: TableOfContents,
    access: ServerAccess,
    snapshot: Snapshot,
    leader: Leader,
    *,
    unplannable: Collection[int],
    psql: ClientTool | None,
    stack: ExitStack,
) -> ParallelDump:
    """Return a dump of `contents` whose readers are closed by `stack`. Raises `Unsupported`.

    Tables whose oids are `unplannable` are read by one plain COPY, and their rows counted. Without
    `psql` all tables are read by connections of this process.
    """
    readers = Readers(access.connect, snapshot.name, leader.encoding)
    stack.callback(readers.close)
    with readers.acquire(()) as connection:
        page_bytes, object_bytes = _sizes(connection)
        is_cut = major_of(connection) >= _SINCE_RANGES
        codec = leader.codec if leader.encoding == "SQL_ASCII" else connection.info.encoding
    tables = {
        table.oid: _table_size(table, page_bytes if is_cut else 0, codec, table.oid in unplannable)
        for table in snapshot.tables
        if table.kind == "r" and not (table.unlogged and snapshot.standby)
    }
    count = sum(len(oids) for oids in _object_lists(contents))
    total = sum(table.size_bytes for table in tables.values()) + object_bytes
    parts = plan.plan_parts(
        contents,
        tables,
        object_bytes=object_bytes // max(1, count),
        part_size=plan.part_size_bytes(total),
    )
    return ParallelDump(
        contents,
        parts,
        readers=readers,
        leader=leader,
        psql_readers=None if psql is None else _psql_readers(psql, access, snapshot, leader, stack),
    )


def _object_lists(contents: TableOfContents) -> list[list[int]]:
    return [
        plan.large_object_oids(contents, entry)
        for entry in contents.data_entries
        if entry.kind == BLOBS
    ]


def _psql_readers(
    psql: ClientTool, access: ServerAccess, snapshot: Snapshot, leader: Leader, stack: ExitStack
) -> PsqlReaders:
    tool = replace(psql, environment={**psql.environment, "PGCLIENTENCODING": leader.encoding})
    psql_readers = PsqlReaders(tool, access.settings.database, snapshot.name)
    stack.callback(psql_readers.close)
    return psql_readers


def _sizes(connection: Connection) -> tuple[int, int]:
    """Return the bytes of a page, and of all large objects."""
    row = connection.execute(
        "SELECT current_setting('block_size')::int, pg_relation_size('pg_catalog.pg_largeobject')"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _table_size(table: Relation, page_bytes: int, codec: str, counted: bool) -> plan.TableSize:
    is_cut = page_bytes and table.is_heap and not counted  # a range of pages has to be planned
    pages = table.pages_bytes // page_bytes if is_cut else 0
    size_bytes = table.pages_bytes + table.toast_bytes
    return plan.TableSize(size_bytes, pages, table.condition.encode(codec), counted)
