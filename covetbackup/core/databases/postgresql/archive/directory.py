"""Export of an archive to pg_dump's directory format: `toc.dat` and a file for each table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from covetbackup.core.databases.postgresql.archive.block_codec import (
    BlockData,
    BlockDecoder,
    BlockEnded,
    BlockStarted,
    ObjectStarted,
)
from covetbackup.core.databases.postgresql.archive.contents import BLOBS, Entry, TableOfContents
from covetbackup.core.databases.postgresql.archive.reader import (
    NeedsMore,
    Unsupported,
    read_contents,
)
from covetbackup.core.databases.postgresql.archive.writer import toc_of_directory
from covetbackup.core.errors import Incomplete
from covetbackup.core.stream import disk

_SINCE_SEVERAL_LISTS = (1, 16)


class DirectoryWriter:
    """A writer of the archive that it is given in chunks, into the empty `folder`.

    `toc.dat`, without which a directory is no archive, is written last, by `finish`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._head = bytearray()
        self._next_try = 0
        self._contents: TableOfContents | None = None
        self._blocks = BlockDecoder(b"")
        self._entries: dict[int, Entry] = {}
        self._entry: Entry | None = None
        self._objects: list[int] = []
        self._open = ExitStack()
        self._file: BinaryIO | None = None

    def write(self, chunk: bytes) -> None:
        """Take the next bytes of the archive. Raises `Incomplete` for what cannot be in one."""
        if self._contents is None:
            self._head += chunk
            if len(self._head) < self._next_try:
                return
            chunk = self._read_head()
        self._write_data(chunk)

    def _write_data(self, chunk: bytes) -> None:
        for event in self._blocks.feed(chunk) if chunk else ():
            self._handle(event)

    def finish(self) -> None:
        """Write `toc.dat` once all files are on disk. Raises `Incomplete` for a cut archive."""
        self.close()
        if self._contents is None:
            self._write_data(self._read_head())
        if self._contents is None or not self._blocks.is_between() or self._blocks.block:
            raise Incomplete("the dump ends in the midst of its data")
        files = {entry.dump_id: self._file_name(entry) for entry in self._contents.data_entries}
        toc = self._folder / "toc.dat"
        # It says that all is there, so all must be, also after a power failure.
        for path in self._folder.iterdir():
            _sync(path)
        toc.write_bytes(toc_of_directory(self._contents, files))
        _sync(toc)
        _sync(self._folder)

    def close(self) -> None:
        """Close the file that is open. Idempotent."""
        self._open.close()

    def _read_head(self) -> bytes:
        """Read the table of contents if it has arrived, and return what follows it."""
        try:
            self._contents = read_contents(bytes(self._head))
        except NeedsMore:
            # Tried again only after twice as much: each try reads all of it.
            self._next_try = 2 * len(self._head)
            return b""
        except Unsupported as error:
            raise Incomplete(f"the contents of the dump cannot be read: {error}") from error
        self._entries = {entry.dump_id: entry for entry in self._contents.data_entries}
        rest = bytes(self._head[self._contents.size :])
        self._head.clear()
        return rest

    def _handle(self, event: BlockStarted | ObjectStarted | BlockData | BlockEnded) -> None:
        match event:
            case BlockStarted(dump_id):
                if dump_id not in self._entries:
                    raise Incomplete("the dump holds data that its contents do not list")
                self._entry, self._objects = self._entries[dump_id], []
                if self._entry.kind != BLOBS:
                    self._begin_file(self._file_name(self._entry))
            case ObjectStarted(oid):
                self._objects.append(oid)
                self._begin_file(f"blob_{oid}.dat")
            case BlockData(content):
                assert self._file is not None
                self._file.write(content)
            case BlockEnded():
                self._end_block()

    def _begin_file(self, name: str) -> None:
        self._open.close()
        self._file = self._open.enter_context(open(self._folder / name, "wb"))

    def _end_block(self) -> None:
        self._open.close()
        assert self._entry is not None
        if self._entry.kind == BLOBS:
            lines = "".join(f"{oid} blob_{oid}.dat\n" for oid in self._objects)
            (self._folder / self._file_name(self._entry)).write_text(lines)

    def _file_name(self, entry: Entry) -> str:
        if entry.kind != BLOBS:
            return f"{entry.dump_id}.dat"
        assert self._contents is not None
        is_one_of_several = self._contents.version[:2] >= _SINCE_SEVERAL_LISTS
        return f"blobs_{entry.dump_id}.toc" if is_one_of_several else "blobs.toc"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        disk.sync(descriptor)
    finally:
        os.close(descriptor)


def export_directory(chunks: Iterator[bytes], folder: Path) -> None:
    """Write the archive in `chunks` into the empty `folder`. Raises `Incomplete`."""
    writer = DirectoryWriter(folder)
    try:
        for chunk in chunks:
            writer.write(chunk)
        writer.finish()
    finally:
        writer.close()
