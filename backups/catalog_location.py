"""Where the catalog lies, told so that a copy of it lies elsewhere, whatever it is called.

    postgresql:<oid of the database>:<system identifier of the server>
    file:<inode number>:<birth time in nanoseconds>

A dump and restore, a template, a copied file or folder give another place; a renamed database or
file, another address of the server, a restart and a promoted standby do not. Nor does a copy of
the server's whole data directory, which nothing in it tells from the original.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.db import Error, connection, transaction

from covetbackup.core.databases.postgresql.server.location import SYSTEM_IDENTIFIER, location_text
from covetbackup.core.databases.sqlite.server.file_btime import birth_of
from covetbackup.jobs.outage import AWAY


def place_of_catalog() -> str:
    """Return the place of the catalog that this process works with, "" if it cannot be told."""
    name = str(connection.settings_dict["NAME"])
    return _place_of_file(Path(name)) if connection.vendor == "sqlite" else _place_of_database()


def is_same(one: str, other: str) -> bool:
    """Whether both mean the same place, as far as both are known.

    Of a file the birth time decides where it is known: no copy has it, while some shared folders
    give inode numbers anew whenever they are mounted.
    """
    first, second = one.split(":"), other.split(":")
    if len(first) != 3 or len(second) != 3 or first[0] != second[0]:
        return False
    has_last = bool(first[2] and second[2])
    if first[0] == "file" and has_last:
        return first[2] == second[2]
    return first[1] == second[1] and (not has_last or first[2] == second[2])


def _place_of_file(path: Path) -> str:
    try:
        found = path.resolve()
        return f"file:{os.stat(found).st_ino}:{birth_of(found) or ''}"
    except OSError:
        return ""


def _place_of_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
        (oid,) = cursor.fetchone()
        return location_text(oid, _system())


def _system() -> object:
    """None where the role may not ask for it."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(SYSTEM_IDENTIFIER)
            return cursor.fetchone()[0]
    except Error as error:
        if isinstance(error, AWAY):
            raise
        return None
