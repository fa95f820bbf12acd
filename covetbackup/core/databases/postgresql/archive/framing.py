"""How data lies in an archive: blocks of pieces. Writes them and takes them apart.

A table's block is a byte 1, its dump id and its pieces, each after its length, up to a length of
0. That of large objects is a byte 3, its dump id, and for each object its oid and its pieces as
before, up to an oid of 0. So a block may be written by several readers, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from covetbackup.core.databases.postgresql.archive.writer import integer

TABLE, OBJECTS = b"\x01", b"\x03"
END = integer(0)
END_OF_ROWS = b"\\.\n\n\n"
"""What pg_dump puts behind the rows of a table, for readers of plain scripts."""


def beginning(kind: bytes, dump_id: int) -> bytes:
    return kind + integer(dump_id)


def object_beginning(oid: int) -> bytes:
    # Written as a signed number of 4 bytes, so the upper half of all oids is negative.
    return integer(oid if oid < 1 << 31 else oid - (1 << 32))


def framed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """`pieces`, each after its length. An empty one ("nothing yet") stays empty: its length would
    be the end mark."""
    for piece in pieces:
        if piece:
            yield integer(len(piece))
        yield piece
