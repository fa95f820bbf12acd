"""The listing of a dump, read from its table of contents alone."""

from __future__ import annotations

from collections.abc import Mapping

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.archive.contents import TABLE_DATA
from covetbackup.core.databases.postgresql.archive.data_only import resolve_data_only
from covetbackup.core.databases.postgresql.archive.dependencies import resolve_dependencies
from covetbackup.core.databases.postgresql.archive.member_names import HEAD, is_part
from covetbackup.core.databases.postgresql.archive.omitted import describe
from covetbackup.core.databases.postgresql.archive.privileged import privileged
from covetbackup.core.databases.postgresql.archive.reader import (
    NeedsMore,
    Unsupported,
    read_contents,
)
from covetbackup.core.databases.postgresql.archive.recorded import with_recorded_dependencies
from covetbackup.core.databases.selection import ResolvedSelection, Selection
from covetbackup.core.errors import BadSetting, Incomplete


class ArchiveListing:
    """A `Listing` of the archive whose table of contents is `head`, the content of member `HEAD`.

    `sizes` are the plain sizes of all members in bytes, and `expected` is the backup's inventory.
    Raises `Incomplete` for a table of contents that cannot be read.
    """

    def __init__(self, head: bytes, sizes: Mapping[str, int], expected: Inventory) -> None:
        try:
            self._contents = with_recorded_dependencies(
                read_contents(head), expected.settings or {}
            )
        except (NeedsMore, Unsupported) as error:
            raise Incomplete(f"the contents of the dump cannot be read: {error}") from error
        self._end = sum(size for name, size in sizes.items() if is_part(name))

    def table_bytes(self) -> dict[str, int]:
        """Return the bytes of the dump that each table takes, by its label."""
        entries = sorted(self._contents.data_entries, key=lambda entry: entry.offset or 0)
        ends = [*(entry.offset or 0 for entry in entries[1:]), self._end]
        return {
            entry.name: end - (entry.offset or 0)
            for entry, end in zip(entries, ends, strict=True)
            if entry.kind == TABLE_DATA
        }

    def resolve(self, selection: Selection) -> ResolvedSelection:
        """Return what a restore of `selection` would bring. Raises `BadSetting`."""
        narrow = resolve_dependencies if selection.with_structure else resolve_data_only
        return narrow(self._contents, selection).selection

    def privileged(self, selection: Selection | None) -> tuple[str, ...]:
        """Return what only a superuser may create, without extensions. Raises `BadSetting`."""
        entries = privileged(self._contents)
        if selection is not None:
            dump_ids = resolve_dependencies(self._contents, selection).dump_ids
            entries = [entry for entry in entries if entry.dump_id in dump_ids]
        return tuple(describe(entry) for entry in entries)


def listing_member(members: Mapping[str, int]) -> str:
    """Return the member that a listing is read from. Raises `BadSetting` if there is none."""
    if HEAD not in members:
        raise BadSetting(
            "this backup is one stream, whose contents are not stored apart",
            "`cat … dump.pgc | pg_restore --list` shows them",
        )
    return HEAD
