"""Random access to an encrypted object: any range of its plain bytes without reading the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from covetbackup.core.crypto.chunks import ChunkDecryptor, FinalFlag
from covetbackup.core.crypto.dek import Dek
from covetbackup.core.crypto.header import HEADER_SIZE, Header, StreamId
from covetbackup.core.errors import BadSetting, Truncated

ReadRange = Callable[[int, int], bytes]
"""`read_range(offset, length)`: exactly these bytes of the object, or raise."""


class SeekReader:
    """A reader of ranges of plain bytes, for one thread at a time.

    The last chunk is decrypted first, which authenticates the length and how the object ends.
    Raises what `Decryption` raises, and what `read_range` does.
    """

    def __init__(self, read_range: ReadRange, size: int, dek: Dek, stream_id: StreamId) -> None:
        self._read_range = read_range
        self._stream_id = stream_id
        header = Header.parse(self._stored(0, min(size, HEADER_SIZE)))
        self._opener = ChunkDecryptor(header, dek, stream_id)
        full, rest = divmod(size - HEADER_SIZE, header.encrypted_chunk_size)
        encrypted = self._stored(size - rest, rest)
        tail, self.last = self._opener.decrypt_last(full, encrypted)
        self.chunk_count = full + 1
        """Chunks, the last (perhaps empty) one included."""
        self.plain_size = full * header.chunk_size + len(tail)
        self._tail = tail
        self._recent = (-1, b"")  # small reads in a row mostly stay within one chunk

    last: FinalFlag

    def read(self, offset: int, length: int) -> bytes:
        """Return the plain bytes from `offset`, fewer than `length` only at the end.

        Held in memory; what lies together is fetched by one call. Raises `BadSetting` for a
        negative number.
        """
        if offset < 0 or length < 0:
            raise BadSetting(f"{self._stream_id}: no range begins at {offset} with {length} bytes")
        stop = min(offset + length, self.plain_size)
        if offset >= stop:
            return b""
        size = self._opener.header.chunk_size
        first = offset // size
        plain = b"".join(self._chunks(first, (stop - 1) // size + 1))
        return plain[offset - first * size : stop - first * size]

    def sample(self, chunks: Iterable[int]) -> None:
        """Decrypt the chunks of these numbers (from 0) and drop them; raise for a bad one."""
        for number in chunks:
            if not 0 <= number < self.chunk_count:
                raise BadSetting(f"{self._stream_id}: there is no chunk {number}")
            self._chunks(number, number + 1)

    def _chunks(self, first: int, stop: int) -> list[bytes]:
        """Chunks from `first` up to but not including `stop`, in plain."""
        parts = [self._recent[1]] if first == self._recent[0] else []
        begin, end = first + len(parts), min(stop, self.chunk_count - 1)
        if begin < end:
            parts += self._fetched(begin, end)
            self._recent = (end - 1, parts[-1])
        if stop > end:
            parts.append(self._tail)
        return parts

    def _fetched(self, begin: int, end: int) -> list[bytes]:
        size = self._opener.header.encrypted_chunk_size
        encrypted = memoryview(self._stored(HEADER_SIZE + begin * size, (end - begin) * size))
        return [
            self._opener.decrypt_full(number, encrypted[at : at + size])
            for number, at in zip(range(begin, end), range(0, len(encrypted), size), strict=True)
        ]

    def _stored(self, offset: int, length: int) -> bytes:
        data = self._read_range(offset, length)
        if len(data) != length:
            raise Truncated(
                f"{self._stream_id}: {len(data)} of {length} bytes came from byte {offset}"
            )
        return data
