"""What is in a dump, told from its table of contents alone."""

from __future__ import annotations

from collections.abc import Mapping

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.archive.contents import TABLE_DATA
from covetbackup.core.databases.postgresql.archive.data_only import close_rows
from covetbackup.core.databases.postgresql.archive.dependencies import close
from covetbackup.core.databases.postgresql.archive.member_names import HEAD, is_part
from covetbackup.core.databases.postgresql.archive.omitted import described
from covetbackup.core.databases.postgresql.archive.privileged import privileged
from covetbackup.core.databases.postgresql.archive.reader import (
    NeedsMore,
    Unsupported,
    read_contents,
)
from covetbackup.core.databases.postgresql.archive.recorded import with_recorded_needs
from covetbackup.core.databases.selection import ResolvedSelection, Selection
from covetbackup.core.errors import BadSetting, Incomplete


class Listing:
    """`head` is the member `HEAD`; `sizes` are the plain sizes of all members in bytes, and
    `expected` is what the backup holds."""

    def __init__(self, head: bytes, sizes: Mapping[str, int], expected: Inventory) -> None:
        try:
            self._contents = with_recorded_needs(read_contents(head), expected.settings or {})
        except (NeedsMore, Unsupported) as error:
            raise Incomplete(f"the contents of the dump cannot be read: {error}") from error
        self._end = sum(size for name, size in sizes.items() if is_part(name))

    def table_bytes(self) -> dict[str, int]:
        """How much of the dump each table is, in bytes."""
        entries = sorted(self._contents.data_entries, key=lambda entry: entry.offset or 0)
        ends = [*(entry.offset or 0 for entry in entries[1:]), self._end]
        return {
            entry.name: end - (entry.offset or 0)
            for entry, end in zip(entries, ends, strict=True)
            if entry.kind == TABLE_DATA
        }

    def chosen(self, selection: Selection) -> ResolvedSelection:
        """What a restore of `selection` would bring. Raises `BadSetting`."""
        narrow = close if selection.with_structure else close_rows
        return narrow(self._contents, selection).chosen

    def privileged(self, selection: Selection | None) -> tuple[str, ...]:
        """Return what only a superuser may create, extensions apart. Raises `BadSetting`."""
        entries = privileged(self._contents)
        if selection is not None:
            dump_ids = close(self._contents, selection).dump_ids
            entries = [entry for entry in entries if entry.dump_id in dump_ids]
        return tuple(described(entry) for entry in entries)


def head_of(members: Mapping[str, int]) -> str:
    """The member that a listing needs. Raises `BadSetting` if there is none."""
    if HEAD not in members:
        raise BadSetting(
            "this backup is one stream, whose contents are not stored apart",
            "`cat … dump.pgc | pg_restore --list` shows them",
        )
    return HEAD
