"""The schemas and tables of a backup that can be selected, and those that are.

The catalog's inventory of the backup lists them. Keys stand for names in addresses and forms: a
name may hold a line break, which forms change, and a hundred long names are more than an address
may be. A backup never changes, so neither do they.
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
MOST_SELECTED = 150
"""With these in it an address is below the 4 094 bytes that gunicorn takes."""


@dataclass(frozen=True, slots=True)
class SelectableItem:
    """A whole schema with its number of `tables`, or one table of a `schema` with its `rows`.

    `rows` is None if it is unknown.
    """

    key: str
    name: str
    is_schema: bool
    tables: int = 1
    rows: int | None = None
    exact: bool = False
    schema: str = ""


@dataclass(frozen=True, slots=True)
class ItemPage:
    """One page of the matching items that are not selected, counted from 1."""

    items: Sequence[SelectableItem]
    number: int
    pages: int
    matching: int


def inventory_of(backup: Backup) -> Inventory:
    """Return the inventory in the catalog; empty, if another version wrote it."""
    try:
        return Inventory.from_json(backup.inventory)
    except (KeyError, TypeError, ValueError):
        return Inventory()


def items_of(backup: Backup) -> dict[str, SelectableItem]:
    """Return the items by key, schemas before tables. Empty if the catalog knows no contents."""
    tables = inventory_of(backup).tables
    counts = Counter(table.schema for table in tables if table.schema)
    schemas = [
        SelectableItem(f"s{number}", name, is_schema=True, tables=counts[name])
        for number, name in enumerate(sorted(counts))
    ]
    items = [*schemas, *(_table(number, table) for number, table in enumerate(tables))]
    return {item.key: item for item in items}


def selected_items(items: dict[str, SelectableItem], keys: Sequence[str]) -> list[SelectableItem]:
    """Return the items of `keys`, each once; unknown keys are ignored."""
    return [items[key] for key in dict.fromkeys(keys) if key in items]


def selected_schemas(
    items: dict[str, SelectableItem], selected: Sequence[SelectableItem]
) -> list[SelectableItem]:
    """Return the schemas of the selected items, whole or not, by name."""
    names = {item.name if item.is_schema else item.schema for item in selected}
    return [item for item in items.values() if item.is_schema and item.name in names]


def sizes_of(items: dict[str, SelectableItem], table_bytes: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes by key; of a schema the sum of its tables, as far as they are known."""
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
    items: dict[str, SelectableItem],
    selected: Sequence[SelectableItem],
    wanted: str = "",
    number: int = 1,
) -> ItemPage:
    """Return the page `number`, or the nearest there is, of items with `wanted` in their names."""
    taken, wanted = {item.key for item in selected}, wanted.strip().lower()
    found = [
        item for item in items.values() if item.key not in taken and wanted in item.name.lower()
    ]
    pages = max(1, -(-len(found) // PAGE_SIZE))
    number = min(max(1, number), pages)
    first = (number - 1) * PAGE_SIZE
    return ItemPage(found[first : first + PAGE_SIZE], number, pages, len(found))


def selection_of(backup: Backup, keys: Sequence[str], **how: Any) -> Selection:
    """Return the selection of `keys`; see `as_selection`.

    Raises `BadSetting` for no keys, for too many, and for unknown ones.
    """
    items = items_of(backup)
    selected = selected_items(items, keys)
    if not keys:
        raise BadSetting(
            "nothing is selected", "select schemas or tables, or restore the whole database"
        )
    if len(selected) < len(set(keys)):
        raise BadSetting(
            "the backup does not hold everything that is selected", "change the selection"
        )
    if len(selected) > MOST_SELECTED:
        raise BadSetting(
            f"more than {MOST_SELECTED} items are selected",
            "select whole schemas; the command line takes any number of --table",
        )
    return as_selection(selected, **how)


def as_selection(selected: Sequence[SelectableItem], **how: Any) -> Selection:
    """Return the selection of the selected items; `how` are the other fields of a selection."""
    return Selection(
        tables=tuple(item.name for item in selected if not item.is_schema),
        schemas=tuple(item.name for item in selected if item.is_schema),
        **how,
    )


def _table(number: int, table: TableFacts) -> SelectableItem:
    return SelectableItem(
        f"t{number}",
        table.label,
        is_schema=False,
        rows=table.rows,
        exact=table.exact,
        schema=table.schema,
    )
