"""Puts an `Inventory` together, and says in words what a dump of this database will lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.inventory import counts as counting, objects, references
from covetbackup.core.databases.mysql.inventory.tables import Listing
from covetbackup.core.databases.mysql.server.connection import Connection
from covetbackup.core.databases.mysql.server.flavour import Version

_HISTORY_SINCE = (10, 11, 0)  # of server and dump program
_NAMED = 20


def read_inventory(
    connection: Connection,
    database: str,
    listing: Listing,
    *,
    counts: Mapping[str, int] = MappingProxyType({}),
) -> Inventory:
    """All there is in `database` now; rows as in `counts`, else as the engines estimate them."""
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


def keeps_history(server: Version, client: Version) -> bool:
    """Whether a dump can carry the old rows of system-versioned tables."""
    return server.is_mariadb and min(server.number, client.number) >= _HISTORY_SINCE


def limitations(listing: Listing, *, with_history: bool) -> list[str]:
    """What the dump cannot carry faithfully, one line for each table."""
    lines = [
        f"table {table.name} is of engine {table.engine}, which has no snapshots: what was written"
        " to it during the backup may be in it or not"
        for table in listing.non_empty
        if not table.transactional
    ]
    lines += _without_rows(listing)
    if not with_history:
        lines += [
            f"the history of system-versioned table {table.name} is not in the backup, only its"
            " current rows"
            for table in listing.tables
            if table.versioned
        ]
    return lines


def _without_rows(listing: Listing) -> list[str]:
    foreign = [
        f"{table.name} ({table.engine})" for table in listing.tables if not table.has_own_rows
    ]
    lines = []
    if foreign:
        lines.append(
            "of tables whose rows are those of other tables or lie outside of this server, the"
            f" backup holds the definition alone: {_listed(foreign)}"
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
