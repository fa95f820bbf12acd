"""The selection that the options of a command name; the same for both command lines."""

from __future__ import annotations

from collections.abc import Sequence

from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting


def selection_of(
    tables: Sequence[str],
    schemas: Sequence[str],
    *,
    with_data: bool,
    with_structure: bool,
    renames: Sequence[str],
) -> Selection | None:
    """Return the selection, None for the whole database. `renames` are written OLD=NEW.

    Raises `BadSetting`."""
    if not (with_data or with_structure):
        raise BadSetting("--schema-only and --data-only leave nothing to restore")
    if tables or schemas:
        return Selection(
            tuple(tables), tuple(schemas), with_data, with_structure, tuple(map(_pair, renames))
        )
    if not with_data or not with_structure or renames:
        raise BadSetting(
            "--schema-only, --data-only and --rename-schema need --table or --schema",
            "select what is to be restored",
        )
    return None


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise BadSetting(f"{text[:200]!r} names no schema and its new name", "write OLD=NEW")
    return old, new
