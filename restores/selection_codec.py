"""A selection as it is kept, shown and typed. What can be selected stands in `picking`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from covetbackup.core.databases.checks import join_names
from covetbackup.core.databases.selection import Selection


def to_json(selection: Selection | None) -> dict[str, Any] | None:
    return None if selection is None else asdict(selection)


def from_json(data: dict[str, Any] | None) -> Selection | None:
    if data is None:
        return None
    # Selections that were kept before there was a choice have no word on these.
    return Selection(
        tuple(data["tables"]),
        tuple(data["schemas"]),
        data["with_data"],
        data.get("with_structure", True),
        tuple((old, new) for old, new in data.get("schemas_as", ())),
    )


def options_of(selection: Selection | None) -> list[str]:
    """What stands for it on a command line."""
    if selection is None:
        return []
    schemas = [f"--schema={name}" for name in selection.schemas]
    tables = [f"--table={name}" for name in selection.tables]
    renames = [f"--rename-schema={old}={new}" for old, new in selection.schemas_as]
    parts = _part_of(selection, "--schema-only", "--data-only")
    return [*schemas, *tables, *renames, *parts]


def text_of(selection: Selection | None) -> str:
    """ "schema sales, public.orders and 3 more, structure only"."""
    if selection is None:
        return "everything"
    names = [*(f"schema {name}" for name in selection.schemas), *selection.tables]
    renames = [f"schema {old} as {new}" for old, new in selection.schemas_as]
    parts = _part_of(selection, "structure only", "data only")
    return ", ".join([join_names(names), *renames, *parts])


def _part_of(selection: Selection, structure: str, data: str) -> list[str]:
    """What is said of a selection that is less than both."""
    left = [] if selection.with_data else [structure]
    return left if selection.with_structure else [*left, data]
