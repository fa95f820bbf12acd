"""Requirements of a backup's tables on a server, recorded by the backup, checked before a restore.

They are a max_allowed_packet that holds their rows, and names that may differ in case alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence

from covetbackup.core.databases.checks import Incompatibility, join_names
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.inventory.tables import TableListing
from covetbackup.core.databases.mysql.server.connection import Connection

WIDEST = "widest_rows"
"""In a backup's settings, as JSON: bytes of the longest statement of one row, by table."""

_NOTED_BYTES = 1 << 20  # dump programs make statements of that length of narrow rows
_MEBIBYTE = 1 << 20
_NAMED = 20


def widest(longest: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Return the length of the longest line by table, in bytes, from those of each member.

    Only lengths that a single row must have caused are counted.
    """
    found: dict[str, int] = {}
    for each in longest:
        for table, size in each.items():
            if size > 2 * _NOTED_BYTES:
                found[table] = max(size, found.get(table, 0))
    return found


def recorded(wide: Mapping[str, int]) -> dict[str, str]:
    """Return `wide` as settings for a backup."""
    return {WIDEST: json.dumps(wide)}


def limitations(
    connection: Connection,
    listing: TableListing,
    wide: Mapping[str, int],
) -> list[str]:
    """Return warnings of the backup about requirements that not every server meets."""
    lines = []
    packet = _packet(connection)
    too_wide = _too_wide(wide, packet)
    if too_wide:
        lines.append(
            f"rows that need a larger max_allowed_packet to be restored than this server's"
            f" ({packet} bytes): {join_names(too_wide, _NAMED)};"
            f" before a restore: {_packet_for(wide)}"
        )
    alike = _alike(listing.names)
    if alike:
        lines.append(
            f"names that differ in case alone: {join_names(alike, _NAMED)}; servers with"
            " lower_case_table_names = 1 or 2 cannot take them together"
        )
    return lines


def unmet(
    connection: Connection, expected: Inventory, tables: Collection[str] | None
) -> Iterator[Incompatibility]:
    """Yield why `tables` of the backup (None: all) cannot be restored to this server."""
    settings = expected.settings or {}
    wide = _chosen(json.loads(settings.get(WIDEST, "{}")), tables)
    too_wide = _too_wide(wide, _packet(connection))
    if too_wide:
        meaning = f"max_allowed_packet ({_packet(connection)}) is too small for rows of"
        yield Incompatibility(
            "Row size", f"{meaning} {join_names(too_wide, _NAMED)}", _packet_for(wide)
        )
    names = [table.name for table in expected.tables]
    alike = _alike([name for name in names if tables is None or name in tables])
    if alike and lower_case(connection):
        yield Incompatibility(
            "Names",
            "tables whose names differ in case alone cannot both be here:"
            f" {join_names(alike, _NAMED)}",
            "restore one of them alone (--table), or to a server with lower_case_table_names = 0",
        )


def of_rows(expected: Inventory) -> Inventory:
    """Return an inventory with those requirements that apply to rows into existing tables."""
    settings = expected.settings or {}
    return Inventory(settings={WIDEST: settings[WIDEST]} if WIDEST in settings else None)


def lower_case(connection: Connection) -> bool:
    """Return whether names that differ in case alone are the same on this server."""
    return str(connection.value("SELECT @@global.lower_case_table_names")) != "0"


def _chosen(found: Mapping[str, int], tables: Collection[str] | None) -> dict[str, int]:
    return {name: value for name, value in found.items() if tables is None or name in tables}


def _alike(names: Collection[str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.lower(), []).append(name)
    return [" and ".join(sorted(group)) for group in groups.values() if len(group) > 1]


def _too_wide(wide: Mapping[str, int], packet: int) -> list[str]:
    return [f"{table} ({size} bytes)" for table, size in sorted(wide.items()) if size > packet]


def _packet(connection: Connection) -> int:
    return int(connection.value("SELECT @@global.max_allowed_packet"))


def _packet_for(wide: Mapping[str, int]) -> str:
    needed = (max(wide.values()) // _MEBIBYTE + 2) * _MEBIBYTE
    return f"SET GLOBAL max_allowed_packet = {needed}"
