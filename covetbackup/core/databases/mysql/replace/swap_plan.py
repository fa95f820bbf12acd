"""The plan of an exchange of two databases: what moves where, and what has to be created again."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace

from covetbackup.core.databases.mysql.inventory.tables import list_tables
from covetbackup.core.databases.mysql.replace import metadata_tables
from covetbackup.core.databases.mysql.replace.stored_objects import StoredObject, read_stored
from covetbackup.core.databases.mysql.server.connection import Connection

TargetTable = tuple[str, str]
"""A database and a table in it."""


@dataclass(frozen=True, slots=True)
class SwapPlan:
    """`target` becomes `kept`, `incoming` becomes `target`. `marked` were given their mark for it.
    `old` and `new` are what has to be created again, of `target` and of `incoming`."""

    target: str
    incoming: str
    kept: str
    old_tables: tuple[str, ...]
    new_tables: tuple[str, ...]
    marked: tuple[str, ...]
    old: tuple[StoredObject, ...]
    new: tuple[StoredObject, ...]

    @property
    def moves(self) -> list[tuple[TargetTable, TargetTable]]:
        """From where to where, in an order in which it can be done."""
        return [((self.target, name), (self.kept, name)) for name in self.old_tables] + [
            ((self.incoming, name), (self.target, name)) for name in self.new_tables
        ]

    @property
    def guarded(self) -> list[TargetTable]:
        """The tables of `target` with triggers, or with triggers to come: nobody must write to one
        while it lacks them."""
        coming = {trigger.table for trigger in self.new_triggers} & set(self.old_tables)
        having = {trigger.table for trigger in self.old_triggers}
        return [(self.target, name) for name in sorted(coming | having)]

    @property
    def old_triggers(self) -> list[StoredObject]:
        return [thing for thing in self.old if thing.kind == "TRIGGER"]

    @property
    def new_triggers(self) -> list[StoredObject]:
        return [thing for thing in self.new if thing.kind == "TRIGGER"]


def make_plan(
    connection: Connection, target: str, incoming: str, kept: str, awake: Collection[str] | None
) -> SwapPlan:
    """`awake` names the events of `incoming` that will run; None: those that did before it was
    kept."""
    if awake is None:
        awake = _awake_before(connection, incoming)
    return SwapPlan(
        target=target,
        incoming=incoming,
        kept=kept,
        old_tables=_movable(connection, target),
        new_tables=_movable(connection, incoming),
        marked=tuple(
            name for name in (target, incoming) if metadata_tables.mark_of(connection, name) is None
        ),
        old=tuple(read_stored(connection, target, becomes=kept)),
        new=tuple(
            replace(thing, enabled=thing.kind == "EVENT" and thing.name in awake)
            for thing in read_stored(connection, incoming, becomes=target)
        ),
    )


def _movable(connection: Connection, database: str) -> tuple[str, ...]:
    listing = list_tables(connection, database)
    return (*(table.name for table in listing.tables), *listing.sequences, metadata_tables.IDENTITY)


def _awake_before(connection: Connection, kept: str) -> set[str]:
    plan = read_plan(connection, kept)
    return {thing.name for thing in plan.old if thing.enabled} if plan else set()


def write_plan(connection: Connection, plan: SwapPlan) -> None:
    """Into the database that will keep the old one, which exists by now."""
    metadata_tables.write_plan(connection, plan.kept, json.dumps(asdict(plan)))


def read_plan(connection: Connection, kept: str) -> SwapPlan | None:
    text = metadata_tables.read_plan(connection, kept)
    if text is None:
        return None
    found = json.loads(text)
    for name in ("old_tables", "new_tables", "marked"):
        found[name] = tuple(found[name])
    for name in ("old", "new"):
        found[name] = tuple(
            StoredObject(**{**thing, "session": tuple(map(tuple, thing["session"]))})
            for thing in found[name]
        )
    return SwapPlan(**found)


def has_begun(connection: Connection, plan: SwapPlan) -> bool:
    """Whether any table of the old database has moved."""
    return bool(names_in(connection, plan.kept) & set(plan.old_tables))


def names_in(connection: Connection, database: str) -> set[str]:
    """Of all tables, views and sequences."""
    query = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
    return set(connection.strings(query, [database]))
