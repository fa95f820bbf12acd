"""The names of a backup's members, and what each is for."""

from __future__ import annotations

SCHEMA = "schema.sql"
PROGRAMS = "programs.sql"
EVENTS = "events.sql"
USERS = "users.sql"
MAP = "tables.json"
_DATA = "data-"


def data_name(number: int) -> str:
    """The member with the rows of the group of tables `number`, from 1."""
    return f"{_DATA}{number:04}.sql"


def is_data(member: str) -> bool:
    return member.startswith(_DATA) and member.endswith(".sql")


def is_dump(member: str) -> bool:
    """Whether the dump program wrote it, with its end mark."""
    return is_data(member) or member in (SCHEMA, PROGRAMS, EVENTS)
