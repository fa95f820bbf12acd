"""The plan of the swap of two databases.

It says which tables are renamed to what, and which stored objects have to be created again, and is
stored in a table of the database that will be retained.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace

from covetbackup.core.databases.mysql.inventory.tables import list_tables
from covetbackup.core.databases.mysql.replace import metadata_tables
from covetbackup.core.databases.mysql.replace.stored_objects import StoredObject, read_objects
from covetbackup.core.databases.mysql.server.connection import Connection, quoted

TableName = tuple[str, str]
"""A database and a table in it."""


@dataclass(frozen=True, slots=True)
class SwapPlan:
    """A swap in which `target` becomes `retained_as` and `incoming` becomes `target`.

    `old` and `new` are the stored objects of `target` and of `incoming`, in an order in which they
    can be created again. `identity_added` names the databases that get an identity for the swap.
    """

    target: str
    incoming: str
    retained_as: str
    old_tables: tuple[str, ...]
    new_tables: tuple[str, ...]
    identity_added: tuple[str, ...]
    old: tuple[StoredObject, ...]
    new: tuple[StoredObject, ...]

    @property
    def renames(self) -> list[tuple[TableName, TableName]]:
        """The old and the new name of every table, in an order in which they can be renamed."""
        return [((self.target, name), (self.retained_as, name)) for name in self.old_tables] + [
            ((self.incoming, name), (self.target, name)) for name in self.new_tables
        ]

    @property
    def tables_with_triggers(self) -> list[TableName]:
        """The tables of `target` that have triggers or will have them.

        No session may write to one while it lacks them.
        """
        upcoming = {trigger.table for trigger in self.new_triggers} & set(self.old_tables)
        existing = {trigger.table for trigger in self.old_triggers}
        return [(self.target, name) for name in sorted(upcoming | existing)]

    @property
    def old_triggers(self) -> list[StoredObject]:
        """The triggers of the database that will be retained."""
        return [each for each in self.old if each.kind == "TRIGGER"]

    @property
    def new_triggers(self) -> list[StoredObject]:
        """The triggers of the database that takes its place."""
        return [each for each in self.new if each.kind == "TRIGGER"]


def make_plan(
    connection: Connection,
    target: str,
    incoming: str,
    retained_as: str,
    enabled_events: Collection[str] | None,
) -> SwapPlan:
    """Read both databases and plan their swap.

    `enabled_events` names the events of `incoming` that will run; None means those that ran before
    that database was retained.
    """
    if enabled_events is None:
        enabled_events = _events_enabled_before(connection, incoming)
    return SwapPlan(
        target=target,
        incoming=incoming,
        retained_as=retained_as,
        old_tables=_renamable(connection, target),
        new_tables=_renamable(connection, incoming),
        identity_added=tuple(
            name
            for name in (target, incoming)
            if metadata_tables.identity_of(connection, name) is None
        ),
        old=tuple(read_objects(connection, target, becomes=retained_as)),
        new=tuple(
            replace(each, enabled=each.kind == "EVENT" and each.name in enabled_events)
            for each in read_objects(connection, incoming, becomes=target)
        ),
    )


def name_sql(table: TableName) -> str:
    """Return the qualified name of a table, quoted for a statement."""
    return ".".join(map(quoted, table))


def _renamable(connection: Connection, database: str) -> tuple[str, ...]:
    listing = list_tables(connection, database)
    return (*(table.name for table in listing.tables), *listing.sequences, metadata_tables.IDENTITY)


def _events_enabled_before(connection: Connection, retained_as: str) -> set[str]:
    plan = read_plan(connection, retained_as)
    return {each.name for each in plan.old if each.enabled} if plan else set()


def write_plan(connection: Connection, plan: SwapPlan) -> None:
    """Write the plan into the database `retained_as`, which exists by now."""
    stored = {_STORED_AS.get(name, name): value for name, value in asdict(plan).items()}
    metadata_tables.write_plan(connection, plan.retained_as, json.dumps(stored))


_STORED_AS = {"retained_as": "kept", "identity_added": "marked"}
"""Names in the stored plan; retained databases of earlier versions have theirs."""


def read_plan(connection: Connection, retained_as: str) -> SwapPlan | None:
    """Return the plan in the database `retained_as`; None if there is none, or no whole one."""
    text = metadata_tables.read_plan(connection, retained_as)
    if text is None:
        return None
    found = json.loads(text)
    for name, stored_as in _STORED_AS.items():
        found[name] = found.pop(stored_as)
    for name in ("old_tables", "new_tables", "identity_added"):
        found[name] = tuple(found[name])
    for name in ("old", "new"):
        found[name] = tuple(
            StoredObject(**{**each, "session": tuple(map(tuple, each["session"]))})
            for each in found[name]
        )
    return SwapPlan(**found)


def is_started(connection: Connection, plan: SwapPlan) -> bool:
    """Return whether any table of the old database was renamed."""
    return bool(list_names(connection, plan.retained_as) & set(plan.old_tables))


def list_names(connection: Connection, database: str) -> set[str]:
    """Return the names of all tables, views and sequences of `database`."""
    query = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
    return set(connection.strings(query, [database]))
