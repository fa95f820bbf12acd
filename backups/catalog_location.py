"""Location of the catalog, which differs for a copy of it."""

from __future__ import annotations

from django.db import Error, connection, transaction

from covetbackup.core.databases.registry import kind_named
from covetbackup.jobs.outage import AWAY


def location_of_catalog() -> str:
    """Return the location of the catalog that this process works with, "" if it cannot be told."""
    return kind_named(connection.vendor).own_location(str(connection.settings_dict["NAME"]), _ask)


def _ask(query: str) -> object:
    """Return the first value of the answer to `query`, None where the role may not ask."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchone()[0]
    except Error as error:
        if isinstance(error, AWAY):
            raise
        return None
