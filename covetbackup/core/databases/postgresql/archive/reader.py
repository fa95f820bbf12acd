"""The reader of the table of contents at the beginning of an archive."""

from __future__ import annotations

import struct
from dataclasses import replace

from covetbackup.core.databases.postgresql.archive.contents import (
    OFFSET_BYTES,
    VERSIONS,
    Entry,
    Section,
    TableOfContents,
)
from covetbackup.core.databases.postgresql.archive.encoding import codec_of
from covetbackup.core.errors import NotAnArchive

MAGIC = b"PGDMP"
INT_BYTES = 4
_NUMBER = struct.Struct("<BI")  # the sign, then that many bytes
CUSTOM_FORM = 1
_POSITION_IS_SET = 2
_WITH_COMPRESSION_NAME = (1, 15)
_WITH_RELATION_KIND = (1, 16)
_TIME_FIELDS = 7


class NeedsMore(Exception):
    """Signal that the table of contents continues after the bytes that were given."""


class Unsupported(Exception):
    """An archive of a version or kind that is not supported; the message is one sentence."""


def read_contents(data: bytes) -> TableOfContents:
    """Return the table of contents at the beginning of `data`; what follows it is ignored.

    Raises `NeedsMore`, `Unsupported`, and `NotAnArchive` for what is valid in no version.
    """
    cursor = _Cursor(data)
    if cursor.take(len(MAGIC)) != MAGIC:
        raise NotAnArchive("this is not an archive of pg_dump")
    major, minor, revision, int_bytes, offset_bytes, form = cursor.take(6)
    version = (major, minor, revision)
    if version[:2] not in VERSIONS:
        raise Unsupported(f"archive version {major}.{minor} is not supported")
    if (int_bytes, offset_bytes, form) != (INT_BYTES, OFFSET_BYTES, CUSTOM_FORM):
        raise Unsupported(f"archive format {form} with {int_bytes}-byte numbers is not supported")
    begin = cursor.at
    is_compressed = bool(
        cursor.take(1)[0] if version[:2] >= _WITH_COMPRESSION_NAME else cursor.integer()
    )
    for _ in range(_TIME_FIELDS):
        cursor.integer()
    for _ in ("database", "server version", "client version"):
        cursor.text()
    header = data[begin : cursor.at]
    count = cursor.integer()
    entries = [_entry(cursor, version[:2]) for _ in range(count)]
    codec = codec_of(entries)
    if codec != "utf-8":
        entries = [replace(entry, codec=codec) for entry in entries]
    return TableOfContents(version, is_compressed, header, tuple(entries), cursor.at)


class _Cursor:
    """A position in the data. Every read raises `NeedsMore` where the data ends."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        begin, self.at = self.at, self.at + count
        if self.at > len(self.data):
            raise NeedsMore
        return self.data[begin : self.at]

    def integer(self) -> int:
        amount: int
        try:
            is_negative, amount = _NUMBER.unpack_from(self.data, self.at)
        except struct.error:
            raise NeedsMore from None
        self.at += _NUMBER.size
        return -amount if is_negative else amount

    def text(self) -> bytes:
        """Read a text; one that is absent reads as empty."""
        length = self.integer()
        return self.take(length) if length > 0 else b""

    def texts(self) -> list[bytes]:
        """Read texts up to the first that is absent."""
        found = []
        while (length := self.integer()) >= 0:
            found.append(self.take(length))
        return found


def _entry(cursor: _Cursor, version: tuple[int, int]) -> Entry:
    begin = cursor.at
    dump_id, has_data = cursor.integer(), cursor.integer()
    catalog, oid = cursor.text(), cursor.text()
    tag, kind = cursor.text(), cursor.text()
    section = cursor.integer()
    definition, _drop, copy_statement = cursor.text(), cursor.text(), cursor.text()
    schema, tablespace, _access_method = cursor.text(), cursor.text(), cursor.text()
    if version >= _WITH_RELATION_KIND:
        cursor.integer()
    owner, _with_oids = cursor.text(), cursor.text()
    dependencies = cursor.texts()
    raw = cursor.data[begin : cursor.at]
    state = cursor.take(1)[0]
    offset = int.from_bytes(cursor.take(OFFSET_BYTES), "little")
    try:
        return Entry(
            dump_id=dump_id,
            has_data=bool(has_data),
            oid=int(oid),
            tag=tag,
            kind=kind,
            section=Section(section),
            definition=definition,
            copy_statement=copy_statement,
            schema=schema,
            dependencies=tuple(map(int, dependencies)),
            raw=raw,
            offset=offset if state == _POSITION_IS_SET else None,
            owner=owner,
            tablespace=tablespace,
            catalog=int(catalog or 0),
        )
    except ValueError as error:
        raise NotAnArchive(f"entry {dump_id} of the archive is not valid: {error}") from error
