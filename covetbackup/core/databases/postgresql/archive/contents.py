"""The model of an archive's table of contents. Pure: it is read and written elsewhere.

The format is that of PostgreSQL's own client programs (src/bin/pg_dump, `pg_backup_archiver.c` and
`pg_backup_custom.c`), archive versions 1.14 (PostgreSQL 12) to 1.16 (PostgreSQL 17).
Texts stay bytes, in the encoding of the dump.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum

VERSIONS = ((1, 14), (1, 15), (1, 16))

TABLE_DATA = b"TABLE DATA"
BLOBS = b"BLOBS"
BLOB = b"BLOB"
BLOB_METADATA = b"BLOB METADATA"


class Section(IntEnum):
    """The section in which pg_restore runs an entry; `NONE` is that of the entry before it."""

    NONE = 1
    PRE_DATA = 2
    DATA = 3
    POST_DATA = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a dump.

    `dependencies` are dump ids. `raw` is the entry as it was written, without its last field, which
    says where its data is: `offset` in bytes from the beginning of the archive, None where that is
    not recorded. `catalog` is the oid of the system catalog that has the object's own `oid`, 0 if
    it has none. `codec` is Python's name for the encoding of the texts.
    """

    dump_id: int
    has_data: bool
    oid: int
    tag: bytes
    kind: bytes
    section: Section
    definition: bytes
    copy_statement: bytes
    schema: bytes
    dependencies: tuple[int, ...]
    raw: bytes
    offset: int | None = None
    owner: bytes = b""
    tablespace: bytes = b""
    codec: str = "utf-8"
    catalog: int = 0

    @property
    def name(self) -> str:
        """The name to show: "schema.tag", or the tag of an object in no schema."""
        return ".".join(self.text(word) for word in (self.schema, self.tag) if word)

    @property
    def is_setting(self) -> bool:
        """Whether it says how other entries are written, and so is needed with any of them."""
        return self.kind in (b"ENCODING", b"STDSTRINGS", b"SEARCHPATH")

    def text(self, word: bytes) -> str:
        """Return a `word` of this entry as text to show."""
        return word.decode(self.codec, errors="replace")


@dataclass(frozen=True, slots=True)
class TableOfContents:
    """A whole table of contents.

    `header` is what stands between the archive's first 11 bytes and the number of entries; `size`
    is its length in bytes in an archive of the custom format.
    """

    version: tuple[int, int, int]
    is_compressed: bool
    header: bytes
    entries: tuple[Entry, ...]
    size: int

    @property
    def codec(self) -> str:
        """Python's name for the encoding of its texts."""
        return self.entries[0].codec if self.entries else "utf-8"

    @property
    def data_entries(self) -> tuple[Entry, ...]:
        """The entries that have data in the archive, in its order."""
        return tuple(entry for entry in self.entries if entry.has_data)

    def filter(self, is_retained: Callable[[Entry], bool]) -> TableOfContents:
        """Return the contents with only the entries for which `is_retained` returns True.

        Dependencies on the others stay in the entries, and pg_restore ignores them.
        """
        entries = tuple(entry for entry in self.entries if is_retained(entry))
        gone = sum(_size(entry) for entry in self.entries) - sum(map(_size, entries))
        return replace(self, entries=entries, size=self.size - gone)

    def within(self, *sections: Section) -> TableOfContents:
        """Return the contents of only these sections.

        Comments, labels and grants have no section of their own and are in that of the entry before
        them, as pg_restore sees it.
        """
        current, found = Section.PRE_DATA, set()
        for entry in self.entries:
            current = entry.section if entry.section is not Section.NONE else current
            if current in sections:
                found.add(entry.dump_id)
        return self.filter(lambda entry: entry.dump_id in found or entry.is_setting)

    def map_entries(self, alter: Callable[[Entry], Entry]) -> TableOfContents:
        """Return the contents with each entry replaced by `alter`, to be inspected only.

        What is written of them (`raw`) does not change.
        """
        return replace(self, entries=tuple(map(alter, self.entries)))


OFFSET_BYTES = 8


def _size(entry: Entry) -> int:
    return len(entry.raw) + 1 + OFFSET_BYTES
