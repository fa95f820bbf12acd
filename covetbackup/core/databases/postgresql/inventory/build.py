"""The `Inventory` of a database, and the warnings about what a dump of it will lack."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.backup.snapshot import Snapshot
from covetbackup.core.databases.postgresql.inventory import (
    comments,
    counts,
    dumpable_objects,
    objects as catalog,
)
from covetbackup.core.databases.postgresql.inventory.dumpable_objects import Relation
from covetbackup.core.databases.postgresql.inventory.extension_facts import (
    extension_records,
    sequence_warnings,
)
from covetbackup.core.databases.postgresql.inventory.external_connections import (
    external_connection_names,
    read_external_connections,
)
from covetbackup.core.databases.postgresql.inventory.single_database import EXTENSIONS
from covetbackup.core.databases.postgresql.server.connection import Connection


def read_inventory(
    connection: Connection,
    tables: Sequence[Relation],
    *,
    counted: Sequence[Relation],
    unlogged_lost: bool,
    stop: Callable[[], bool],
    failed: Callable[[Relation, str], None],
) -> Inventory:
    """Return the inventory of `tables` and all else that the connection's transaction sees.

    `counted` tables get exact row counts, see `count_rows` for `stop` and `failed`; unlogged tables
    and sequences have no content if `unlogged_lost`.
    """
    sequences = [
        sequence
        for sequence in dumpable_objects.sequences(connection)
        if not (sequence.unlogged and unlogged_lost)
    ]
    facts = catalog.sequence_facts(connection, sequences)
    settings = catalog.properties(connection)
    large_objects = catalog.large_object_count(connection)
    objects = object_counts(connection)
    extensions = tuple(sorted(catalog.extensions(connection)))
    roles = catalog.roles(connection)
    rows = counts.count_rows(connection, counted, stop=stop, failed=failed)
    return Inventory(
        tables=counts.table_facts(tables, rows, unlogged_lost=unlogged_lost),
        sequences=facts,
        large_objects=large_objects,
        objects=objects,
        extensions=extensions,
        roles=roles,
        settings=settings,
    )


def object_counts(connection: Connection) -> dict[str, int]:
    """Return the number of objects of each kind, comments and security labels included."""
    return catalog.object_counts(connection) | comments.annotation_counts(connection)


def snapshot_inventory(
    connection: Connection,
    snapshot: Snapshot,
    stop: Callable[[], bool],
    *,
    skipped: Collection[int],
    warn: Callable[[str], None],
) -> Inventory:
    """Return the inventory of what a dump of `snapshot` holds, read by the connection it is of.

    Tables whose oids are `skipped` are not counted; `warn` gets a line for each that cannot be.
    """
    lost = snapshot.standby
    countable = [
        table
        for table in snapshot.tables
        if not (table.unlogged and lost) and table.oid not in skipped
    ]
    extensions = extension_records(connection)
    found = read_inventory(
        connection,
        snapshot.tables,
        counted=counts.affordable(countable, counts.COUNT_BUDGET_BYTES),
        unlogged_lost=lost,
        stop=stop,
        failed=lambda table, why: warn(f"the rows of {table.label} were not counted: {why}"),
    )
    more = {**extensions, **read_external_connections(connection)}
    return replace(found, settings={**(found.settings or {}), **more})


def limitations(connection: Connection, snapshot: Snapshot) -> list[str]:
    """Return a warning for each thing that pg_dump leaves out without a message."""
    lines = []
    if snapshot.standby:
        lines += [
            f"the rows of unlogged table {table.label} cannot be read on a standby"
            for table in snapshot.tables
            if table.unlogged and table.kind == "r"
        ]
    for table, extension in connection.execute(_EXTENSION_ROWS):
        lines.append(
            f"rows of table {table} are not dumped: it belongs to extension {extension},"
            " which does not declare it as configuration"
        )
    external = read_external_connections(connection)
    if external:
        lines.append(
            "a restore leaves subscriptions disabled, and foreign servers leading to a database of"
            f" this name; check them in a copy: {', '.join(external_connection_names(external))}"
        )
    for name in sorted(EXTENSIONS.keys() & catalog.extensions(connection).keys()):
        lines.append(
            f"extension {name} can only be in one database of a server: a restore under another"
            f" name leaves it out, with its {EXTENSIONS[name].content} in a separate schema"
        )
    return [*lines, *sequence_warnings(connection)]


# Counters, as pg_relation_size would wait for the locks of others.
_EXTENSION_ROWS = """
SELECT c.oid::regclass::text, e.extname FROM pg_class c
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
WHERE c.relkind = 'r' AND c.oid <> ALL (coalesce(e.extconfig, '{}'))
  AND (c.relpages > 0 OR pg_stat_get_live_tuples(c.oid) > 0)
ORDER BY 1
"""
