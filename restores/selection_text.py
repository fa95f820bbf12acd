"""A selection as text: the options of a command line, and words for people."""

from __future__ import annotations

from covetbackup.core.databases.checks import join_names
from covetbackup.core.databases.selection import Selection


def options_of(selection: Selection | None) -> list[str]:
    """Return the options of the command line that select the same."""
    if selection is None:
        return []
    schemas = [f"--schema={name}" for name in selection.schemas]
    tables = [f"--table={name}" for name in selection.tables]
    renames = [f"--rename-schema={old}={new}" for old, new in selection.schemas_as]
    parts = _part_of(selection, "--schema-only", "--data-only")
    return [*schemas, *tables, *renames, *parts]


def text_of(selection: Selection | None) -> str:
    """Return words such as "schema sales, public.orders and 3 more, structure only"."""
    if selection is None:
        return "everything"
    names = [*(f"schema {name}" for name in selection.schemas), *selection.tables]
    renames = [f"schema {old} as {new}" for old, new in selection.schemas_as]
    parts = _part_of(selection, "structure only", "data only")
    return ", ".join([join_names(names), *renames, *parts])


def _part_of(selection: Selection, structure: str, data: str) -> list[str]:
    """Return `structure` or `data` for a selection that is only that, else nothing."""
    left = [] if selection.with_data else [structure]
    return left if selection.with_structure else [*left, data]
