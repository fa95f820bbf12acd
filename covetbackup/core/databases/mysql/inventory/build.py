"""Builds the `Inventory` of a database, and the warnings about what its dump will lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from covetbackup.core.databases.base import Probe
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.inventory import counts as counting, objects, references
from covetbackup.core.databases.mysql.inventory.tables import TableListing
from covetbackup.core.databases.mysql.server.clients import MysqlClients
from covetbackup.core.databases.mysql.server.connection import Connection
from covetbackup.core.databases.mysql.server.flavour import Version

_HISTORY_SINCE = (10, 11, 0)  # of server and dump program
_NAMED = 20


def read_inventory(
    connection: Connection,
    database: str,
    listing: TableListing,
    *,
    counts: Mapping[str, int] = MappingProxyType({}),
) -> Inventory:
    """Return what `database` holds now; rows by table as in `counts`, else as estimated."""
    return Inventory(
        tables=counting.table_facts(listing.tables, counts),
        sequences=objects.sequence_facts(connection, database, listing),
        objects=objects.object_counts(connection, database),
        roles=objects.definers(connection, database),
        settings={
            **objects.properties(connection, database),
            **references.read_references(connection, database),
        },
    )


def dumps_history(server: Version, client: Version) -> bool:
    """Return whether a dump contains the old rows of system-versioned tables."""
    return server.is_mariadb and min(server.number, client.number) >= _HISTORY_SINCE


def limitations(listing: TableListing, *, with_history: bool) -> list[str]:
    """Return warnings about what the dump cannot hold exactly, a line each."""
    lines = [
        f"table {table.name} is of engine {table.engine}, which has no snapshots: rows written to"
        " it during the backup may be in the backup or not"
        for table in listing.non_empty
        if not table.transactional
    ]
    lines += _definition_only(listing)
    if not with_history:
        lines += [
            f"the history of system-versioned table {table.name} is not in the backup, only its"
            " current rows"
            for table in listing.tables
            if table.versioned
        ]
    return lines


def _definition_only(listing: TableListing) -> list[str]:
    definition_only = [
        f"{table.name} ({table.engine})" for table in listing.tables if not table.has_own_rows
    ]
    lines = []
    if definition_only:
        lines.append(
            "the backup holds only the definitions of tables whose rows are in other tables or"
            f" outside of this server: {_listed(definition_only)}"
        )
    if listing.not_dumped:
        lines.append(
            "tables of engine S3 stay in their object storage and are not in the backup:"
            f" {_listed(listing.not_dumped)}"
        )
    return lines


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def probe_of(connection: Connection, clients: MysqlClients, listing: TableListing) -> Probe:
    """Return what is known of the database of `connection` before a backup."""
    return Probe(
        "mysql",
        connection.version.text,
        clients.version.text,
        connection.settings.database,
        listing.size_bytes,
    )
