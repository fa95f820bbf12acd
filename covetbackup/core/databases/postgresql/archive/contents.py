"""What a table of contents says. Reads and writes nothing.

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
    """When pg_restore runs an entry; those of none go with the entries before them."""

    NONE = 1
    PRE_DATA = 2
    DATA = 3
    POST_DATA = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a dump.

    `raw` is the entry as it was written, without its last field, which says where its data is:
    `offset` in bytes from the beginning of the archive, None where that is not written down.
    `catalog` is the oid of the system catalog that has the object's own `oid`, 0 if it has none.
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
    needs: tuple[int, ...]
    raw: bytes
    offset: int | None = None
    owner: bytes = b""
    tablespace: bytes = b""
    codec: str = "utf-8"
    catalog: int = 0

    @property
    def name(self) -> str:
        """For people."""
        return ".".join(self.text(word) for word in (self.schema, self.tag) if word)

    @property
    def is_setting(self) -> bool:
        """Whether it says how the others are written, and is needed wherever one of these is."""
        return self.kind in (b"ENCODING", b"STDSTRINGS", b"SEARCHPATH")

    def text(self, word: bytes) -> str:
        """A word of this entry for people."""
        return word.decode(self.codec, errors="replace")


@dataclass(frozen=True, slots=True)
class Contents:
    """A whole table of contents. `about` is what stands between the archive's first 11 bytes and
    the number of entries; `size` are the bytes it takes in an archive of the custom form."""

    version: tuple[int, int, int]
    is_compressed: bool
    about: bytes
    entries: tuple[Entry, ...]
    size: int

    @property
    def codec(self) -> str:
        """Of the names in it, as Python calls it."""
        return self.entries[0].codec if self.entries else "utf-8"

    @property
    def data_entries(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.has_data)

    def kept(self, is_retained: Callable[[Entry], bool]) -> Contents:
        """The contents without the entries that are not; what needed those does without."""
        entries = tuple(entry for entry in self.entries if is_retained(entry))
        gone = sum(_size(entry) for entry in self.entries) - sum(map(_size, entries))
        return replace(self, entries=entries, size=self.size - gone)

    def within(self, *sections: Section) -> Contents:
        """Return the contents of these sections alone. Comments, labels and grants have none of
        their own and are in that of the entry before them, as pg_restore sees it."""
        current, found = Section.PRE_DATA, set()
        for entry in self.entries:
            current = entry.section if entry.section is not Section.NONE else current
            if current in sections:
                found.add(entry.dump_id)
        return self.kept(lambda entry: entry.dump_id in found or entry.is_setting)

    def altered(self, alter: Callable[[Entry], Entry]) -> Contents:
        """The contents with other texts in their entries, to be looked at: in what is written of
        them (`raw`) nothing changes."""
        return replace(self, entries=tuple(map(alter, self.entries)))


OFFSET_BYTES = 8


def _size(entry: Entry) -> int:
    return len(entry.raw) + 1 + OFFSET_BYTES
