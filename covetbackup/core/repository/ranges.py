"""Reading of a range of a member's plain bytes, without what is before and behind it.

What is encrypted is authenticated chunk by chunk; the digests of the whole objects and of the whole
member are not compared, as they need all of it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from covetbackup.core.crypto.dek import Dek
from covetbackup.core.crypto.header import StreamId
from covetbackup.core.crypto.seek import SeekReader
from covetbackup.core.errors import Truncated
from covetbackup.core.repository.manifest import BackupObject, Manifest, StoredMember
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.repository.volumes import (
    IndexLost,
    ignore_lost_index,
    load_index,
    open_member,
)
from covetbackup.core.stream.codec import Codec
from covetbackup.core.stream.decode import decompress
from covetbackup.core.stream.frames import FrameIndex
from covetbackup.core.stream.pump import filtered

_STEP_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Frames, where the first begins in the packed member, and what to leave out of it."""

    frames: FrameIndex
    packed_offset: int
    skip: int


@contextmanager
def open_range(
    repository: BackupRepository,
    manifest: Manifest,
    name: str,
    *,
    offset: int,
    length: int,
    dek: Dek | None,
    workers: int,
    lost: IndexLost = ignore_lost_index,
) -> Iterator[Iterator[bytes]]:
    """Read the plain bytes of the member from `offset`, exactly `length` of them: a source.

    Without a frame index the member is read from its beginning. Raises `Truncated` if there are
    fewer, and what `volumes.open_member` raises.
    """
    member = manifest.member(name)
    index = load_index(repository, manifest, member, dek=dek, lost=lost)
    if manifest.codec.codec is Codec.NONE:
        source = _packed(repository, manifest, member, offset, length, dek)
        with filtered(_opened(source), []) as chunks:
            yield _cut(chunks, 0, length, name)
    elif index is None:
        with open_member(repository, manifest, name, dek=dek, workers=workers) as chunks:
            yield _cut(chunks, offset, length, name)
    else:
        wanted = _wanted(index, offset, length)
        size = sum(packed for packed, _ in wanted.frames)
        source = _packed(repository, manifest, member, wanted.packed_offset, size, dek)
        unpack = decompress(manifest.codec.codec, frames=wanted.frames, workers=workers)
        with filtered(_opened(source), [unpack]) as chunks:
            yield _cut(chunks, wanted.skip, length, name)


@contextmanager
def _opened(chunks: Generator[bytes, None, None]) -> Iterator[Iterator[bytes]]:
    try:
        yield chunks
    finally:
        chunks.close()


def _wanted(index: FrameIndex, offset: int, length: int) -> _Wanted:
    frames = FrameIndex()
    begin = skip = packed_at = plain_at = 0
    for packed, plain in index:
        if plain_at < offset + length and plain_at + plain > offset:
            if not len(frames):
                begin, skip = packed_at, offset - plain_at
            frames.append(packed, plain)
        packed_at += packed
        plain_at += plain
    return _Wanted(frames, begin, skip)


def _cut(chunks: Iterator[bytes], skip: int, length: int, name: str) -> Iterator[bytes]:
    left = length
    for chunk in chunks:
        piece = chunk[skip : skip + left]
        skip = max(0, skip - len(chunk))
        left -= len(piece)
        yield piece
        if not left:
            return
    if left:
        raise Truncated(f"{name} ends {left} bytes before the range that is wanted from it")


def _packed(
    repository: BackupRepository,
    manifest: Manifest,
    member: StoredMember,
    offset: int,
    length: int,
    dek: Dek | None,
) -> Generator[bytes, None, None]:
    """Bytes of the member's volumes joined, decrypted and still compressed."""
    for volume in member.volumes:
        if length <= 0:
            return
        if dek is None:
            size = volume.size
            if offset < size:
                take = min(length, size - offset)
                name = manifest.label.folder + volume.name
                with repository.storage.open(name, offset, take) as chunks:
                    yield from chunks
        else:
            reader = _reader(repository, manifest, volume, dek)
            size = reader.plain_size
            take = min(length, size - offset)
            for at in range(offset, offset + take, _STEP_BYTES):
                yield reader.read(at, min(_STEP_BYTES, offset + take - at))
        length -= max(0, min(length, size - offset))
        offset = max(0, offset - size)


def _reader(
    repository: BackupRepository, manifest: Manifest, volume: BackupObject, dek: Dek
) -> SeekReader:
    name = manifest.label.folder + volume.name

    def read_range(offset: int, length: int) -> bytes:
        with repository.storage.open(name, offset, length) as chunks:
            return b"".join(chunks)

    return SeekReader(
        read_range, volume.size, dek, StreamId(manifest.label.backup_id, volume.number)
    )
