"""The commit of a restore: the tables of the scratch database are renamed into the target.

MySQL cannot rename a database. All tables move in one statement; what cannot move (triggers, views,
routines, events) is created again in the target. Until the last of it is there, a marker table says
that the target is unfinished; a failure drops the target, and so does a cleanup after `kill -9`.
"""

from __future__ import annotations

from collections.abc import Sequence

from covetbackup.core.databases.inventory import Inventory, differences
from covetbackup.core.databases.mysql.archive.spool import Script
from covetbackup.core.databases.mysql.inventory import objects as catalog
from covetbackup.core.databases.mysql.inventory.tables import list_tables
from covetbackup.core.databases.mysql.restore import scratch
from covetbackup.core.databases.mysql.restore.loaders import ClientProgram
from covetbackup.core.databases.mysql.server.connection import Connection, quoted
from covetbackup.core.errors import CovetError, ResultDiffers


def create_target(connection: Connection, name: str, target: str, expected: Inventory) -> None:
    """Create the database `target`, marked as unfinished, for the scratch database `name`.
    Raises `TargetNotEmpty`."""
    scratch.note_target(connection, name, target)
    try:
        scratch.create(connection, target, expected)
    except CovetError:
        # If there is one of that name it is not ours, and not to be dropped for being empty.
        scratch.forget_target(connection, name)
        raise
    scratch.mark_unfinished(connection, name, target)


def rename_tables(connection: Connection, name: str, target: str) -> None:
    """Rename all tables and sequences of the scratch database `name` into the database `target`.

    That is one statement. Objects that cannot be renamed are created again.
    """
    query = "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s"
    for trigger in connection.strings(query, [name]):
        # A table with triggers may not change its database.
        connection.execute(f"DROP TRIGGER {quoted(name)}.{quoted(trigger)}")
    listing = list_tables(connection, name)
    tables = [table.name for table in listing.tables if table.can_change_database]
    moving = [*tables, *listing.sequences]
    moves = [f"{quoted(name)}.{quoted(each)} TO {quoted(target)}.{quoted(each)}" for each in moving]
    if moves:
        connection.execute(f"RENAME TABLE {', '.join(moves)}")
    requalify_defaults(connection, name, target)
    connection.use(target)
    for table in listing.tables:
        if not table.can_change_database:
            shown = connection.rows(f"SHOW CREATE TABLE {quoted(name)}.{quoted(table.name)}")
            connection.execute(str(shown[0][1]))


_DEFAULTS = """
SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = %s AND instr(COLUMN_DEFAULT, %s)
"""


def requalify_defaults(connection: Connection, name: str, target: str) -> None:
    """Have column defaults in `target` use its own sequences, which were in the database `name`.

    All defaults of a table at once: with one left behind nothing of it can be altered.
    """
    changes: dict[str, list[str]] = {}
    for table, column, default in connection.rows(_DEFAULTS, [target, f"{quoted(name)}."]):
        moved = default.replace(f"{quoted(name)}.", f"{quoted(target)}.")
        change = f"ALTER COLUMN {quoted(column)} SET DEFAULT ({moved})"
        changes.setdefault(table, []).append(change)
    for table, parts in changes.items():
        connection.execute(f"ALTER TABLE {quoted(target)}.{quoted(table)} {', '.join(parts)}")


def create_stored_objects(client: ClientProgram, target: str, scripts: Sequence[Script]) -> None:
    """Run the scripts that create views, triggers, routines and, last, events in `target`."""
    for script in scripts:
        client.run(script, target)


def complete_target(connection: Connection, target: str, objects: dict[str, int]) -> None:
    """Compare the counts of `target` with those of the scratch database, and remove the marker.

    `objects` are the counts by kind of object. With the marker removed the restore is committed.
    Raises `ResultDiffers`.
    """
    have = catalog.object_counts(connection, target)
    have["index"] -= 1  # that of the marker table
    have = {kind: count for kind, count in have.items() if count}
    found = differences(Inventory(objects=objects), Inventory(objects=have))
    if found:
        raise ResultDiffers(f"database {target!r} is not what was restored: {'; '.join(found)}")
    connection.execute(f"DROP TABLE {quoted(target)}.{scratch.UNFINISHED}")
