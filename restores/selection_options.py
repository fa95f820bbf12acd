"""What of a backup can be chosen, as the catalog's inventory of it says, and what was chosen.

Keys stand for names in addresses and forms: a name may hold a line break, which forms change, and
a hundred long names are more than an address may be. A backup never changes, so neither do they.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backups.models import Backup
from covetbackup.core.databases.inventory import Inventory, TableFacts
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting

PAGE_SIZE = 100
MOST_PICKED = 150
"""With these in it an address is below the 4 094 bytes that gunicorn takes."""


@dataclass(frozen=True, slots=True)
class Item:
    """A whole schema with so many `tables`, or one table of a `schema` with its `rows`, None if
    unknown."""

    key: str
    name: str
    is_schema: bool
    tables: int = 1
    rows: int | None = None
    exact: bool = False
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Of the items that match and are not picked those of one page, counted from 1."""

    items: Sequence[Item]
    number: int
    pages: int
    matching: int


def inventory_of(backup: Backup) -> Inventory:
    """What the catalog knows of the contents; nothing, if it was filled by another version."""
    try:
        return Inventory.from_json(backup.inventory)
    except (KeyError, TypeError, ValueError):
        return Inventory()


def items_of(backup: Backup) -> dict[str, Item]:
    """By key, schemas before tables. Empty if the catalog knows no contents."""
    tables = inventory_of(backup).tables
    counts = Counter(table.schema for table in tables if table.schema)
    schemas = [
        Item(f"s{number}", name, is_schema=True, tables=counts[name])
        for number, name in enumerate(sorted(counts))
    ]
    items = [*schemas, *(_table(number, table) for number, table in enumerate(tables))]
    return {item.key: item for item in items}


def picked_of(items: dict[str, Item], keys: Sequence[str]) -> list[Item]:
    """What `keys` stand for, each once, as far as there is such a thing."""
    return [items[key] for key in dict.fromkeys(keys) if key in items]


def schemas_of(items: dict[str, Item], picked: Sequence[Item]) -> list[Item]:
    """The schemas of what is picked, whole or not, by name."""
    names = {item.name if item.is_schema else item.schema for item in picked}
    return [item for item in items.values() if item.is_schema and item.name in names]


def sizes_of(items: dict[str, Item], table_bytes: Mapping[str, int]) -> dict[str, int]:
    """By key: of a schema the sum of its tables, as far as their sizes are known."""
    keys = {item.name: item.key for item in items.values() if item.is_schema}
    sizes: dict[str, int] = {}
    for item in items.values():
        if not item.is_schema and item.name in table_bytes:
            sizes[item.key] = table_bytes[item.name]
            if item.schema:
                whole = keys[item.schema]
                sizes[whole] = sizes.get(whole, 0) + table_bytes[item.name]
    return sizes


def page_of(
    items: dict[str, Item], picked: Sequence[Item], wanted: str = "", number: int = 1
) -> Page:
    """The page `number`, or the nearest there is, of what has `wanted` in its name."""
    taken, wanted = {item.key for item in picked}, wanted.strip().lower()
    found = [
        item for item in items.values() if item.key not in taken and wanted in item.name.lower()
    ]
    pages = max(1, -(-len(found) // PAGE_SIZE))
    number = min(max(1, number), pages)
    first = (number - 1) * PAGE_SIZE
    return Page(found[first : first + PAGE_SIZE], number, pages, len(found))


def selection_of(backup: Backup, keys: Sequence[str], **how: Any) -> Selection:
    """As `as_selection`. Raises `BadSetting` for no keys, for too many, and for those of nothing in
    the backup."""
    items = items_of(backup)
    picked = picked_of(items, keys)
    if not keys:
        raise BadSetting(
            "nothing is selected", "select schemas or tables, or restore the whole database"
        )
    if len(picked) < len(set(keys)):
        raise BadSetting(
            "the backup does not hold everything that is selected", "change the selection"
        )
    if len(picked) > MOST_PICKED:
        raise BadSetting(
            f"more than {MOST_PICKED} items are selected",
            "select whole schemas; the command line takes any number of --table",
        )
    return as_selection(picked, **how)


def as_selection(picked: Sequence[Item], **how: Any) -> Selection:
    """Of what is `picked`; `how` are the other fields of a selection."""
    return Selection(
        tables=tuple(item.name for item in picked if not item.is_schema),
        schemas=tuple(item.name for item in picked if item.is_schema),
        **how,
    )


def _table(number: int, table: TableFacts) -> Item:
    return Item(
        f"t{number}",
        table.label,
        is_schema=False,
        rows=table.rows,
        exact=table.exact,
        schema=table.schema,
    )
