"""Names of databases in a database: its own, in bodies that a copy would run on the original, and
others, which must be on a server before it can be restored there.

Read when a backup is taken and kept in its settings, so that both can be said before a restore.
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

OWN = "names_itself"
"""In the settings of a backup: a list of the triggers, routines and events whose bodies name the
database, as JSON."""

OTHERS = "needs"
"""In the settings of a backup: a list of `Need`, as JSON."""

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
class Need:
    """`kind` and `of` are what needs the table, sequence or function `name` of `database`: a view,
    or a table for a default or a foreign key of it."""

    kind: str
    of: str
    database: str
    name: str

    def __str__(self) -> str:
        needing = f"view {self.of}" if self.kind == VIEW else f"a {self.kind} of table {self.of}"
        return f"{self.database}.{self.name} ({needing})"


def read_references(connection: Connection, database: str) -> dict[str, str]:
    """Return what of a backup's settings is about names of databases."""
    found: dict[str, str] = {}
    folded = connection.value("SELECT @@global.lower_case_table_names") != 0
    naming = [
        f"{kind} {name}"
        for kind, name, body in connection.rows(_BODIES, [database] * 3)
        if body is not None and mentions(str(body).encode(), database, folded=folded)
    ]
    if naming:
        found[OWN] = json.dumps(sorted(naming))
    own = Renaming(database, database, folded)
    needs = sorted(set(_needs(connection, own)), key=_order_of)
    if needs:
        rows = [[need.kind, need.of, need.database, need.name] for need in needs]
        found[OTHERS] = json.dumps(rows)
    return found


def _order_of(need: Need) -> tuple[str, ...]:
    return need.database, need.name, need.kind, need.of


def _needs(connection: Connection, own_name: Renaming) -> Iterator[Need]:
    database, own = own_name.old, own_name.applies_to
    for view, text in connection.rows(_VIEWS, [database]):
        for other, names in databases_in(str(text or "").encode()).items():
            yield from (Need(VIEW, view, other, name) for name in names if not own(other))
    for table, default in connection.rows(_DEFAULTS, [database]):
        for other, name in _SEQUENCE.findall(str(default)):
            plain = other.replace("``", "`"), name.replace("``", "`")
            if not own(plain[0]):
                yield Need(DEFAULT, table, *plain)
    for table, other, name in connection.rows(_KEYS, [database, database]):
        yield Need(KEY, table, other, name)


def naming_itself(expected: Inventory) -> list[str]:
    """Return the triggers, routines and events whose bodies name the database that was backed up;
    nothing for a backup that did not record them."""
    return [str(name) for name in json.loads((expected.settings or {}).get(OWN, "[]"))]


def needs_of(expected: Inventory) -> list[Need]:
    """Return what the backup needs of other databases; nothing if it did not record that."""
    rows = json.loads((expected.settings or {}).get(OTHERS, "[]"))
    return [Need(*map(str, row)) for row in rows]


def warnings(expected: Inventory) -> list[str]:
    """Return what is to be said of a backup with these references."""
    name = (expected.settings or {}).get("database", "")
    lines = []
    naming = naming_itself(expected)
    if naming:
        lines.append(
            f"restored under another name, these act on {name!r} and not on the copy, as their"
            f" bodies name it: {listed(naming)}; leave the name out of them"
        )
    needs = needs_of(expected)
    if needs:
        lines.append(
            "a restore needs from other databases, which must be on its server before:"
            f" {listed(needs)}; back these databases up too"
        )
    return lines


def on_the_original(expected: Inventory, target: str) -> str:
    """Return what to know before a restore as `target`: which bodies would act on the original;
    "" if there are none, or it gets its own name."""
    name = (expected.settings or {}).get("database", "")
    naming = naming_itself(expected)
    if not naming or not is_copy(expected, target):
        return ""
    return (
        f"the bodies of these name database {name!r} and will act on it, not on {target!r}:"
        f" {listed(naming)}"
    )


def events_of_a_copy(expected: Inventory, target: str, *, replaces: bool) -> str:
    """Return what to know before a restore as `target` of its events; "" if they run as they did.

    In a copy that replaces a database only those do not run whose bodies name the original.
    """
    count = (expected.objects or {}).get("event", 0)
    if not count or not is_copy(expected, target):
        return ""
    which = "those events whose bodies name the original" if replaces else "its events"
    name = (expected.settings or {}).get("database", "")
    return f"as {target!r} is a copy of {name!r}, {which} will be disabled"


def is_copy(expected: Inventory, target: str) -> bool:
    """Whether a restore as `target` gives the database another name than it was backed up under."""
    settings = expected.settings or {}
    folded = settings.get("lower_case_table_names", "0") != "0"
    return not Renaming(settings.get("database", ""), target, folded).applies_to(target)


def refuse_missing(
    connection: Connection, expected: Inventory, chosen: Collection[str] | None = None
) -> None:
    """Raises `BadSetting` naming what of other databases this server lacks without which a view or
    a table could not be created; of a selection only for the tables and views `chosen`."""
    missing = [
        need
        for need in _missing(connection, needs_of(expected))
        if need.kind != KEY and (chosen is None or need.of in chosen)
    ]
    if missing:
        raise BadSetting(
            f"this server lacks, or hides from this account, what the backup needs from other"
            f" databases: {listed(missing)}",
            "restore these databases first, or grant SELECT and EXECUTE on them; of databases that"
            " need each other restore one without its views: name its tables with --table",
        )


def risks(connection: Connection, expected: Inventory) -> list[str]:
    """Return what is to be known of references of the backup before a restore on this server."""
    dangling = [need for need in _missing(connection, needs_of(expected)) if need.kind == KEY]
    if not dangling:
        return []
    return [
        f"rows cannot be added until what foreign keys refer to is here as well: {listed(dangling)}"
    ]


def _missing(connection: Connection, needs: Iterable[Need]) -> Iterator[Need]:
    seen: dict[str, set[str]] = {}
    for need in needs:
        if need.database not in seen:
            found = connection.strings(_OBJECTS, [need.database] * 2)
            seen[need.database] = {name.lower() for name in found}
        # Functions are called in any case; a table that differs in case only is told by the server.
        if need.name.lower() not in seen[need.database]:
            yield need


def listed(things: Collection[object]) -> str:
    """Return `things` in words, the first few by name."""
    names = [str(thing) for thing in things]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
