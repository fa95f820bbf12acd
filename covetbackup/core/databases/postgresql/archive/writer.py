"""The writer of a table of contents: the head of an archive, or `toc.dat` of a directory."""

from __future__ import annotations

from collections.abc import Mapping

from covetbackup.core.databases.postgresql.archive.contents import (
    OFFSET_BYTES,
    Entry,
    TableOfContents,
)
from covetbackup.core.databases.postgresql.archive.reader import CUSTOM_FORM, INT_BYTES, MAGIC

# A directory's contents call themselves a tar's, as they are read by the same code.
_DIRECTORY_FORM = 3
_NOT_SET, _SET, _NO_DATA = 1, 2, 3


def head_of_archive(contents: TableOfContents, offsets: Mapping[int, int]) -> bytes:
    """Return the head of an archive with the data of entries at these `offsets`.

    They are bytes from the archive's beginning, by dump id. The length is `contents.size`, whatever
    the offsets.
    """
    parts = [_beginning(contents, CUSTOM_FORM)]
    for entry in contents.entries:
        parts += (entry.raw, _position(entry, offsets.get(entry.dump_id)))
    return b"".join(parts)


def toc_of_directory(contents: TableOfContents, files: Mapping[int, str]) -> bytes:
    """Return `toc.dat` of a directory with the data of entries in these `files`, by dump id."""
    parts = [_beginning(contents, _DIRECTORY_FORM)]
    for entry in contents.entries:
        parts += (entry.raw, text(files.get(entry.dump_id, "").encode()))
    return b"".join(parts)


def integer(value: int) -> bytes:
    """Return the archive's encoding of a number: a sign byte and `INT_BYTES` bytes."""
    return bytes([value < 0]) + abs(value).to_bytes(INT_BYTES, "little")


def text(value: bytes) -> bytes:
    """Return the archive's encoding of a text: its length and its bytes."""
    return integer(len(value)) + value


def _beginning(contents: TableOfContents, form: int) -> bytes:
    numbers = bytes([*contents.version, INT_BYTES, OFFSET_BYTES, form])
    return MAGIC + numbers + contents.header + integer(len(contents.entries))


def _position(entry: Entry, offset: int | None) -> bytes:
    if not entry.has_data:
        return bytes([_NO_DATA]) + bytes(OFFSET_BYTES)
    state = _NOT_SET if offset is None else _SET
    return bytes([state]) + (offset or 0).to_bytes(OFFSET_BYTES, "little")
