"""Makes data that compresses like a database: rows of COPY text and PostgreSQL heap pages.

Always the same bytes, so that figures of two days can be compared.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count, cycle
from pathlib import Path

from tests.support.words import Words

_TEXT_BYTES = 8 << 20
_HEAP_BYTES = 4 << 20
_DISTINCT_PAIRS = 4
_STATES = ("new", "paid", "shipped", "shipped", "shipped", "returned")
_PAGE_BYTES = 8192
_PAGE_HEADER = struct.Struct("<IIHHHHHHI")
_LINE_POINTER = struct.Struct("<I")
_TUPLE_HEADER = struct.Struct("<IIIHHHHBB2x")
_COLUMNS = struct.Struct("<qiiq")


def write_mixed(path: Path, size: int) -> None:
    """Write `size` bytes, two thirds text and one third pages, in turns of 8 and 4 MiB.

    After 48 MiB they repeat. zstd -3 looks back 2 MiB and our frames hold 4, so neither
    compressor can tell.
    """
    left = size
    with path.open("wb") as file:
        for part in cycle(list(_parts(random.Random(20260101)))):
            file.write(part[:left])
            left -= len(part)
            if left <= 0:
                return


def _parts(rng: random.Random) -> Iterator[bytes]:
    words = Words(rng)
    for pair in range(_DISTINCT_PAIRS):
        yield _copy_text(rng, words, first_id=pair * 100_000)
        yield _heap_pages(rng, words, first_id=pair * 100_000)


def _copy_text(rng: random.Random, words: Words, *, first_id: int) -> bytes:
    names = [words.phrase(2, 2).title() for _ in range(3000)]
    moment = datetime(2026, 1, 1)
    text = bytearray()
    for row in count(first_id):
        moment += timedelta(microseconds=rng.randrange(90_000_000))
        name = rng.choice(names)
        text += (
            f"{row}\t{moment}+00\t{name}\t{name.replace(' ', '.').lower()}@example.org\t"
            f"{rng.choice(_STATES)}\t{rng.randrange(200_000) / 100:.2f}\t"
            f"{rng.getrandbits(32):08x}\t{words.phrase(4, 15)}\t\\N\n"
        ).encode()
        if len(text) >= _TEXT_BYTES:
            break
    return bytes(text[:_TEXT_BYTES])


def _heap_pages(rng: random.Random, words: Words, *, first_id: int) -> bytes:
    phrases = [words.phrase(3, 8).encode() for _ in range(5000)]
    rows = count(first_id)
    blocks = range(_HEAP_BYTES // _PAGE_BYTES)
    return b"".join(_page(rng, phrases, rows, block) for block in blocks)


def _page(rng: random.Random, phrases: list[bytes], rows: Iterator[int], block: int) -> bytes:
    """Line pointers grow up from the header, tuples down from the end, until they meet."""
    page = bytearray(_PAGE_BYTES)
    lower, upper = _PAGE_HEADER.size, _PAGE_BYTES
    for row in rows:
        item = _tuple(rng, row, block, rng.choice(phrases))
        start = (upper - len(item)) & ~7
        if start < lower + _LINE_POINTER.size:
            break
        page[start : start + len(item)] = item
        _LINE_POINTER.pack_into(page, lower, start | 1 << 15 | len(item) << 17)
        lower, upper = lower + _LINE_POINTER.size, start
    checksum = rng.getrandbits(16)
    _PAGE_HEADER.pack_into(page, 0, 0, block * 8231, checksum, 0, lower, upper, 8192, 8196, 0)
    return bytes(page)


def _tuple(rng: random.Random, row: int, block: int, text: bytes) -> bytes:
    header = _TUPLE_HEADER.pack(740 + row // 5000, 0, 0, 0, block, row % 120, 5, 2, 9)
    moment = 760_000_000_000_000 + row * 1_000_003 + rng.randrange(1_000_000)
    columns = _COLUMNS.pack(row, rng.randrange(60_000), rng.randrange(200_000), moment)
    return header + columns + bytes([len(text) * 2 + 3 & 255]) + text
