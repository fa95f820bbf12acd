"""Streams as authenticated chunks: the STREAM construction with an always short last chunk.

Nothing is released before it was authenticated; what is missing, moved, repeated, appended or of
another stream raises. The bytes: FORMAT.md, "Encrypted object".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from enum import IntEnum
from itertools import chain

from cryptography.exceptions import InvalidTag

from covetbackup.core.crypto.dek import Dek
from covetbackup.core.crypto.header import CHUNK_LOG2, HEADER_SIZE, SALT_SIZE, Header, StreamId
from covetbackup.core.crypto.suites import BytesLike, ChunkCipher, Suite
from covetbackup.core.errors import BadSetting, Tampered, Truncated
from covetbackup.core.stream.base import Filter

PIECE_LIMIT = 1 << 20
"""No plain piece is longer than this, however large the chunks."""

CHUNK_COUNT_LIMIT = 1 << 32


class FinalFlag(IntEnum):
    """The flag of a last chunk: whether the series of volumes goes on."""

    MORE = 1
    END = 2


_NOT_LAST = 0


def encrypt(
    dek: Dek,
    stream_id: StreamId,
    *,
    suite: Suite,
    last: Callable[[], FinalFlag],
    chunk_log2: int = CHUNK_LOG2,
) -> Filter:
    """Return a filter that makes an encrypted object of a stream.

    `last` is asked once, after the input has ended. If the input raises instead of ending, no last
    chunk is made and what was written can never pass for a whole object. Encrypted pieces are one
    chunk each, 16 or 64 bytes longer than it. Raises `BadSetting` beyond 2^32 chunks.
    """

    def apply(pieces: Iterator[bytes]) -> Iterator[bytes]:
        header, cipher = Header.create(
            dek, stream_id, suite=suite, chunk_log2=chunk_log2, salt=os.urandom(SALT_SIZE)
        )
        yield header.encode()
        for number, chunk in enumerate(_regrouped(pieces, header.chunk_size)):
            if number >= CHUNK_COUNT_LIMIT:
                raise BadSetting(f"{stream_id}: too long for one object", "use smaller volumes")
            flag = _NOT_LAST if len(chunk) == header.chunk_size else last()
            yield cipher.encrypt_chunk(nonce(number, flag), chunk)

    return apply


def decrypt(dek: Dek, stream_id: StreamId, *, expect: FinalFlag | None) -> Decryption:
    """Return a filter that gives back what `encrypt` took.

    With `expect`, an object that ends otherwise is refused before its last chunk is released; with
    None both ends are accepted, and `Decryption.last` tells which it was.
    """
    return Decryption(dek, stream_id, expect)


class Decryption:
    """A filter that decrypts one object.

    Raises `NotAnArchive`, `WrongKey`, `Tampered` (another object, or a chunk by number and byte
    range) and `Truncated`. All bytes it has yielded are authentic and in their place; only when the
    iterator ends is the stream known to be whole.
    """

    def __init__(self, dek: Dek, stream_id: StreamId, expect: FinalFlag | None) -> None:
        self._dek = dek
        self._stream_id = stream_id
        self._expect = expect
        self.last: FinalFlag | None = None
        """How the object ended; None until its last chunk was opened."""

    def __call__(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        start, rest = _taken(pieces, HEADER_SIZE)
        opener = ChunkDecryptor(Header.parse(start), self._dek, self._stream_id)
        size = opener.header.encrypted_chunk_size
        for number, encrypted in enumerate(_regrouped(rest, size)):
            if len(encrypted) == size:
                plain = opener.decrypt_full(number, encrypted)
            else:
                plain, self.last = opener.decrypt_last(number, encrypted)
                check_last(self._stream_id, self.last, self._expect)
            for at in range(0, len(plain), PIECE_LIMIT):
                yield plain if len(plain) <= PIECE_LIMIT else plain[at : at + PIECE_LIMIT]


class ChunkDecryptor:
    """Decryption of single chunks of one object.

    Raises `Tampered` or `Truncated`, naming the chunk.
    """

    def __init__(self, header: Header, dek: Dek, stream_id: StreamId) -> None:
        """Raises as `Header.open`."""
        self.header = header
        self._cipher: ChunkCipher = header.open(dek, stream_id)

    def decrypt_full(self, number: int, encrypted: BytesLike) -> bytes:
        """Return the plain bytes of chunk `number`, which is not the last one."""
        plain = self._try(number, _NOT_LAST, encrypted)
        if plain is None or number >= CHUNK_COUNT_LIMIT:
            raise Tampered(f"{self._place(number, encrypted)} is damaged, moved or foreign")
        return plain

    def decrypt_last(self, number: int, encrypted: BytesLike) -> tuple[bytes, FinalFlag]:
        """Return the plain bytes of the last chunk, and how the object ends."""
        if not self.header.suite.can_be_chunk(len(encrypted)):
            raise Truncated(f"{self._place(number, encrypted)}: the end is missing")
        for flag in (FinalFlag.END, FinalFlag.MORE):
            plain = self._try(number, flag, encrypted)
            if plain is not None:
                return plain, flag
        raise Tampered(
            f"{self._place(number, encrypted)} is damaged, moved or foreign, or the end was cut off"
        )

    def _try(self, number: int, flag: int, encrypted: BytesLike) -> bytes | None:
        try:
            return self._cipher.decrypt_chunk(nonce(number, flag), encrypted)
        except InvalidTag:
            return None

    def _place(self, number: int, encrypted: BytesLike) -> str:
        start = HEADER_SIZE + number * self.header.encrypted_chunk_size
        stop = start + len(encrypted)
        return f"{self.header.stream_id}: chunk {number} (from byte {start} to {stop})"


def check_last(stream_id: StreamId, last: FinalFlag, expect: FinalFlag | None) -> None:
    """Check that an object ends as expected; None expects nothing.

    Raises `Truncated` if a volume is missing after this one, `Tampered` if one is too many.
    """
    if expect is None or last is expect:
        return
    if last is FinalFlag.MORE:
        raise Truncated(f"{stream_id}: it goes on in another volume", "is a volume missing?")
    raise Tampered(f"{stream_id}: it is the last volume, yet more follow")


def nonce(number: int, flag: int) -> bytes:
    """Return the nonce of a chunk: 11 bytes of its number and the flag.

    The key is fresh per object, so none repeats.
    """
    return number.to_bytes(11, "big") + bytes([flag])


def _taken(pieces: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first `size` bytes (fewer if the stream ends) and the rest of the stream."""
    start = b""
    for piece in pieces:
        start += piece
        if len(start) >= size:
            break
    return start[:size], chain([start[size:]], pieces)


def _regrouped(pieces: Iterator[bytes], size: int) -> Iterator[memoryview]:
    """Runs of exactly `size` bytes, then one shorter rest, possibly empty.

    A run is valid until the next one is asked for: what crosses pieces shares one buffer, what
    lies within a piece is not copied.
    """
    held, filled = memoryview(bytearray(size)), 0
    for piece in pieces:
        view = memoryview(piece)
        while view:
            if not filled and len(view) >= size:
                yield view[:size]
                view = view[size:]
                continue
            taken = min(size - filled, len(view))
            held[filled : filled + taken] = view[:taken]
            filled, view = filled + taken, view[taken:]
            if filled == size:
                yield held
                filled = 0
    yield held[:filled]
