"""The pages of one state of a database, read in order from its file and its log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from covetbackup.core.databases.sqlite.backup.wal import Overlay, read_exactly
from covetbackup.core.errors import DatabaseError

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PageImage:
    """The pages of a database at one moment: `page_count` pages of `page_size` bytes.

    Those in `overlay` are read from the log. `file_bytes` is the size of the file at that moment:
    pages past it that the log does not hold were allocated but never written (free pages, the
    lock-byte page), and are zeros to SQLite too.
    """

    descriptor: int
    page_size: int
    page_count: int
    file_bytes: int
    overlay: Overlay = field(default_factory=lambda: Overlay(descriptor=-1, offsets={}))

    @property
    def size_bytes(self) -> int:
        return self.page_size * self.page_count


def image_of(
    descriptor: int, page_size: int, page_count: int, overlay: Overlay | None = None
) -> PageImage:
    """Return the image of the file that is open at `descriptor`, as long as it is now."""
    size = os.fstat(descriptor).st_size
    if overlay is not None:
        return PageImage(descriptor, page_size, page_count, size, overlay)
    # Under a write lock SQLite counts the first page of an empty file before it writes it.
    return PageImage(descriptor, page_size, page_count if size else 0, size)


def read_pages(image: PageImage) -> Iterator[bytes]:
    """Yield all pages in pieces of about 1 MiB. Memory: one piece.

    Raises `SourceFailed` if file or log is shorter than it was at the moment of the image,
    `DatabaseError` if page 1 is not that of a database of this page size.
    """
    per_piece = max(1, PIECE_BYTES // image.page_size)
    changed = sorted(image.overlay.offsets)
    position = 0
    for first in range(1, image.page_count + 1, per_piece):
        last = min(first + per_piece - 1, image.page_count)
        upto = position
        while upto < len(changed) and changed[upto] <= last:
            upto += 1
        piece = _read_piece(image, first, last, changed[position:upto])
        position = upto
        if first == 1:
            _check_first_page(piece, image.page_size)
        yield piece


def header_page_size(header: bytes) -> int:
    """Return the page size in a database header (fileformat2, section 1.3.2).

    A value of 1 stands for 65 536.
    """
    size = int.from_bytes(header[16:18], "big")
    return 65536 if size == 1 else size


def header_page_count(header: bytes) -> int | None:
    """Return the page count in a header, None if a writer older than SQLite 3.7.0 left it unset."""
    count = int.from_bytes(header[28:32], "big")
    return count if count and header[24:28] == header[92:96] else None


def _read_piece(image: PageImage, first: int, last: int, changed: list[int]) -> bytes:
    size = image.page_size
    base = _read_file(image, (first - 1) * size, (last - first + 1) * size)
    if not changed:
        return base
    piece = bytearray(base)
    for page in changed:
        start = (page - first) * size
        offset = image.overlay.offsets[page]
        piece[start : start + size] = read_exactly(image.overlay.descriptor, size, offset)
    return bytes(piece)


def _read_file(image: PageImage, offset: int, length: int) -> bytes:
    present = max(0, min(length, image.file_bytes - offset))
    data = read_exactly(image.descriptor, present, offset)
    return data if present == length else data.ljust(length, b"\0")


def _check_first_page(piece: bytes, page_size: int) -> None:
    if not piece.startswith(MAGIC) or header_page_size(piece) != page_size:
        raise DatabaseError("page 1 is not a database header", "is the source damaged?")
