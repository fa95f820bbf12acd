"""Writes a table of contents: as the head of an archive, or as `toc.dat` of a directory."""

from __future__ import annotations

from collections.abc import Mapping

from covetbackup.core.databases.postgresql.archive.contents import OFFSET_BYTES, Contents, Entry
from covetbackup.core.databases.postgresql.archive.reader import CUSTOM_FORM, INT_BYTES, MAGIC

# A directory's contents call themselves a tar's, as they are read by the same code.
_DIRECTORY_FORM = 3
_NOT_SET, _SET, _NO_DATA = 1, 2, 3


def head_of_archive(contents: Contents, offsets: Mapping[int, int]) -> bytes:
    """`contents` with its data where `offsets` says: bytes from the archive's beginning by dump
    id. As long as `contents.size`, whatever the offsets."""
    parts = [_beginning(contents, CUSTOM_FORM)]
    for entry in contents.entries:
        parts += (entry.raw, _position(entry, offsets.get(entry.dump_id)))
    return b"".join(parts)


def toc_of_directory(contents: Contents, files: Mapping[int, str]) -> bytes:
    """`contents` with its data in `files`, by dump id."""
    parts = [_beginning(contents, _DIRECTORY_FORM)]
    for entry in contents.entries:
        parts += (entry.raw, text(files.get(entry.dump_id, "").encode()))
    return b"".join(parts)


def integer(value: int) -> bytes:
    return bytes([value < 0]) + abs(value).to_bytes(INT_BYTES, "little")


def text(value: bytes) -> bytes:
    return integer(len(value)) + value


def _beginning(contents: Contents, form: int) -> bytes:
    numbers = bytes([*contents.version, INT_BYTES, OFFSET_BYTES, form])
    return MAGIC + numbers + contents.about + integer(len(contents.entries))


def _position(entry: Entry, offset: int | None) -> bytes:
    if not entry.has_data:
        return bytes([_NO_DATA]) + bytes(OFFSET_BYTES)
    state = _NOT_SET if offset is None else _SET
    return bytes([state]) + (offset or 0).to_bytes(OFFSET_BYTES, "little")
