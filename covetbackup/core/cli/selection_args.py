"""The options of a restore that both programs have: the selection, and those of single kinds."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from covetbackup.core.databases.registry import further_options
from covetbackup.core.databases.restore_target import flag_of
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting


def add_selection(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options to `parser`; return their group, for those that one program has besides."""
    selection = parser.add_argument_group("selection (not SQLite)")
    selection.add_argument(
        "--table",
        action="append",
        default=[],
        metavar="TABLE",
        help="only this table (PostgreSQL: SCHEMA.TABLE); repeat",
    )
    selection.add_argument(
        "--schema", action="append", default=[], help="only this schema, all of it; repeat"
    )
    selection.add_argument(
        "--schema-only", action="store_true", help="definitions without rows; needs a selection"
    )
    selection.add_argument(
        "--rename-schema",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="restore what is selected of schema OLD as schema NEW (PostgreSQL); repeat",
    )
    return selection


def add_further_options(group: argparse._ArgumentGroup) -> None:
    """Add the further options of all kinds to `group`; those given are the list `options`."""
    for name, line in further_options().items():
        group.add_argument(
            flag_of(name),
            dest="options",
            action="append_const",
            const=name,
            default=[],
            help=line,
        )


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
