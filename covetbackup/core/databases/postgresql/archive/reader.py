"""Reads a table of contents from the beginning of an archive, as it arrives."""

from __future__ import annotations

import struct
from dataclasses import replace

from covetbackup.core.databases.postgresql.archive.contents import (
    OFFSET_BYTES,
    VERSIONS,
    Contents,
    Entry,
    Section,
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
    """The table of contents goes on after the bytes that are there."""


class Unsupported(Exception):
    """An archive that is one, but of a version or kind not known here: one sentence."""


def read_contents(data: bytes) -> Contents:
    """The contents that `data` begins with; what follows them is not looked at.

    Raises `NeedsMore`, `Unsupported`, and `NotAnArchive` for what no version can mean.
    """
    cursor = _Cursor(data)
    if cursor.take(len(MAGIC)) != MAGIC:
        raise NotAnArchive("this is no archive of pg_dump")
    major, minor, revision, int_bytes, offset_bytes, form = cursor.take(6)
    version = (major, minor, revision)
    if version[:2] not in VERSIONS:
        raise Unsupported(f"archive version {major}.{minor} is not known")
    if (int_bytes, offset_bytes, form) != (INT_BYTES, OFFSET_BYTES, CUSTOM_FORM):
        raise Unsupported(f"an archive of form {form} with {int_bytes}-byte numbers is not known")
    begin = cursor.at
    is_compressed = bool(
        cursor.take(1)[0] if version[:2] >= _WITH_COMPRESSION_NAME else cursor.integer()
    )
    for _ in range(_TIME_FIELDS):
        cursor.integer()
    for _ in ("database", "server version", "client version"):
        cursor.text()
    about = data[begin : cursor.at]
    count = cursor.integer()
    entries = [_entry(cursor, version[:2]) for _ in range(count)]
    codec = codec_of(entries)
    if codec != "utf-8":
        entries = [replace(entry, codec=codec) for entry in entries]
    return Contents(version, is_compressed, about, tuple(entries), cursor.at)


class _Cursor:
    """A place in the data. Every reading raises `NeedsMore` where the data ends."""

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
        """A text; one that is absent reads as empty."""
        length = self.integer()
        return self.take(length) if length > 0 else b""

    def texts(self) -> list[bytes]:
        """Texts up to the first that is absent."""
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
    needs = cursor.texts()
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
            needs=tuple(map(int, needs)),
            raw=raw,
            offset=offset if state == _POSITION_IS_SET else None,
            owner=owner,
            tablespace=tablespace,
            catalog=int(catalog or 0),
        )
    except ValueError as error:
        raise NotAnArchive(f"entry {dump_id} of the archive makes no sense: {error}") from error
