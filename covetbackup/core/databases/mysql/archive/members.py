"""The names of a backup's members."""

from __future__ import annotations

SCHEMA = "schema.sql"
PROGRAMS = "programs.sql"
EVENTS = "events.sql"
USERS = "users.sql"
MAP = "tables.json"
_DATA = "data-"


def data_name(number: int) -> str:
    """Return the name of the member with the rows of part `number`, from 1."""
    return f"{_DATA}{number:04}.sql"


def is_data(member: str) -> bool:
    """Return whether the member holds rows."""
    return member.startswith(_DATA) and member.endswith(".sql")


def is_dump(member: str) -> bool:
    """Return whether the member is a dump, which ends with the dump program's end mark."""
    return is_data(member) or member in (SCHEMA, PROGRAMS, EVENTS)
