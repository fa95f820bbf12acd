"""The commit point of a restore: the tables of the scratch database become those of the target.

MySQL cannot rename a database. All tables move in one statement; what cannot move (triggers, views,
routines, events) is created again in the target. Until the last of it is there, a marked table says
that the target is not whole; a failure drops the target, and so does a sweep after `kill -9`.
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


def begin_target(connection: Connection, name: str, target: str, expected: Inventory) -> None:
    """Make the database `target`, marked as unfinished. Raises `TargetNotEmpty`."""
    scratch.note_target(connection, name, target)
    try:
        scratch.create(connection, target, expected)
    except CovetError:
        # If there is one of that name it is somebody's, and not to be dropped for being empty.
        scratch.forget_target(connection, name)
        raise
    scratch.mark_unfinished(connection, name, target)


def move_tables(connection: Connection, name: str, target: str) -> None:
    """All tables and sequences of the scratch database `name`, in one statement, to `target`."""
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
    follow_sequences(connection, name, target)
    connection.use(target)
    for table in listing.tables:
        if not table.can_change_database:
            shown = connection.rows(f"SHOW CREATE TABLE {quoted(name)}.{quoted(table.name)}")
            connection.execute(str(shown[0][1]))


_DEFAULTS = """
SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = %s AND instr(COLUMN_DEFAULT, %s)
"""


def follow_sequences(connection: Connection, name: str, target: str) -> None:
    """Sequences have moved; a default that takes a value from one still looks where it was.

    All of a table at once: with one default left behind nothing of it can be altered.
    """
    changes: dict[str, list[str]] = {}
    for table, column, default in connection.rows(_DEFAULTS, [target, f"{quoted(name)}."]):
        moved = default.replace(f"{quoted(name)}.", f"{quoted(target)}.")
        change = f"ALTER COLUMN {quoted(column)} SET DEFAULT ({moved})"
        changes.setdefault(table, []).append(change)
    for table, parts in changes.items():
        connection.execute(f"ALTER TABLE {quoted(target)}.{quoted(table)} {', '.join(parts)}")


def add_programs(client: ClientProgram, target: str, scripts: Sequence[Script]) -> None:
    """Run what creates views, triggers, routines and, last, events."""
    for script in scripts:
        client.run(script, target)


def finish_target(connection: Connection, target: str, objects: dict[str, int]) -> None:
    """Compare the kinds of objects in `target` with those counted in the scratch database, and
    take its mark away: from now on it is real. Raises `ResultDiffers`."""
    have = catalog.object_counts(connection, target)
    have["index"] -= 1  # the mark's own
    have = {kind: count for kind, count in have.items() if count}
    found = differences(Inventory(objects=objects), Inventory(objects=have))
    if found:
        raise ResultDiffers(f"database {target!r} is not what was restored: {'; '.join(found)}")
    connection.execute(f"DROP TABLE {quoted(target)}.{scratch.UNFINISHED}")
