"""References of a database to itself and to others.

Bodies that name their own database make a copy act on the original; other databases that are named
must be on a server before this one can be restored there. Both are read when a backup is taken and
stored in its settings, so that a restore can check them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.archive.requalify import Renaming, databases_in, mentions
from covetbackup.core.databases.mysql.server.connection import Connection
from covetbackup.core.errors import BadSetting

SELF_REFERENCES = "names_itself"
"""In the settings of a backup: a list of the triggers, routines and events whose bodies name the
database, as JSON."""

DEPENDENCIES = "needs"
"""In the settings of a backup: a list of `Dependency`, as JSON."""

_SHOWN = 20
_BODIES = """
SELECT 'trigger', TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS
  WHERE TRIGGER_SCHEMA = %s
UNION ALL SELECT lower(ROUTINE_TYPE), ROUTINE_NAME, ROUTINE_DEFINITION
  FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = %s
UNION ALL SELECT 'event', EVENT_NAME, EVENT_DEFINITION FROM information_schema.EVENTS
  WHERE EVENT_SCHEMA = %s
"""
_VIEWS = "SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s"
_DEFAULTS = (
    "SELECT TABLE_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS"
    " WHERE TABLE_SCHEMA = %s AND instr(COLUMN_DEFAULT, 'val(')"
)
_KEYS = """
SELECT DISTINCT TABLE_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME
FROM information_schema.KEY_COLUMN_USAGE
WHERE TABLE_SCHEMA = %s AND REFERENCED_TABLE_SCHEMA <> %s
"""
_SEQUENCE = re.compile(r"(?:next|last|set)val\(`((?:[^`]|``)*)`\.`((?:[^`]|``)*)`")
_OBJECTS = """
SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s
UNION SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = %s
"""
VIEW, DEFAULT, KEY = "view", "default", "foreign key"


@dataclass(frozen=True, slots=True)
class Dependency:
    """A table, sequence or function `name` of another `database` that `dependent` needs.

    `kind` says what that is: a view, or a table for a default or a foreign key of it.
    """

    kind: str
    dependent: str
    database: str
    name: str

    def __str__(self) -> str:
        dependent = (
            f"view {self.dependent}"
            if self.kind == VIEW
            else f"a {self.kind} of table {self.dependent}"
        )
        return f"{self.database}.{self.name} ({dependent})"


def read_references(connection: Connection, database: str) -> dict[str, str]:
    """Return the references of `database`, as settings for its backup."""
    found: dict[str, str] = {}
    ignore_case = connection.value("SELECT @@global.lower_case_table_names") != 0
    referring = [
        f"{kind} {name}"
        for kind, name, body in connection.rows(_BODIES, [database] * 3)
        if body is not None and mentions(str(body).encode(), database, ignore_case=ignore_case)
    ]
    if referring:
        found[SELF_REFERENCES] = json.dumps(sorted(referring))
    own = Renaming(database, database, ignore_case)
    dependencies = sorted(set(_dependencies(connection, own)), key=_order_of)
    if dependencies:
        rows = [
            [dependency.kind, dependency.dependent, dependency.database, dependency.name]
            for dependency in dependencies
        ]
        found[DEPENDENCIES] = json.dumps(rows)
    return found


def _order_of(dependency: Dependency) -> tuple[str, ...]:
    return dependency.database, dependency.name, dependency.kind, dependency.dependent


def _dependencies(connection: Connection, own_name: Renaming) -> Iterator[Dependency]:
    database, own = own_name.old, own_name.applies_to
    for view, text in connection.rows(_VIEWS, [database]):
        for other, names in databases_in(str(text or "").encode()).items():
            yield from (Dependency(VIEW, view, other, name) for name in names if not own(other))
    for table, default in connection.rows(_DEFAULTS, [database]):
        for other, name in _SEQUENCE.findall(str(default)):
            plain = other.replace("``", "`"), name.replace("``", "`")
            if not own(plain[0]):
                yield Dependency(DEFAULT, table, *plain)
    for table, other, name in connection.rows(_KEYS, [database, database]):
        yield Dependency(KEY, table, other, name)


def self_references(expected: Inventory) -> list[str]:
    """Return the triggers, routines and events whose bodies name the database that was backed up.

    There are none for a backup that did not record them.
    """
    return [str(name) for name in json.loads((expected.settings or {}).get(SELF_REFERENCES, "[]"))]


def dependencies_of(expected: Inventory) -> list[Dependency]:
    """Return what the backup needs from other databases; nothing if it did not record that."""
    rows = json.loads((expected.settings or {}).get(DEPENDENCIES, "[]"))
    return [Dependency(*map(str, row)) for row in rows]


def warnings(expected: Inventory) -> list[str]:
    """Return the warnings of a backup with these references."""
    name = (expected.settings or {}).get("database", "")
    lines = []
    referring = self_references(expected)
    if referring:
        lines.append(
            f"restored under another name, these act on {name!r} and not on the copy, as their"
            f" bodies name it: {listed(referring)}; leave the name out of them"
        )
    dependencies = dependencies_of(expected)
    if dependencies:
        lines.append(
            "a restore needs from other databases, which must be on its server before:"
            f" {listed(dependencies)}; back these databases up too"
        )
    return lines


def acts_on_original(expected: Inventory, target: str) -> str:
    """Return a warning for a restore as `target` about bodies that would act on the original.

    It is "" if there are none, or the name stays.
    """
    name = (expected.settings or {}).get("database", "")
    referring = self_references(expected)
    if not referring or not is_copy(expected, target):
        return ""
    return (
        f"the bodies of these name database {name!r} and will act on it, not on {target!r}:"
        f" {listed(referring)}"
    )


def disabled_events(expected: Inventory, target: str, *, replaces: bool) -> str:
    """Return a warning for a restore as `target` about events that will be disabled.

    It is "" if there are none. In a copy that replaces a database only those do not run whose
    bodies name the original.
    """
    count = (expected.objects or {}).get("event", 0)
    if not count or not is_copy(expected, target):
        return ""
    which = "those events whose bodies name the original" if replaces else "its events"
    name = (expected.settings or {}).get("database", "")
    return f"as {target!r} is a copy of {name!r}, {which} will be disabled"


def is_copy(expected: Inventory, target: str) -> bool:
    """Return whether a restore as `target` gives the database another name than the original's."""
    settings = expected.settings or {}
    ignore_case = settings.get("lower_case_table_names", "0") != "0"
    return not Renaming(settings.get("database", ""), target, ignore_case).applies_to(target)


def refuse_missing_dependencies(
    connection: Connection, expected: Inventory, selected: Collection[str] | None = None
) -> None:
    """Raise `BadSetting` naming objects of other databases that this server lacks.

    Without them a view or a table could not be created. With `selected`, only those of these tables
    and views are checked.
    """
    missing = [
        dependency
        for dependency in _missing(connection, dependencies_of(expected))
        if dependency.kind != KEY and (selected is None or dependency.dependent in selected)
    ]
    if missing:
        raise BadSetting(
            f"this server lacks, or hides from this account, what the backup needs from other"
            f" databases: {listed(missing)}",
            "restore these databases first, or grant SELECT and EXECUTE on them; of databases that"
            " need each other restore one without its views: name its tables with --table",
        )


def risks(connection: Connection, expected: Inventory) -> list[str]:
    """Return warnings for a restore on this server about foreign keys to databases it lacks."""
    dangling = [
        dependency
        for dependency in _missing(connection, dependencies_of(expected))
        if dependency.kind == KEY
    ]
    if not dangling:
        return []
    return [
        "rows cannot be added until the tables that foreign keys refer to exist as well:"
        f" {listed(dangling)}"
    ]


def _missing(connection: Connection, dependencies: Iterable[Dependency]) -> Iterator[Dependency]:
    seen: dict[str, set[str]] = {}
    for dependency in dependencies:
        if dependency.database not in seen:
            found = connection.strings(_OBJECTS, [dependency.database] * 2)
            seen[dependency.database] = {name.lower() for name in found}
        # Functions are called in any case; the server itself refuses a table of another case.
        if dependency.name.lower() not in seen[dependency.database]:
            yield dependency


def listed(items: Collection[object]) -> str:
    """Return `items` in words, the first few by name."""
    names = [str(each) for each in items]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
